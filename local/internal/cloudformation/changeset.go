package cloudformation

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/uuid"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
)

// A changeSetRecord is a change set as the store keeps it, under the stack's
// key and its own UUID.
type changeSetRecord struct {
	ID          string
	Name        string
	StackKey    string
	StackID     string
	StackName   string
	Type        types.ChangeSetType
	Status      types.ChangeSetStatus
	Reason      string
	Execution   types.ExecutionStatus
	Created     time.Time
	Description string
	Token       string
	OnFailure   types.OnStackFailure
	// ImportExisting makes the stack take over existing resources; see
	// import.go.
	ImportExisting bool
	Target         revision
	// Role is the stack's role from the execution on.
	Role  string
	Steps []step
	// Basis is the stack's last operation when the change set was made.
	Basis string
}

// noChanges is the reason of a change set that changes nothing; the CDK and
// AWS CLIs look for these words.
const noChanges = "The submitted information didn't contain changes. Submit different information to create a change set."

func (c *changeSetRecord) key() string {
	return c.StackKey + "/" + c.ID[strings.LastIndex(c.ID, "/")+1:]
}

// CreateChangeSet works out what a template would change and stores that. For
// a stack that does not exist it makes one in status REVIEW_IN_PROGRESS.
func (s *Service) CreateChangeSet(ctx context.Context, in *cfn.CreateChangeSetInput) (*cfn.CreateChangeSetOutput, error) {
	if err := s.checkChangeSet(in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stack, err := s.changeSetStack(in)
	if err != nil {
		return nil, err
	}
	if existing, err := s.findChangeSetOf(stack, *in.ChangeSetName); err != nil || existing.holdsName(in.ClientToken) {
		return repeatedChangeSet(existing, in, err)
	}
	if _, err := s.withRole(ctx, stack, in.RoleARN); err != nil {
		return nil, err
	}
	target, p, err := s.plan(ctx, stack, deployRequest{
		TemplateBody:        in.TemplateBody,
		TemplateURL:         in.TemplateURL,
		UsePreviousTemplate: in.UsePreviousTemplate,
		Parameters:          in.Parameters,
		Tags:                in.Tags,
		Capabilities:        in.Capabilities,
		ImportExisting:      aws.ToBool(in.ImportExistingResources),
	})
	if err != nil {
		return nil, err
	}
	if stack.Status == "" {
		if err := s.setStatus(stack, types.StackStatusReviewInProgress, stack.initiated()); err != nil {
			return nil, err
		}
	}
	record := s.newChangeSet(stack, in, target, p)
	return &cfn.CreateChangeSetOutput{Id: &record.ID, StackId: &stack.ID}, s.changeSets.Put(record.key(), record)
}

func (s *Service) checkChangeSet(in *cfn.CreateChangeSetInput) error {
	if err := checkName("changeSetName", aws.ToString(in.ChangeSetName)); err != nil {
		return err
	}
	if in.ChangeSetType == types.ChangeSetTypeImport {
		return invalid("ChangeSetType IMPORT cannot be used: %s", notHere["ResourcesToImport"])
	}
	if err := checkConfig(in.DeploymentConfig, in.RollbackConfiguration); err != nil {
		return err
	}
	return refuse(in)
}

// changeSetStack finds the stack that a change set is for, or makes the record
// of a new one.
func (s *Service) changeSetStack(in *cfn.CreateChangeSetInput) (*stackRecord, error) {
	name := aws.ToString(in.StackName)
	stack, err := unlessMissing(s.find(name))
	if err != nil {
		return nil, err
	}
	isNew := stack == nil || stack.Status == types.StackStatusReviewInProgress
	if in.ChangeSetType != types.ChangeSetTypeCreate {
		if stack == nil {
			return nil, invalid("Stack [%s] does not exist", name)
		}
		return stack, checkUpdatable(stack)
	}
	switch {
	case !isNew:
		return nil, invalid("Stack [%s] already exists and cannot be created again with the changeSet [%s].", name, *in.ChangeSetName)
	case stack == nil:
		return s.newStack(name), checkName("stackName", name)
	}
	return stack, nil
}

// holdsName reports whether no other change set can have the name of c, which
// may be nil: an executed one frees it, except for the request that made it.
func (c *changeSetRecord) holdsName(token *string) bool {
	return c != nil && (!c.executed() || token != nil && *token == c.Token)
}

func (c *changeSetRecord) executed() bool {
	return c.Execution == types.ExecutionStatusExecuteComplete || c.Execution == types.ExecutionStatusExecuteFailed
}

// repeatedChangeSet answers a request for a change set whose name is taken.
func repeatedChangeSet(existing *changeSetRecord, in *cfn.CreateChangeSetInput, err error) (*cfn.CreateChangeSetOutput, error) {
	switch {
	case err != nil:
		return nil, err
	case in.ClientToken != nil && *in.ClientToken == existing.Token:
		return &cfn.CreateChangeSetOutput{Id: &existing.ID, StackId: &existing.StackID}, nil
	}
	return nil, alreadyExists("ChangeSet %s already exists", existing.ID)
}

func (s *Service) newChangeSet(stack *stackRecord, in *cfn.CreateChangeSetInput, target revision, p *plan) changeSetRecord {
	record := changeSetRecord{
		ID:          s.arn("changeSet", *in.ChangeSetName, uuid.NewString()),
		Name:        *in.ChangeSetName,
		StackKey:    stack.key(),
		StackID:     stack.ID,
		StackName:   stack.Name,
		Type:        in.ChangeSetType,
		Status:      types.ChangeSetStatusCreateComplete,
		Execution:   types.ExecutionStatusAvailable,
		Created:     s.now(),
		Description: aws.ToString(in.Description),
		Token:       aws.ToString(in.ClientToken),
		OnFailure:   in.OnStackFailure,

		ImportExisting: aws.ToBool(in.ImportExistingResources),

		Target: target,
		Role:   stack.Role,
		Basis:  stack.Operation,
	}
	for _, step := range p.steps {
		if step.Action != keep {
			record.Steps = append(record.Steps, step)
		}
	}
	if !p.changed {
		record.Status, record.Reason = types.ChangeSetStatusFailed, noChanges
		record.Execution = types.ExecutionStatusUnavailable
	}
	return record
}

// findChangeSetOf returns a stack's change set with a name or id, or nil. Of
// two with a name it is the one that was not executed, else the newer one.
func (s *Service) findChangeSetOf(stack *stackRecord, nameOrID string) (*changeSetRecord, error) {
	entries, err := s.changeSets.List(stack.key() + "/")
	if err != nil {
		return nil, err
	}
	var found *changeSetRecord
	for _, entry := range entries {
		c := &entry.Value
		if c.ID == nameOrID {
			return c, nil
		}
		if c.Name == nameOrID && (found == nil || !c.executed() || found.executed() && c.Created.After(found.Created)) {
			found = c
		}
	}
	return found, nil
}

// findChangeSet returns a change set by its id, or by its name and its stack's.
func (s *Service) findChangeSet(stack, nameOrID string) (*changeSetRecord, error) {
	missing := changeSetNotFound("ChangeSet [%s] does not exist", nameOrID)
	if strings.HasPrefix(nameOrID, "arn:") {
		entries, err := s.changeSets.List("")
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.Value.ID == nameOrID {
				return &entry.Value, nil
			}
		}
		return nil, missing
	}
	if stack == "" {
		return nil, invalid("StackName must be specified if ChangeSetName is not specified as an ARN.")
	}
	owner, err := s.mustFind(stack)
	if err != nil {
		return nil, err
	}
	record, err := s.findChangeSetOf(owner, nameOrID)
	if err == nil && record == nil {
		return nil, missing
	}
	return record, err
}

