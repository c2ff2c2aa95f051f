package cloudformation

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
)

// DescribeStacks describes the stack with a name or id, or all that are not
// deleted. A deleted stack is found by its id only.
func (s *Service) DescribeStacks(_ context.Context, in *cfn.DescribeStacksInput) (*cfn.DescribeStacksOutput, error) {
	if name := aws.ToString(in.StackName); name != "" {
		stack, err := s.seen(name)
		if err != nil {
			return nil, err
		}
		return &cfn.DescribeStacksOutput{Stacks: []types.Stack{stack.describe()}}, nil
	}
	stacks, err := s.live()
	if err != nil {
		return nil, err
	}
	page, next, err := pageOf(stacks, func(s stackRecord) string { return s.ID }, in.NextToken)
	out := &cfn.DescribeStacksOutput{Stacks: []types.Stack{}, NextToken: next}
	for _, stack := range page {
		out.Stacks = append(out.Stacks, stack.describe())
	}
	return out, err
}

// deletionShown bounds how long after its deletion a stack may still be shown
// by its name.
const deletionShown = 10 * time.Second

// seen finds a stack for DescribeStacks. On AWS a deletion takes seconds, so
// that those who wait for its end see it in progress first. Here it may be over
// before anybody asks: the first answer by its name shows it in progress all
// the same, unless somebody has followed the deletion by its id.
func (s *Service) seen(nameOrID string) (*stackRecord, error) {
	stack, err := s.mustFindID(nameOrID)
	if err == nil && stack.DeletionUnseen {
		return stack, s.noteSeen(stack)
	}
	if err == nil || strings.HasPrefix(nameOrID, "arn:") {
		return stack, err
	}
	entries, listErr := s.stacks.List(nameOrID + "/")
	if listErr != nil {
		return nil, listErr
	}
	for _, entry := range entries {
		deleted := &entry.Value
		if !deleted.DeletionUnseen || s.now().Sub(deleted.Deleted) > deletionShown {
			continue
		}
		deleted.Status, deleted.Reason, deleted.Deleted = types.StackStatusDeleteInProgress, "", time.Time{}
		return deleted, s.noteSeen(deleted)
	}
	return nil, err
}

func (s *Service) noteSeen(stack *stackRecord) error {
	_, err := s.stacks.Update(stack.key(), func(stored stackRecord, _ bool) (stackRecord, error) {
		stored.DeletionUnseen = false
		return stored, nil
	})
	return err
}

func (s *stackRecord) describe() types.Stack {
	stack := types.Stack{
		StackId:                     &s.ID,
		StackName:                   &s.Name,
		StackStatus:                 s.Status,
		StackStatusReason:           optional(s.Reason),
		CreationTime:                &s.Created,
		ChangeSetId:                 optional(s.ChangeSetID),
		RoleARN:                     optional(s.Role),
		Capabilities:                s.Current.Capabilities,
		Parameters:                  shownParameters(s.Current),
		Tags:                        s.Current.Tags,
		DisableRollback:             &s.DisableRollback,
		EnableTerminationProtection: &s.TerminationProtection,
		TimeoutInMinutes:            s.TimeoutInMinutes,
		LastOperations:              s.Operations,
		RollbackConfiguration:       &types.RollbackConfiguration{},
		DriftInformation:            &types.StackDriftInformation{StackDriftStatus: types.StackDriftStatusNotChecked},
	}
	if t, err := template.Parse(s.Current.Body); err == nil {
		stack.Description = optional(t.Description)
	}
	if !s.Updated.IsZero() {
		stack.LastUpdatedTime = &s.Updated
	}
	if !s.Deleted.IsZero() {
		stack.DeletionTime = &s.Deleted
	}
	for _, o := range s.Outputs {
		stack.Outputs = append(stack.Outputs, types.Output{
			OutputKey:   &o.Key,
			OutputValue: &o.Value,
			Description: optional(o.Description),
			ExportName:  optional(o.ExportName),
		})
	}
	return stack
}

// ListStacks lists all stacks, the deleted ones too unless the filter leaves
// them out.
func (s *Service) ListStacks(_ context.Context, in *cfn.ListStacksInput) (*cfn.ListStacksOutput, error) {
	entries, err := s.stacks.List("")
	if err != nil {
		return nil, err
	}
	var summaries []types.StackSummary
	for _, entry := range entries {
		stack := entry.Value
		if len(in.StackStatusFilter) == 0 || slices.Contains(in.StackStatusFilter, stack.Status) {
			summaries = append(summaries, stack.summary())
		}
	}
	page, next, err := pageOf(summaries, func(s types.StackSummary) string { return *s.StackId }, in.NextToken)
	return &cfn.ListStacksOutput{StackSummaries: page, NextToken: next}, err
}

