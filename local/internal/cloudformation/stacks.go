package cloudformation

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/uuid"
)

// CreateStack checks a template and starts to deploy it as a new stack.
func (s *Service) CreateStack(ctx context.Context, in *cfn.CreateStackInput) (*cfn.CreateStackOutput, error) {
	if err := s.checkCreate(in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := aws.ToString(in.StackName)
	existing, err := unlessMissing(s.find(name))
	if err != nil {
		return nil, err
	}
	if existing != nil {
		if repeats(existing, in.ClientRequestToken) {
			return &cfn.CreateStackOutput{StackId: &existing.ID, OperationId: &existing.Operation}, nil
		}
		return nil, alreadyExists("Stack [%s] already exists", name)
	}
	stack := s.newStack(name)
	stack.TerminationProtection = aws.ToBool(in.EnableTerminationProtection)
	stack.TimeoutInMinutes = in.TimeoutInMinutes
	work, err := s.withRole(ctx, stack, in.RoleARN)
	if err != nil {
		return nil, err
	}
	target, p, err := s.plan(ctx, stack, deployRequest{
		TemplateBody: in.TemplateBody,
		TemplateURL:  in.TemplateURL,
		Parameters:   in.Parameters,
		Tags:         in.Tags,
		Capabilities: in.Capabilities,
	})
	if err != nil {
		return nil, err
	}
	err = s.startDeploy(work, stack, target, p, options{
		kind:      creating,
		token:     aws.ToString(in.ClientRequestToken),
		onFailure: onFailure(in.OnFailure, in.DisableRollback),
		retain:    !aws.ToBool(in.RetainExceptOnCreate),
	})
	return &cfn.CreateStackOutput{StackId: &stack.ID, OperationId: &stack.Operation}, err
}

func (s *Service) checkCreate(in *cfn.CreateStackInput) error {
	if err := checkName("stackName", aws.ToString(in.StackName)); err != nil {
		return err
	}
	if err := checkConfig(in.DeploymentConfig, in.RollbackConfiguration); err != nil {
		return err
	}
	if in.OnFailure != "" && in.DisableRollback != nil {
		return invalid("You can specify either OnFailure or DisableRollback, but not both.")
	}
	return refuse(in)
}

// repeats reports whether a request is the one that started the stack's last
// operation.
func repeats(stack *stackRecord, token *string) bool {
	return token != nil && *token != "" && *token == stack.Token
}

// onFailure combines the two ways to say what happens after a failure.
func onFailure(choice types.OnFailure, disableRollback *bool) types.OnFailure {
	switch {
	case choice != "":
		return choice
	case aws.ToBool(disableRollback):
		return types.OnFailureDoNothing
	}
	return types.OnFailureRollback
}

// UpdateStack checks a template and starts to change a stack to it. If there
// is nothing to change it fails with "No updates are to be performed."
func (s *Service) UpdateStack(ctx context.Context, in *cfn.UpdateStackInput) (*cfn.UpdateStackOutput, error) {
	if err := checkConfig(in.DeploymentConfig, in.RollbackConfiguration); err != nil {
		return nil, err
	}
	if err := refuse(in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stack, err := s.mustFind(aws.ToString(in.StackName))
	if err != nil {
		return nil, err
	}
	if repeats(stack, in.ClientRequestToken) {
		return &cfn.UpdateStackOutput{StackId: &stack.ID, OperationId: &stack.Operation}, nil
	}
	if err := checkUpdatable(stack); err != nil {
		return nil, err
	}
	return &cfn.UpdateStackOutput{StackId: &stack.ID, OperationId: &stack.Operation}, s.startUpdate(ctx, stack, in)
}

func (s *Service) startUpdate(ctx context.Context, stack *stackRecord, in *cfn.UpdateStackInput) error {
	work, err := s.withRole(ctx, stack, in.RoleARN)
	if err != nil {
		return err
	}
	target, p, err := s.plan(ctx, stack, deployRequest{
		TemplateBody:        in.TemplateBody,
		TemplateURL:         in.TemplateURL,
		UsePreviousTemplate: in.UsePreviousTemplate,
		Parameters:          in.Parameters,
		Tags:                in.Tags,
		Capabilities:        in.Capabilities,
	})
	if err != nil {
		return err
	}
	if !p.changed {
		return invalid("No updates are to be performed.")
	}
	return s.startDeploy(work, stack, target, p, options{
		kind:      updating,
		token:     aws.ToString(in.ClientRequestToken),
		onFailure: onFailure("", in.DisableRollback),
		retain:    !aws.ToBool(in.RetainExceptOnCreate),
	})
}

// DeleteStack starts to delete a stack. That there is none of the name is no
// error.
func (s *Service) DeleteStack(ctx context.Context, in *cfn.DeleteStackInput) (*cfn.DeleteStackOutput, error) {
	if in.DeletionMode == types.DeletionModeForceDeleteStack {
		return nil, invalid("DeletionMode FORCE_DELETE_STACK cannot be used with the local engine; name what shall stay in RetainResources")
	}
	if err := checkConfig(in.DeploymentConfig, nil); err != nil {
		return nil, err
	}
	if err := refuse(in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stack, err := unlessMissing(s.find(aws.ToString(in.StackName)))
	if err != nil {
		return nil, err
	}
	if stack == nil || !stack.live() || stack.Status == types.StackStatusDeleteInProgress {
		return &cfn.DeleteStackOutput{}, nil
	}
	if err := s.checkDeletable(stack, in.RetainResources); err != nil {
		return nil, err
	}
	work, err := s.withRole(ctx, stack, in.RoleARN)
	if err != nil {
		return nil, err
	}
	return &cfn.DeleteStackOutput{}, s.startDelete(work, stack, aws.ToString(in.ClientRequestToken), in.RetainResources)
}

func (s *Service) checkDeletable(stack *stackRecord, retain []string) error {
	switch {
	case stack.TerminationProtection:
		return invalid("Stack [%s] cannot be deleted while TerminationProtection is enabled", stack.Name)
	case stack.busy():
		return invalid("Stack:%s is in %s state and can not be deleted; wait until the operation is done.", stack.ID, stack.Status)
	case len(retain) > 0 && stack.Status != types.StackStatusDeleteFailed:
		return invalid("Invalid operation on stack [%s]. The RetainResources parameter can be used only when the stack is in the DELETE_FAILED state", stack.ID)
	}
	return s.checkExports(stack, nil)
}

// RollbackStack leads a stack whose operation failed, and was asked not to roll
// back or was cut off, back to its last stable state.
func (s *Service) RollbackStack(ctx context.Context, in *cfn.RollbackStackInput) (*cfn.RollbackStackOutput, error) {
	if err := refuse(in); err != nil {
		return nil, err
	}
	o := options{token: aws.ToString(in.ClientRequestToken), retain: !aws.ToBool(in.RetainExceptOnCreate)}
	o.rollsBack = types.OperationTypeRollback
	stack, err := s.startRollback(ctx, aws.ToString(in.StackName), in.RoleARN, o,
		types.StackStatusCreateFailed, types.StackStatusUpdateFailed)
	if err != nil {
		return nil, err
	}
	return &cfn.RollbackStackOutput{StackId: &stack.ID, OperationId: &stack.Operation}, nil
}

// ContinueUpdateRollback tries again to roll back an update.
func (s *Service) ContinueUpdateRollback(ctx context.Context, in *cfn.ContinueUpdateRollbackInput) (*cfn.ContinueUpdateRollbackOutput, error) {
	if len(in.ResourcesToSkip) > 0 {
		return nil, invalid("ResourcesToSkip cannot be used with the local engine")
	}
	if err := refuse(in); err != nil {
		return nil, err
	}
	o := options{token: aws.ToString(in.ClientRequestToken), retain: true}
	o.rollsBack = types.OperationTypeContinueRollback
	_, err := s.startRollback(ctx, aws.ToString(in.StackName), in.RoleARN, o, types.StackStatusUpdateRollbackFailed)
	return &cfn.ContinueUpdateRollbackOutput{}, err
}

func (s *Service) startRollback(ctx context.Context, name string, role *string, o options, from ...types.StackStatus) (*stackRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stack, err := s.mustFind(name)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(from, stack.Status) || stack.Before == nil {
		return nil, invalid("Stack:%s is in %s state and can not be rolled back.", stack.ID, stack.Status)
	}
	o.kind = updating
	if stack.Status == types.StackStatusCreateFailed {
		o.kind = creating
	}
	work, err := s.withRole(ctx, stack, role)
	if err != nil {
		return nil, err
	}
	op := s.operation(work, stack, o)
	return stack, op.start(o.kind.rollback, stack.initiated(), op.rollback)
}

// UpdateTerminationProtection sets whether a stack can be deleted.
func (s *Service) UpdateTerminationProtection(_ context.Context, in *cfn.UpdateTerminationProtectionInput) (*cfn.UpdateTerminationProtectionOutput, error) {
	stack, err := s.mustFind(aws.ToString(in.StackName))
	if err != nil {
		return nil, err
	}
	_, err = s.stacks.Update(stack.key(), func(stored stackRecord, _ bool) (stackRecord, error) {
		stored.TerminationProtection = aws.ToBool(in.EnableTerminationProtection)
		return stored, nil
	})
	return &cfn.UpdateTerminationProtectionOutput{StackId: &stack.ID}, err
}

// startDeploy makes a stack what a revision says, in the background.
func (s *Service) startDeploy(ctx context.Context, stack *stackRecord, target revision, p *plan, o options) error {
	if stack.Before == nil {
		stack.Before = &snapshot{Current: stack.Current, Resources: cloneOf(stack.Resources), Outputs: stack.Outputs, Imports: stack.Imports}
	}
	// A clean-up that was cut off left resources noted as garbage that are the
	// stack's still; whether they are wanted is for this template to say.
	stack.Garbage = slices.DeleteFunc(stack.Garbage, func(g garbage) bool {
		return stack.Resources[g.Record.LogicalID].PhysicalID == g.Record.PhysicalID
	})
	stack.Current, stack.Imports = target, p.imports
	stack.DisableRollback = o.onFailure == types.OnFailureDoNothing
	if o.kind == updating {
		stack.Updated = s.now()
	}
	op := s.operation(ctx, stack, o)
	return op.start(o.kind.progress, stack.initiated(), op.deploy)
}

// startDelete deletes a stack in the background.
func (s *Service) startDelete(ctx context.Context, stack *stackRecord, token string, retain []string) error {
	op := s.operation(ctx, stack, options{kind: deleting, token: token})
	for _, r := range stack.Resources {
		keep := r.outlivesTheStack() || slices.Contains(retain, r.LogicalID)
		op.discard(r, keep)
	}
	return op.start(deleting.progress, stack.initiated(), op.delete)
}

// keptOperations is how many operations DescribeStacks returns. AWS does not
// document how many it returns.
const keptOperations = 5

// operation makes the work on a stack; start begins it.
func (s *Service) operation(ctx context.Context, stack *stackRecord, o options) *operation {
	stack.Token, stack.Operation = o.token, uuid.NewString()
	stack.DeletionUnseen = o.kind == deleting
	entry := types.OperationEntry{OperationId: aws.String(stack.Operation), OperationType: o.operationType()}
	stack.Operations = append([]types.OperationEntry{entry}, stack.Operations[:min(len(stack.Operations), keptOperations-1)]...)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(s.ctx, cancel)
	return &operation{service: s, stack: stack, options: o, ctx: ctx, cancel: cancel}
}
