package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// A changeSet is one that was created and not yet executed.
type changeSet = cloudformation.DescribeChangeSetOutput

// plan creates a change set and reports what it changes. It returns nil if the
// stack is up to date. A change set that will not be executed is deleted. An
// interruption waits for the answer, without which nobody knows what there is.
func (r *run) plan(ctx context.Context, stack *types.Stack, t template) (*changeSet, error) {
	created, err := r.client.CreateChangeSet(context.WithoutCancel(ctx), &cloudformation.CreateChangeSetInput{
		StackName:               &r.Stack,
		ChangeSetName:           aws.String(r.changeSetName()),
		ClientToken:             &r.token,
		ChangeSetType:           changeSetType(stack),
		TemplateBody:            &r.Template,
		Parameters:              t.values(r.Parameters, stack),
		Capabilities:            t.capabilities,
		ImportExistingResources: &r.ImportExisting,
	})
	if err != nil {
		if refusal(err) == "" {
			r.discard(ctx) // the answer may be lost, and not the request
		}
		return nil, invalidIf(err, "create a change set")
	}
	set, changes, err := r.planned(ctx, *created.Id)
	if err == nil && set.Status == types.ChangeSetStatusFailed {
		set, err = nil, r.objection(ctx, set, stack)
	}
	if set == nil || err != nil {
		r.discard(ctx)
		return nil, err
	}
	r.reportChanges(set, changes)
	return set, nil
}

func (r *run) changeSetName() string { return "flexbuild-" + r.token }

func changeSetType(stack *types.Stack) types.ChangeSetType {
	if stack == nil {
		return types.ChangeSetTypeCreate
	}
	return types.ChangeSetTypeUpdate
}

// planned waits until a change set is worked out and returns it with all its
// changes.
func (r *run) planned(ctx context.Context, id string) (set *changeSet, changes []types.Change, err error) {
	for wait := firstPause; ; wait = longer(wait) {
		set, err = r.client.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &id}, patiently)
		if err != nil {
			return nil, nil, fmt.Errorf("describe the change set: %w", err)
		}
		if set.Status != types.ChangeSetStatusCreatePending && set.Status != types.ChangeSetStatusCreateInProgress {
			break
		}
		if err := pause(ctx, wait); err != nil {
			return nil, nil, err
		}
	}
	changes = set.Changes
	for next := set.NextToken; next != nil; {
		page, err := r.client.DescribeChangeSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &id, NextToken: next}, patiently)
		if err != nil {
			return nil, nil, fmt.Errorf("describe the change set: %w", err)
		}
		changes, next = append(changes, page.Changes...), page.NextToken
	}
	return set, changes, nil
}

// objection is why a change set could not be worked out; nil if there is
// nothing to change, which CloudFormation calls a failure, in one of these
// ways.
func (r *run) objection(ctx context.Context, set *changeSet, stack *types.Stack) error {
	reason := aws.ToString(set.StatusReason)
	for _, words := range []string{"didn't contain changes", "No updates are to be performed"} {
		if stack != nil && strings.Contains(reason, words) {
			return nil
		}
	}
	for _, more := range r.validations(ctx, *set.ChangeSetId) {
		reason += "; " + more
	}
	return invalid("%s", reason)
}

// validations are what CloudFormation found wrong before it would change
// anything. The reason of the change set only says that it found something.
func (r *run) validations(ctx context.Context, id string) (found []string) {
	out, err := r.client.DescribeEvents(ctx, &cloudformation.DescribeEventsInput{
		ChangeSetName: &id, Filters: &types.EventFilter{FailedEvents: aws.Bool(true)},
	})
	if err != nil {
		return nil // the caller may not be allowed to ask
	}
	for _, event := range out.OperationEvents {
		if reason := aws.ToString(event.ValidationStatusReason); reason != "" {
			found = append(found, aws.ToString(event.LogicalResourceId)+": "+reason)
		}
	}
	return found
}

// execute starts the deployment. An interruption waits for the answer.
func (r *run) execute(ctx context.Context, set *changeSet) error {
	err := r.markEvents(ctx, *set.StackId)
	if err == nil {
		_, err = r.client.ExecuteChangeSet(context.WithoutCancel(ctx), &cloudformation.ExecuteChangeSetInput{ChangeSetName: set.ChangeSetId, ClientRequestToken: &r.token})
		if err != nil && refusal(err) == "" {
			return fmt.Errorf("%w if it was begun, which is not known: %w", ErrGoesOn, err)
		}
	}
	if err != nil {
		r.discard(ctx)
		return fmt.Errorf("execute the change set: %w", err)
	}
	return nil
}