func (s *stackRecord) summary() types.StackSummary {
	described := s.describe()
	return types.StackSummary{
		StackId:             described.StackId,
		StackName:           described.StackName,
		StackStatus:         described.StackStatus,
		StackStatusReason:   described.StackStatusReason,
		CreationTime:        described.CreationTime,
		LastUpdatedTime:     described.LastUpdatedTime,
		DeletionTime:        described.DeletionTime,
		TemplateDescription: described.Description,
	}
}

// DescribeStackResources describes a stack's resources, or the one with a
// logical id; a physical id finds the stack as well as the resource.
func (s *Service) DescribeStackResources(_ context.Context, in *cfn.DescribeStackResourcesInput) (*cfn.DescribeStackResourcesOutput, error) {
	stack, err := s.stackOf(aws.ToString(in.StackName), aws.ToString(in.PhysicalResourceId))
	if err != nil {
		return nil, err
	}
	out := &cfn.DescribeStackResourcesOutput{StackResources: []types.StackResource{}}
	for _, r := range stack.sortedResources() {
		if in.LogicalResourceId != nil && r.LogicalID != *in.LogicalResourceId {
			continue
		}
		out.StackResources = append(out.StackResources, types.StackResource{
			StackId:              &stack.ID,
			StackName:            &stack.Name,
			LogicalResourceId:    &r.LogicalID,
			PhysicalResourceId:   optional(r.PhysicalID),
			ResourceType:         &r.Type,
			ResourceStatus:       r.Status,
			ResourceStatusReason: optional(r.Reason),
			Timestamp:            &r.Changed,
		})
	}
	return out, nil
}

// stackOf finds a stack by name or id, or by the physical id of one of its
// resources.
func (s *Service) stackOf(name, physicalID string) (*stackRecord, error) {
	if name != "" || physicalID == "" {
		return s.mustFindID(name)
	}
	stacks, err := s.live()
	if err != nil {
		return nil, err
	}
	for _, stack := range stacks {
		for _, r := range stack.Resources {
			if r.PhysicalID == physicalID {
				return &stack, nil
			}
		}
	}
	return nil, invalid("Stack for %s does not exist", physicalID)
}

func (s *stackRecord) sortedResources() []resourceRecord {
	var sorted []resourceRecord
	for _, id := range slices.Sorted(maps.Keys(s.Resources)) {
		sorted = append(sorted, s.Resources[id])
	}
	return sorted
}

// DescribeStackResource describes one resource, with its Metadata.
func (s *Service) DescribeStackResource(_ context.Context, in *cfn.DescribeStackResourceInput) (*cfn.DescribeStackResourceOutput, error) {
	stack, err := s.mustFind(aws.ToString(in.StackName))
	if err != nil {
		return nil, err
	}
	id := aws.ToString(in.LogicalResourceId)
	r, ok := stack.Resources[id]
	if !ok {
		return nil, invalid("Resource %s does not exist for stack %s", id, stack.Name)
	}
	detail := &types.StackResourceDetail{
		StackId:              &stack.ID,
		StackName:            &stack.Name,
		LogicalResourceId:    &id,
		PhysicalResourceId:   optional(r.PhysicalID),
		ResourceType:         &r.Type,
		ResourceStatus:       r.Status,
		ResourceStatusReason: optional(r.Reason),
		LastUpdatedTimestamp: &r.Changed,
		DriftInformation:     &types.StackResourceDriftInformation{StackResourceDriftStatus: types.StackResourceDriftStatusNotChecked},
	}
	if r.Metadata != nil {
		metadata, _ := json.Marshal(r.Metadata)
		detail.Metadata = aws.String(string(metadata))
	}
	return &cfn.DescribeStackResourceOutput{StackResourceDetail: detail}, nil
}

// ListStackResources lists a stack's resources.
func (s *Service) ListStackResources(_ context.Context, in *cfn.ListStackResourcesInput) (*cfn.ListStackResourcesOutput, error) {
	stack, err := s.mustFindID(aws.ToString(in.StackName))
	if err != nil {
		return nil, err
	}
	page, next, err := pageOf(stack.sortedResources(), func(r resourceRecord) string { return r.LogicalID }, in.NextToken)
	out := &cfn.ListStackResourcesOutput{StackResourceSummaries: []types.StackResourceSummary{}, NextToken: next}
	for _, r := range page {
		out.StackResourceSummaries = append(out.StackResourceSummaries, types.StackResourceSummary{
			LogicalResourceId:    &r.LogicalID,
			PhysicalResourceId:   optional(r.PhysicalID),
			ResourceType:         &r.Type,
			ResourceStatus:       r.Status,
			ResourceStatusReason: optional(r.Reason),
			LastUpdatedTimestamp: &r.Changed,
		})
	}
	return out, err
}