// ExecuteChangeSet starts to do what a change set says.
func (s *Service) ExecuteChangeSet(ctx context.Context, in *cfn.ExecuteChangeSetInput) (*cfn.ExecuteChangeSetOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, err := s.findChangeSet(aws.ToString(in.StackName), aws.ToString(in.ChangeSetName))
	if err != nil {
		return nil, err
	}
	stack, err := s.mustFind(record.StackID)
	if err != nil {
		return nil, err
	}
	if repeats(stack, in.ClientRequestToken) {
		return &cfn.ExecuteChangeSetOutput{}, nil
	}
	if err := s.checkExecutable(record, stack); err != nil {
		return nil, err
	}
	return &cfn.ExecuteChangeSetOutput{}, s.execute(ctx, record, stack, in)
}

func (s *Service) checkExecutable(record *changeSetRecord, stack *stackRecord) error {
	if record.Execution != types.ExecutionStatusAvailable || record.Basis != stack.Operation {
		return invalidChangeSetStatus(
			"ChangeSet [%s] cannot be executed in its current status of [%s]", record.ID, record.Status)
	}
	if stack.Status == types.StackStatusReviewInProgress {
		return nil
	}
	return checkUpdatable(stack)
}

// execute plans once more, for exports may have come and gone meanwhile, and
// starts the deployment. A stack's other change sets end with it.
func (s *Service) execute(ctx context.Context, record *changeSetRecord, stack *stackRecord, in *cfn.ExecuteChangeSetInput) error {
	stack.Role = record.Role
	work, err := s.asRole(ctx, stack)
	if err != nil {
		return err
	}
	t, err := template.Parse(record.Target.Body)
	if err != nil {
		return err
	}
	p, err := s.planRevision(ctx, stack, t, record.Target, record.ImportExisting)
	if err != nil {
		return err
	}
	if err := s.dropChangeSets(stack, record.ID); err != nil {
		return err
	}
	record.Execution = types.ExecutionStatusExecuteInProgress
	if err := s.changeSets.Put(record.key(), *record); err != nil {
		return err
	}
	o := options{
		kind:      updating,
		token:     aws.ToString(in.ClientRequestToken),
		onFailure: onFailure(types.OnFailure(record.OnFailure), in.DisableRollback),
		retain:    !aws.ToBool(in.RetainExceptOnCreate),
		changeSet: record,
	}
	if stack.Status == types.StackStatusReviewInProgress {
		o.kind = creating
	}
	stack.ChangeSetID = record.ID
	return s.startDeploy(work, stack, record.Target, p, o)
}