// discardTimeout is how long tidying up may take, also after an interruption.
const discardTimeout = 30 * time.Second

// discard deletes the change set that is not executed, and the stack that was
// made for it if nobody else has one there.
func (r *run) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	_, err := r.client.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{StackName: &r.Stack, ChangeSetName: aws.String(r.changeSetName())})
	if err == nil && r.isNew {
		err = r.removeEmpty(ctx)
	}
	if err != nil && !isValidation(err, "does not exist") {
		r.report("note: the change set %s is left behind: %v", r.changeSetName(), err)
	}
}

func (r *run) removeEmpty(ctx context.Context) error {
	stack, err := r.find(ctx, r.Stack)
	if err != nil || stack == nil || stack.StackStatus != types.StackStatusReviewInProgress {
		return err
	}
	sets, err := r.client.ListChangeSets(ctx, &cloudformation.ListChangeSetsInput{StackName: stack.StackId})
	if err != nil || len(sets.Summaries) > 0 {
		return err
	}
	_, err = r.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: stack.StackId})
	return err
}

// reportChanges reports what a change set does to each resource.
func (r *run) reportChanges(set *changeSet, changes []types.Change) {
	counts, lines := map[string]int{}, []string{}
	for _, change := range changes {
		if change.ResourceChange == nil {
			continue // it is about a hook
		}
		kind, line := describe(change.ResourceChange)
		counts[kind]++
		lines = append(lines, line)
	}
	summary := []string{}
	for _, kind := range kinds {
		if counts[kind] > 0 {
			summary = append(summary, fmt.Sprintf("%d to %s", counts[kind], kind))
		}
	}
	if len(summary) == 0 {
		summary = []string{"no resource changes, but outputs or tags do"}
	}
	r.report("stack %s%s: %s", *set.StackName, placeOf(*set.StackId), strings.Join(summary, ", "))
	for _, line := range lines {
		r.report("%s", line)
	}
}

// placeOf reads the region and the account in a stack's id.
func placeOf(id string) string {
	fields := strings.Split(id, ":")
	if len(fields) < 5 {
		return ""
	}
	return fmt.Sprintf(" in %s, account %s", fields[3], fields[4])
}

// What can be done to a resource.
const (
	toAdd     = "add"
	toImport  = "take over"
	toChange  = "change"
	toReplace = "replace"
	toRemove  = "remove"
)

var kinds = []string{toAdd, toImport, toChange, toReplace, toRemove}

// describe says what happens to a resource. What is lost stands out.
func describe(c *types.ResourceChange) (kind, line string) {
	resource := aws.ToString(c.ResourceType) + " " + aws.ToString(c.LogicalResourceId)
	existing := resource + " (" + aws.ToString(c.PhysicalResourceId) + ")"
	switch {
	case c.Action == types.ChangeActionAdd:
		return toAdd, "add " + resource
	case c.Action == types.ChangeActionImport:
		return toImport, "take over " + existing + ", which exists"
	case c.Action == types.ChangeActionRemove:
		return toRemove, "REMOVE " + existing + fate(c.PolicyAction)
	case c.Replacement == types.ReplacementTrue:
		return toReplace, "REPLACE " + existing + fate(c.PolicyAction) + because(c)
	case c.Replacement == types.ReplacementConditional:
		return toReplace, "PERHAPS REPLACE " + existing + fate(c.PolicyAction) + because(c)
	case c.Action == types.ChangeActionModify:
		return toChange, "change " + resource + because(c)
	}
	return toChange, strings.ToLower(string(c.Action)) + " " + resource
}

// fate is what becomes of a resource that the stack no longer has.
func fate(policy types.PolicyAction) string {
	switch policy {
	case types.PolicyActionRetain, types.PolicyActionReplaceAndRetain:
		return ", which stays outside of the stack"
	case types.PolicyActionSnapshot, types.PolicyActionReplaceAndSnapshot:
		return ", which is deleted after a snapshot"
	case types.PolicyActionDelete, types.PolicyActionReplaceAndDelete:
		return ", which is deleted"
	}
	return ""
}

// because names the properties that change.
func because(c *types.ResourceChange) string {
	var names []string
	for _, detail := range c.Details {
		if target := detail.Target; target != nil {
			name := aws.ToString(target.Name)
			if name == "" {
				name = string(target.Attribute)
			}
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return ": " + strings.Join(slices.Compact(names), ", ")
}