// GetTemplate returns the template of a stack or change set as it was sent.
// There are no macros here, so the processed template is the same.
func (s *Service) GetTemplate(_ context.Context, in *cfn.GetTemplateInput) (*cfn.GetTemplateOutput, error) {
	stages := []types.TemplateStage{types.TemplateStageOriginal, types.TemplateStageProcessed}
	if in.ChangeSetName != nil {
		c, err := s.findChangeSet(aws.ToString(in.StackName), *in.ChangeSetName)
		if err != nil {
			return nil, err
		}
		return &cfn.GetTemplateOutput{TemplateBody: &c.Target.Body, StagesAvailable: stages}, nil
	}
	stack, err := s.mustFindID(aws.ToString(in.StackName))
	if err != nil {
		return nil, err
	}
	return &cfn.GetTemplateOutput{TemplateBody: &stack.Current.Body, StagesAvailable: stages}, nil
}

// ValidateTemplate checks what can be checked without parameters.
func (s *Service) ValidateTemplate(ctx context.Context, in *cfn.ValidateTemplateInput) (*cfn.ValidateTemplateOutput, error) {
	body, err := s.body(ctx, in.TemplateBody, in.TemplateURL)
	if err != nil {
		return nil, err
	}
	t, err := template.Parse(body)
	if err != nil {
		return nil, asInvalid(err)
	}
	out := &cfn.ValidateTemplateOutput{Parameters: []types.TemplateParameter{}, Description: optional(t.Description)}
	out.Capabilities, out.CapabilitiesReason = s.capabilitiesOf(t)
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		p := t.Parameters[name]
		out.Parameters = append(out.Parameters, types.TemplateParameter{
			ParameterKey: aws.String(name),
			DefaultValue: shownDefault(p),
			Description:  optional(p.Description),
			NoEcho:       aws.Bool(p.IsSecret()),
		})
	}
	return out, nil
}

// GetTemplateSummary says what a template, or a stack's, has in it.
func (s *Service) GetTemplateSummary(ctx context.Context, in *cfn.GetTemplateSummaryInput) (*cfn.GetTemplateSummaryOutput, error) {
	body, err := s.summarized(ctx, in)
	if err != nil {
		return nil, err
	}
	t, err := template.Parse(body)
	if err != nil {
		return nil, asInvalid(err)
	}
	out := &cfn.GetTemplateSummaryOutput{
		Parameters:    []types.ParameterDeclaration{},
		Description:   optional(t.Description),
		Version:       optional(t.AWSTemplateFormatVersion),
		ResourceTypes: resourceTypes(t),
	}
	out.Capabilities, out.CapabilitiesReason = s.capabilitiesOf(t)
	if t.Metadata != nil {
		metadata, _ := json.Marshal(t.Metadata)
		out.Metadata = aws.String(string(metadata))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		out.Parameters = append(out.Parameters, declaration(name, t.Parameters[name]))
	}
	return out, nil
}

// summarized is the template that GetTemplateSummary is asked about.
func (s *Service) summarized(ctx context.Context, in *cfn.GetTemplateSummaryInput) (string, error) {
	if in.StackName == nil {
		return s.body(ctx, in.TemplateBody, in.TemplateURL)
	}
	stack, err := s.mustFindID(*in.StackName)
	if err != nil {
		return "", err
	}
	return stack.Current.Body, nil
}

// capabilitiesOf words capabilities as the API does.
func (s *Service) capabilitiesOf(t *template.Template) ([]types.Capability, *string) {
	needed, because := s.capabilities(t)
	if needed == "" {
		return nil, nil
	}
	return []types.Capability{needed}, aws.String("The following resource(s) require capabilities: [" + strings.Join(because, ", ") + "]")
}

func resourceTypes(t *template.Template) []string {
	seen := map[string]bool{}
	for _, r := range t.Resources {
		seen[r.Type] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func declaration(name string, p template.Parameter) types.ParameterDeclaration {
	declaration := types.ParameterDeclaration{
		ParameterKey:  &name,
		ParameterType: &p.Type,
		DefaultValue:  shownDefault(p),
		Description:   optional(p.Description),
		NoEcho:        aws.Bool(p.IsSecret()),
	}
	if len(p.AllowedValues) > 0 {
		declaration.ParameterConstraints = &types.ParameterConstraints{}
		for _, v := range p.AllowedValues {
			declaration.ParameterConstraints.AllowedValues = append(declaration.ParameterConstraints.AllowedValues, template.ScalarText(v))
		}
	}
	return declaration
}

func shownDefault(p template.Parameter) *string {
	switch {
	case p.Default == nil:
		return nil
	case p.IsSecret():
		return aws.String(template.NoEchoMask)
	}
	return aws.String(template.ScalarText(p.Default))
}