// finishChangeSet notes how the execution of the operation's change set ended.
func (op *operation) finishChangeSet(status types.ExecutionStatus) {
	if op.changeSet == nil || op.halted() {
		return
	}
	op.changeSet.Execution = status
	op.broken = op.service.changeSets.Put(op.changeSet.key(), *op.changeSet)
}

// failChangeSets ends the execution of a change set that was cut off.
func (s *Service) failChangeSets(stack *stackRecord) error {
	entries, err := s.changeSets.List(stack.key() + "/")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Value.Execution != types.ExecutionStatusExecuteInProgress {
			continue
		}
		entry.Value.Execution = types.ExecutionStatusExecuteFailed
		if err := s.changeSets.Put(entry.Key, entry.Value); err != nil {
			return err
		}
	}
	return nil
}

// dropChangeSets deletes a stack's change sets but one.
func (s *Service) dropChangeSets(stack *stackRecord, except string) error {
	entries, err := s.changeSets.List(stack.key() + "/")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Value.ID == except {
			continue
		}
		if err := s.changeSets.Delete(entry.Key); err != nil {
			return err
		}
	}
	return nil
}

// DeleteChangeSet deletes a change set. That there is none of the name is no
// error.
func (s *Service) DeleteChangeSet(_ context.Context, in *cfn.DeleteChangeSetInput) (*cfn.DeleteChangeSetOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, err := s.findChangeSet(aws.ToString(in.StackName), aws.ToString(in.ChangeSetName))
	if _, missing := err.(*types.ChangeSetNotFoundException); missing {
		return &cfn.DeleteChangeSetOutput{}, nil
	}
	if err != nil {
		return nil, err
	}
	if record.Execution == types.ExecutionStatusExecuteInProgress {
		return nil, invalidChangeSetStatus("ChangeSet [%s] is being executed", record.ID)
	}
	return &cfn.DeleteChangeSetOutput{}, s.changeSets.Delete(record.key())
}

