package cloudformation

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// A deployRequest is what CreateStack, UpdateStack and CreateChangeSet have in
// common.
type deployRequest struct {
	TemplateBody        *string
	TemplateURL         *string
	UsePreviousTemplate *bool
	Parameters          []types.Parameter
	Tags                []types.Tag
	Capabilities        []types.Capability
	DeploymentConfig    *types.DeploymentConfig
	ImportExisting      bool
}

// notHere are the members of those requests that the local engine cannot
// honour, with the reason.
var notHere = map[string]string{
	"NotificationARNs":  "the local engine has no SNS",
	"ResourceTypes":     "the local engine restricts no resource types",
	"StackPolicyBody":   "the local engine has no stack policies",
	"StackPolicyURL":    "the local engine has no stack policies",
	"ResourcesToImport": "the local engine imports by name only; use ImportExistingResources",
	"DeploymentMode":    "the local engine does not look for drift",

	"StackPolicyDuringUpdateBody": "the local engine has no stack policies",
	"StackPolicyDuringUpdateURL":  "the local engine has no stack policies",
}

// refuse fails if a request sets a member that cannot be honoured.
func refuse(in any) error {
	value := reflect.ValueOf(in).Elem()
	for i := range value.NumField() {
		name := value.Type().Field(i).Name
		why, listed := notHere[name]
		if listed && isSet(value.Field(i)) {
			return invalid("%s cannot be used: %s", name, why)
		}
	}
	return nil
}

// isSet reports whether a member says anything: false and empty lists do not.
func isSet(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && !v.Elem().IsZero()
	case reflect.Slice:
		return v.Len() > 0
	}
	return !v.IsZero()
}

// checkConfig refuses the ways to deploy and roll back that do not exist here.
func checkConfig(config *types.DeploymentConfig, rollback *types.RollbackConfiguration) error {
	if config != nil && config.Mode != "" && config.Mode != types.DeploymentConfigModeStandard {
		return invalid("DeploymentConfig/Mode is %s; the local engine deploys in STANDARD mode only", config.Mode)
	}
	if rollback != nil && len(rollback.RollbackTriggers) > 0 {
		return invalid("RollbackConfiguration/RollbackTriggers cannot be used: the local engine has no alarms")
	}
	return nil
}

// plan works out what a request would do to a stack, without doing it. The
// revision is what the stack would be made from.
func (s *Service) plan(ctx context.Context, stack *stackRecord, r deployRequest) (revision, *plan, error) {
	target, t, err := s.target(ctx, stack, r)
	if err != nil {
		return revision{}, nil, err
	}
	if err := s.checkCapabilities(t, r.Capabilities); err != nil {
		return revision{}, nil, err
	}
	p, err := s.planRevision(ctx, stack, t, target, r.ImportExisting)
	if err != nil {
		return revision{}, nil, err
	}
	if err := s.checkExports(stack, p.outputs); err != nil {
		return revision{}, nil, err
	}
	p.changed = p.changed || !sameOutputs(stack.Outputs, p.outputs) || !resources.SameJSON(tagsOf(stack.Current), tagsOf(target))
	return target, p, nil
}

// target makes the revision that a request asks for.
func (s *Service) target(ctx context.Context, stack *stackRecord, r deployRequest) (revision, *template.Template, error) {
	target := revision{Body: stack.Current.Body, Tags: r.Tags, Capabilities: r.Capabilities}
	if r.Tags == nil {
		target.Tags = stack.Current.Tags
	}
	var err error
	if !aws.ToBool(r.UsePreviousTemplate) {
		if target.Body, err = s.body(ctx, r.TemplateBody, r.TemplateURL); err != nil {
			return target, nil, err
		}
	}
	t, err := template.Parse(target.Body)
	if err != nil {
		return target, nil, asInvalid(err)
	}
	target.Parameters, err = template.ChooseParameters(t.Parameters, r.Parameters, stack.Current.Parameters)
	if err != nil {
		return target, nil, asInvalid(err)
	}
	return target, t, asInvalid(template.LookUp(ctx, s.Parameters, t.Parameters, target.Parameters))
}

