package cloudformation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
)

// A plan is what deploying a template would do, worked out without doing
// anything. Values that exist only after a resource was made are unknown.
type plan struct {
	steps   []step
	outputs []outputRecord
	imports []string
	// changed reports whether there is anything to do at all.
	changed bool
}

// A step is what a deployment does with one resource.
type step struct {
	LogicalID  string
	Type       string
	PhysicalID string
	Action     action
	Before     map[string]any
	After      map[string]any
	// Properties are the names of those that change.
	Properties []string
	// Attributes are what changes besides: Metadata, DeletionPolicy,
	// UpdateReplacePolicy.
	Attributes []types.ResourceAttribute
	// Policy is what becomes of a resource that is removed or replaced.
	Policy types.PolicyAction
}

// An action is what happens to a resource.
type action int

const (
	keep action = iota
	add
	modify
	replace
	remove
	adopt
)

// A planner compares a template with what is deployed.
type planner struct {
	template  *template.Template
	resolver  *template.Resolver
	providers map[string]resources.Provider
	deployed  map[string]resourceRecord
	depends   map[string][]string
	wanted    []string                             // resources whose condition holds, in order
	fresh     map[string]bool                      // resources whose id is unknown as yet
	executing bool                                 // nothing may be unknown any more
	adopt     func(*step, template.Resource) error // takes over what exists, if the change set asks for it; see import.go
	imported  map[string]bool                      // exports of other stacks that were used
	problems  []string
}

// plan works through the template in order and collects all problems.
func (p *planner) plan() (*plan, error) {
	if err := p.prepare(); err != nil {
		return nil, err
	}
	result := new(plan)
	for _, id := range p.wanted {
		result.steps = append(result.steps, p.step(id))
	}
	result.steps = append(result.steps, p.removals()...)
	result.outputs = p.outputs()
	if len(p.problems) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(p.problems, "; "))
	}
	result.changed = slices.ContainsFunc(result.steps, func(s step) bool { return s.Action != keep })
	return result, nil
}

// prepare evaluates conditions and rules and puts the wanted resources in
// order.
func (p *planner) prepare() error {
	p.fresh = map[string]bool{}
	p.resolver.Resource = p.known
	if err := p.resolver.EvaluateConditions(); err != nil {
		return err
	}
	if err := p.resolver.CheckRules(); err != nil {
		return err
	}
	p.depends = p.template.Dependencies()
	ids, err := template.Order(p.depends)
	p.wanted = slices.DeleteFunc(ids, func(id string) bool {
		return !p.resolver.Holds(p.template.Resources[id].Condition)
	})
	return err
}

// known answers references to resources with what is known before the
// deployment.
func (p *planner) known(id, attribute string) (any, error) {
	r := p.template.Resources[id]
	if !p.resolver.Holds(r.Condition) {
		return nil, fmt.Errorf("Unresolved resource dependencies [%s]: its condition %s is false", id, r.Condition) //nolint:staticcheck // CloudFormation's own words
	}
	if err := p.checkAttribute(id, r.Type, attribute); err != nil {
		return nil, err
	}
	record := p.deployed[id]
	if record.PhysicalID != "" && !p.fresh[id] {
		if value, ok := record.answer(attribute); ok {
			return value, nil
		}
	}
	if p.executing {
		return nil, fmt.Errorf("resource %s (%s) has no value for its attribute %s", id, r.Type, attribute)
	}
	return template.Unknown{}, nil
}

func (p *planner) checkAttribute(id, kind, attribute string) error {
	provider, ok := p.providers[kind]
	if !ok || attribute == "" || slices.Contains(provider.Schema().Attributes, attribute) {
		return nil // an unknown type is reported once, where it stands
	}
	return fmt.Errorf("resource %s does not support attribute %s in Fn::GetAtt; the local engine's %s has %s",
		id, attribute, kind, strings.Join(provider.Schema().Attributes, ", "))
}

// answer is what Ref (attribute "") and Fn::GetAtt give for a resource that
// exists.
func (r resourceRecord) answer(attribute string) (any, bool) {
	if attribute == "" {
		return r.PhysicalID, true
	}
	value, ok := r.Attributes[attribute]
	return value, ok
}

// step resolves and checks one resource of the template and compares it with
// the deployed one.
func (p *planner) step(id string) step {
	r := p.template.Resources[id]
	s := step{LogicalID: id, Type: r.Type, Action: add}
	provider, ok := p.providers[r.Type]
	if !ok {
		p.report(id, r.Type, "the local engine does not know this resource type; it knows %s",
			strings.Join(slices.Sorted(maps.Keys(p.providers)), ", "))
		return s
	}
	properties, err := p.resolver.Object("Properties", r.Properties)
	if err != nil {
		p.report(id, r.Type, "%v", err)
		return s
	}
	checked, problems := provider.Schema().Check(properties.(map[string]any))
	for _, problem := range problems {
		p.report(id, r.Type, "%s", problem)
	}
	s.After = checked
	p.compare(&s, r, provider.Schema())
	p.fresh[id] = s.Action == add || s.Action == replace
	return s
}