// ListChangeSets lists a stack's change sets that were not executed.
func (s *Service) ListChangeSets(_ context.Context, in *cfn.ListChangeSetsInput) (*cfn.ListChangeSetsOutput, error) {
	stack, err := s.mustFind(aws.ToString(in.StackName))
	if err != nil {
		return nil, err
	}
	entries, err := s.changeSets.List(stack.key() + "/")
	if err != nil {
		return nil, err
	}
	var summaries []types.ChangeSetSummary
	for _, entry := range entries {
		c := entry.Value
		if c.executed() {
			continue
		}
		summaries = append(summaries, types.ChangeSetSummary{
			ChangeSetId:     &c.ID,
			ChangeSetName:   &c.Name,
			StackId:         &c.StackID,
			StackName:       &c.StackName,
			Status:          c.Status,
			StatusReason:    optional(c.Reason),
			ExecutionStatus: c.Execution,
			CreationTime:    &c.Created,
			Description:     optional(c.Description),
		})
	}
	page, next, err := pageOf(summaries, func(s types.ChangeSetSummary) string { return *s.ChangeSetId }, in.NextToken)
	return &cfn.ListChangeSetsOutput{Summaries: page, NextToken: next}, err
}

// DescribeChangeSet says what a change set would do, 100 changes a page.
func (s *Service) DescribeChangeSet(_ context.Context, in *cfn.DescribeChangeSetInput) (*cfn.DescribeChangeSetOutput, error) {
	c, err := s.findChangeSet(aws.ToString(in.StackName), aws.ToString(in.ChangeSetName))
	if err != nil {
		return nil, err
	}
	page, next, err := pageOf(c.Steps, func(s step) string { return s.LogicalID + " " + s.PhysicalID }, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &cfn.DescribeChangeSetOutput{
		Changes:         []types.Change{},
		ChangeSetId:     &c.ID,
		ChangeSetName:   &c.Name,
		StackId:         &c.StackID,
		StackName:       &c.StackName,
		Status:          c.Status,
		StatusReason:    optional(c.Reason),
		ExecutionStatus: c.Execution,
		CreationTime:    &c.Created,
		Description:     optional(c.Description),
		Capabilities:    c.Target.Capabilities,
		Parameters:      shownParameters(c.Target),
		Tags:            c.Target.Tags,
		OnStackFailure:  c.OnFailure,

		ImportExistingResources: aws.Bool(c.ImportExisting),

		NextToken: next,
	}
	for _, step := range page {
		change := step.change(s.Providers[step.Type], aws.ToBool(in.IncludePropertyValues))
		out.Changes = append(out.Changes, types.Change{Type: types.ChangeTypeResource, ResourceChange: &change})
	}
	return out, nil
}

// changeActions are the actions as the API names them.
var changeActions = map[action]types.ChangeAction{
	add:     types.ChangeActionAdd,
	adopt:   types.ChangeActionImport,
	modify:  types.ChangeActionModify,
	replace: types.ChangeActionModify,
	remove:  types.ChangeActionRemove,
}

// change is a step as DescribeChangeSet shows it.
func (st step) change(provider resources.Provider, values bool) types.ResourceChange {
	change := types.ResourceChange{
		Action:             changeActions[st.Action],
		LogicalResourceId:  &st.LogicalID,
		PhysicalResourceId: optional(st.PhysicalID),
		ResourceType:       &st.Type,
		PolicyAction:       st.Policy,
	}
	if values {
		change.BeforeContext = propertiesContext(st.Before)
		change.AfterContext = propertiesContext(st.After)
	}
	if st.Action != modify && st.Action != replace {
		return change
	}
	change.Replacement = types.ReplacementFalse
	if st.Action == replace {
		change.Replacement = types.ReplacementTrue
	}
	for _, name := range st.Properties {
		change.Details = append(change.Details, st.detail(name, provider, values))
	}
	if len(st.Properties) > 0 {
		change.Scope = append(change.Scope, types.ResourceAttributeProperties)
	}
	for _, attribute := range st.Attributes {
		change.Scope = append(change.Scope, attribute)
		change.Details = append(change.Details, types.ResourceChangeDetail{
			ChangeSource: types.ChangeSourceDirectModification,
			Evaluation:   types.EvaluationTypeStatic,
			Target:       &types.ResourceTargetDefinition{Attribute: attribute, RequiresRecreation: types.RequiresRecreationNever},
		})
	}
	return change
}

// detail is the change of one property. It is dynamic if its value follows
// from another resource that is yet to be made.
func (st step) detail(name string, provider resources.Provider, values bool) types.ResourceChangeDetail {
	target := &types.ResourceTargetDefinition{
		Attribute:          types.ResourceAttributeProperties,
		Name:               &name,
		RequiresRecreation: types.RequiresRecreationNever,
	}
	if provider != nil && provider.Schema().CreateOnly(name) {
		target.RequiresRecreation = types.RequiresRecreationAlways
	}
	before, after := propertyText(st.Before[name]), propertyText(st.After[name])
	if values {
		target.Path = aws.String("/Properties/" + name)
		target.BeforeValue, target.AfterValue = optional(before), optional(after)
		target.AttributeChangeType = changeType(before, after)
	}
	detail := types.ResourceChangeDetail{
		ChangeSource: types.ChangeSourceDirectModification,
		Evaluation:   types.EvaluationTypeStatic,
		Target:       target,
	}
	if strings.Contains(after, template.KnownAfterApply) {
		detail.ChangeSource, detail.Evaluation = types.ChangeSourceResourceReference, types.EvaluationTypeDynamic
	}
	return detail
}

func changeType(before, after string) types.AttributeChangeType {
	switch {
	case before == "":
		return types.AttributeChangeTypeAdd
	case after == "":
		return types.AttributeChangeTypeRemove
	}
	return types.AttributeChangeTypeModify
}

func propertyText(value any) string {
	switch value.(type) {
	case nil:
		return ""
	case map[string]any, []any, template.Unknown:
		data, _ := json.Marshal(value)
		return strings.Trim(string(data), `"`)
	}
	return template.ScalarText(value)
}

// propertiesContext writes properties as a change set's contexts do.
func propertiesContext(properties map[string]any) *string {
	if properties == nil {
		return nil
	}
	data, _ := json.Marshal(map[string]any{"Properties": properties})
	return aws.String(string(data))
}

// shownParameters are a revision's parameters as answers show them.
func shownParameters(r revision) []types.Parameter {
	t, err := template.Parse(r.Body)
	if err != nil {
		return nil // the stack has no template yet
	}
	var shown []types.Parameter
	for name, value := range r.Parameters {
		p := types.Parameter{ParameterKey: aws.String(name), ParameterValue: aws.String(value.Given), ResolvedValue: optional(value.Resolved)}
		if t.Parameters[name].IsSecret() {
			p.ParameterValue, p.ResolvedValue = aws.String(template.NoEchoMask), nil
		}
		shown = append(shown, p)
	}
	slices.SortFunc(shown, func(a, b types.Parameter) int { return strings.Compare(*a.ParameterKey, *b.ParameterKey) })
	return shown
}