func (s *Service) planRevision(ctx context.Context, stack *stackRecord, t *template.Template, target revision, importing bool) (*plan, error) {
	planner := s.planner(stack, t, target)
	planner.adopt = s.adopter(ctx, stack, importing)
	p, err := planner.plan()
	if err != nil {
		return nil, invalid("Template error: %v", err)
	}
	p.imports = planner.imports()
	return p, nil
}

// planner makes a planner of a revision against a stack's present resources.
func (s *Service) planner(stack *stackRecord, t *template.Template, target revision) *planner {
	p := &planner{template: t, providers: s.Providers, deployed: stack.Resources, imported: map[string]bool{}, adopt: adoptNothing}
	p.resolver = &template.Resolver{Template: t, Values: s.values(stack, t, target), Exported: func(name string) (string, error) {
		p.imported[name] = true
		return s.export(name)
	}}
	return p
}

// values are the parameters and pseudo parameters that a template sees.
func (s *Service) values(stack *stackRecord, t *template.Template, target revision) map[string]any {
	values := map[string]any{
		"AWS::AccountId":        iam.AccountID,
		"AWS::NotificationARNs": []any{},
		"AWS::Partition":        "aws",
		"AWS::Region":           s.Region,
		"AWS::StackId":          stack.ID,
		"AWS::StackName":        stack.Name,
		"AWS::URLSuffix":        "amazonaws.com",
	}
	for name, p := range t.Parameters {
		text := target.Parameters[name].Text(p)
		values[name] = text
		if p.List() {
			list := []any{}
			for _, element := range template.SplitList(text) {
				list = append(list, element)
			}
			values[name] = list
		}
	}
	return values
}

// checkCapabilities requires the caller to acknowledge resources that can
// change who may do what.
func (s *Service) checkCapabilities(t *template.Template, given []types.Capability) error {
	needed, _ := s.capabilities(t)
	if needed == "" || slices.Contains(given, types.CapabilityCapabilityNamedIam) || slices.Contains(given, needed) {
		return nil
	}
	return insufficientCapabilities("Requires capabilities : [%s]", needed)
}

// capabilities says which capability a template needs, if any, and because of
// which resources.
func (s *Service) capabilities(t *template.Template) (types.Capability, []string) {
	var needed types.Capability
	var because []string
	for id, r := range t.Resources {
		provider, known := s.Providers[r.Type]
		if !known || provider.Schema().Capability == "" {
			continue
		}
		because = append(because, id)
		if needed == "" {
			needed = types.Capability(provider.Schema().Capability)
		}
		if named := provider.Schema().NamedBy; named != "" && r.Properties[named] != nil {
			needed = types.CapabilityCapabilityNamedIam
		}
	}
	slices.Sort(because)
	return needed, because
}

// sameOutputs compares outputs regardless of descriptions that are not set.
func sameOutputs(a, b []outputRecord) bool { return slices.Equal(a, b) }

// tagsOf returns a revision's tags sorted, never nil.
func tagsOf(r revision) []types.Tag {
	sorted := append([]types.Tag{}, r.Tags...)
	slices.SortFunc(sorted, func(a, b types.Tag) int {
		return strings.Compare(aws.ToString(a.Key), aws.ToString(b.Key))
	})
	return sorted
}

// updatable are the statuses in which a stack can be changed.
var updatable = []types.StackStatus{
	types.StackStatusCreateComplete, types.StackStatusUpdateComplete, types.StackStatusUpdateRollbackComplete,
	types.StackStatusCreateFailed, types.StackStatusUpdateFailed,
}

func checkUpdatable(stack *stackRecord) error {
	if slices.Contains(updatable, stack.Status) {
		return nil
	}
	return invalid("Stack:%s is in %s state and can not be updated.", stack.ID, stack.Status)
}

// unlessMissing turns a missing stack into nil.
func unlessMissing(stack *stackRecord, err error) (*stackRecord, error) {
	if errors.Is(err, errNoStack) {
		return nil, nil
	}
	return stack, err
}