func (p *planner) report(id, kind, format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf("Resource %s (%s): ", id, kind)+fmt.Sprintf(format, args...))
}

// compare decides what to do with a resource, given what is deployed under its
// logical id.
func (p *planner) compare(s *step, r template.Resource, schema resources.Schema) {
	record := p.deployed[s.LogicalID]
	if record.PhysicalID == "" {
		if err := p.adopt(s, r); err != nil {
			p.report(s.LogicalID, r.Type, "%v", err)
		}
		return
	}
	if record.Type != r.Type {
		p.report(s.LogicalID, r.Type, "Update of resource type is not permitted: it is a %s now. The new resource needs another logical id", record.Type)
		return
	}
	s.Action, s.PhysicalID, s.Before = keep, record.PhysicalID, record.Properties
	s.Properties = changedProperties(s.Before, s.After)
	s.Attributes = changedAttributes(record, r)
	if len(s.Properties)+len(s.Attributes) > 0 {
		s.Action = modify
	}
	if slices.ContainsFunc(s.Properties, schema.CreateOnly) {
		s.Action, s.Policy = replace, types.PolicyActionReplaceAndDelete
		if record.ReplacePolicy == template.PolicyRetain {
			s.Policy = types.PolicyActionReplaceAndRetain
		}
	}
}

// changedProperties names the top-level properties that differ.
func changedProperties(before, after map[string]any) []string {
	names := map[string]bool{}
	for _, side := range []map[string]any{before, after} {
		for name := range side {
			names[name] = !resources.SameJSON(before[name], after[name])
		}
	}
	maps.DeleteFunc(names, func(_ string, changed bool) bool { return !changed })
	return slices.Sorted(maps.Keys(names))
}

func changedAttributes(record resourceRecord, r template.Resource) []types.ResourceAttribute {
	var changed []types.ResourceAttribute
	if len(record.Metadata)+len(r.Metadata) > 0 && !resources.SameJSON(record.Metadata, r.Metadata) {
		changed = append(changed, types.ResourceAttributeMetadata)
	}
	if record.DeletePolicy != r.DeletionPolicy {
		changed = append(changed, types.ResourceAttributeDeletionPolicy)
	}
	if record.ReplacePolicy != r.UpdateReplacePolicy {
		changed = append(changed, types.ResourceAttributeUpdateReplacePolicy)
	}
	return changed
}

// removals are the deployed resources that the template no longer has, the
// dependent ones first.
func (p *planner) removals() []step {
	var steps []step
	for _, id := range removalOrder(p.deployed) {
		r, wanted := p.template.Resources[id]
		if wanted && p.resolver.Holds(r.Condition) {
			continue
		}
		record := p.deployed[id]
		if record.PhysicalID == "" {
			continue // it was never made
		}
		policy := types.PolicyActionDelete
		if record.outlivesTheStack() {
			policy = types.PolicyActionRetain
		}
		steps = append(steps, step{LogicalID: id, Type: record.Type, PhysicalID: record.PhysicalID, Action: remove, Before: record.Properties, Policy: policy})
	}
	return steps
}

// outlivesTheStack reports whether a resource stays where it is when the stack
// lets go of it.
func (r resourceRecord) outlivesTheStack() bool {
	return r.DeletePolicy == template.PolicyRetain || r.DeletePolicy == template.PolicyRetainExceptOnCreate
}

// removalOrder lists resources so that each comes before what it depends on.
func removalOrder(resources map[string]resourceRecord) []string {
	ids, err := template.Order(graph(resources))
	if err != nil { // cannot be: the template was checked
		ids = slices.Sorted(maps.Keys(resources))
	}
	slices.Reverse(ids)
	return ids
}

// outputs resolves the template's outputs.
func (p *planner) outputs() []outputRecord {
	var records []outputRecord
	for _, key := range slices.Sorted(maps.Keys(p.template.Outputs)) {
		o := p.template.Outputs[key]
		if !p.resolver.Holds(o.Condition) {
			continue
		}
		value, exportName, err := p.resolver.Output(key, o)
		if err != nil {
			p.problems = append(p.problems, err.Error())
		}
		records = append(records, outputRecord{Key: key, Value: value, Description: o.Description, ExportName: exportName})
	}
	return records
}
