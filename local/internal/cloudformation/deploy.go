package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
)

// A kind is the set of statuses that a stack goes through in one kind of
// operation.
type kind struct {
	progress, done, failed               types.StackStatus
	rollback, rolledBack, rollbackFailed types.StackStatus
	// cleanup and rollbackCleanup are the statuses while what is no longer
	// needed is deleted; a creation has none.
	cleanup, rollbackCleanup types.StackStatus
}

var (
	creating = kind{
		progress:       types.StackStatusCreateInProgress,
		done:           types.StackStatusCreateComplete,
		failed:         types.StackStatusCreateFailed,
		rollback:       types.StackStatusRollbackInProgress,
		rolledBack:     types.StackStatusRollbackComplete,
		rollbackFailed: types.StackStatusRollbackFailed,
	}
	updating = kind{
		progress:        types.StackStatusUpdateInProgress,
		done:            types.StackStatusUpdateComplete,
		failed:          types.StackStatusUpdateFailed,
		cleanup:         types.StackStatusUpdateCompleteCleanupInProgress,
		rollback:        types.StackStatusUpdateRollbackInProgress,
		rolledBack:      types.StackStatusUpdateRollbackComplete,
		rollbackFailed:  types.StackStatusUpdateRollbackFailed,
		rollbackCleanup: types.StackStatusUpdateRollbackCompleteCleanupInProgress,
	}
	deleting = kind{
		progress: types.StackStatusDeleteInProgress,
		done:     types.StackStatusDeleteComplete,
		failed:   types.StackStatusDeleteFailed,
	}
)

// options say how an operation goes about its work.
type options struct {
	kind      kind
	token     string
	onFailure types.OnFailure
	// retain is false if the caller asked with RetainExceptOnCreate that a
	// roll-back deletes even what a DeletionPolicy retains.
	retain bool
	// changeSet, if any, is the change set that is executed.
	changeSet *changeSetRecord
	// rollsBack is the type of an operation that only rolls back.
	rollsBack types.OperationType
}

func (o options) operationType() types.OperationType {
	switch {
	case o.rollsBack != "":
		return o.rollsBack
	case o.kind == creating:
		return types.OperationTypeCreateStack
	case o.kind == deleting:
		return types.OperationTypeDeleteStack
	}
	return types.OperationTypeUpdateStack
}

// An operation is the work on one stack, from a request to a final status. It
// owns the stack's record until then, because a stack in progress takes no
// other request.
type operation struct {
	options
	service *Service
	stack   *stackRecord
	ctx     context.Context
	cancel  context.CancelFunc
	// broken is why the state could not be written; nothing more is done then.
	broken error
}

// start sets the first status and does the work in the background.
func (op *operation) start(status types.StackStatus, reason string, work func()) error {
	if err := op.service.setStatus(op.stack, status, reason); err != nil {
		op.cancel()
		return err
	}
	// The request that started the operation answers with the stack as it was
	// then; the operation goes on with a copy.
	copied := *op.stack
	op.stack = &copied
	op.service.running.Add(1)
	go func() {
		defer op.service.running.Done()
		defer op.cancel()
		work()
		if op.broken != nil {
			op.service.Log.Error("a stack operation was abandoned", "stack", op.stack.Name, "error", op.broken)
		}
	}()
	return nil
}

// halted reports whether the operation must leave everything as it is: the
// service is closing, or its state cannot be written.
func (op *operation) halted() bool { return op.broken != nil || op.ctx.Err() != nil }

func (op *operation) status(status types.StackStatus, reason string) {
	if !op.halted() {
		op.broken = op.service.setStatus(op.stack, status, reason)
	}
}

// progress records what happens to a resource, and adds an event for it.
func (op *operation) progress(r resourceRecord, status types.ResourceStatus, reason string) {
	r.Status, r.Reason, r.Changed = status, reason, op.service.now()
	if now, ok := op.stack.Resources[r.LogicalID]; !ok || now.PhysicalID == "" || now.PhysicalID == r.PhysicalID {
		op.stack.Resources[r.LogicalID] = r
	}
	if op.broken == nil {
		op.broken = op.service.event(op.stack, r)
	}
}

// deploy makes the stack what its current revision says, or undoes what was
// done.
func (op *operation) deploy() {
	err := op.apply()
	if op.halted() {
		return
	}
	if err == nil {
		op.succeed()
		return
	}
	op.finishChangeSet(types.ExecutionStatusExecuteFailed)
	switch op.onFailure {
	case types.OnFailureDoNothing:
		op.status(op.kind.failed, err.Error())
	case types.OnFailureDelete:
		op.deleteAfterFailure(err.Error())
	default:
		op.status(op.kind.rollback, err.Error()+" Rollback requested by user.")
		op.rollback()
	}
}

// apply makes and changes resources in order and resolves the outputs.
func (op *operation) apply() error {
	t, err := template.Parse(op.stack.Current.Body)
	if err != nil {
		return err
	}
	planner := op.service.planner(op.stack, t, op.stack.Current)
	planner.executing = true
	planner.adopt = op.service.adopter(op.ctx, op.stack, op.changeSet != nil && op.changeSet.ImportExisting)
	if err := planner.prepare(); err != nil {
		return err
	}
	for _, id := range planner.wanted {
		if err := op.applyResource(planner, id); err != nil || op.halted() {
			return err
		}
	}
	for _, gone := range planner.removals() {
		record := op.stack.Resources[gone.LogicalID]
		op.discard(record, record.outlivesTheStack())
	}
	return op.applyOutputs(planner)
}

func (op *operation) applyOutputs(planner *planner) error {
	outputs := planner.outputs()
	if len(planner.problems) > 0 {
		return fmt.Errorf("%s", strings.Join(planner.problems, "; "))
	}
	if err := op.service.checkExports(op.stack, outputs); err != nil {
		return resources.WithoutCode(err)
	}
	op.stack.Outputs = outputs
	return nil
}

// applyResource does one step of the plan, now that everything before it is
// known.
func (op *operation) applyResource(planner *planner, id string) error {
	planner.problems = nil
	s := planner.step(id)
	record := op.record(planner, s)
	verb, err := "create", error(nil)
	switch {
	case len(planner.problems) > 0:
		verb, err = op.reject(record, strings.Join(planner.problems, "; "))
	case s.Action == add:
		err = op.create(record)
	case s.Action == adopt:
		verb, err = "import", op.adopt(record)
	case s.Action == modify && len(s.Properties) > 0:
		verb, err = "update", op.update(record, s)
	case s.Action == replace:
		verb, err = "update", op.replace(record, s)
	default:
		op.stack.Resources[id] = record
	}
	planner.fresh[id] = false
	if err != nil {
		return fmt.Errorf("The following resource(s) failed to %s: [%s].", verb, id) //nolint:staticcheck // CloudFormation's own words
	}
	return nil
}

// reject fails a resource whose properties turned out wrong once they were
// known.
func (op *operation) reject(r resourceRecord, problem string) (verb string, err error) {
	err = fmt.Errorf("%s", problem)
	if old, exists := op.stack.Resources[r.LogicalID]; exists && old.PhysicalID != "" {
		op.progress(old, types.ResourceStatusUpdateFailed, problem)
		return "update", err
	}
	op.progress(r, types.ResourceStatusCreateFailed, problem)
	return "create", err
}

// record is the record of a resource as the template wants it.
func (op *operation) record(planner *planner, s step) resourceRecord {
	id := s.LogicalID
	r, old := planner.template.Resources[id], op.stack.Resources[id]
	return resourceRecord{
		LogicalID:     id,
		Type:          r.Type,
		PhysicalID:    s.PhysicalID,
		Status:        old.Status,
		Reason:        old.Reason,
		Changed:       old.Changed,
		Properties:    s.After,
		Attributes:    old.Attributes,
		Metadata:      r.Metadata,
		DependsOn:     planner.depends[id],
		DeletePolicy:  r.DeletionPolicy,
		ReplacePolicy: r.UpdateReplacePolicy,
	}
}

func (op *operation) request(r resourceRecord, previous map[string]any) resources.Request {
	return resources.Request{
		StackName:  op.stack.Name,
		StackID:    op.stack.ID,
		LogicalID:  r.LogicalID,
		Properties: r.Properties,
		Previous:   previous,
	}
}

// create makes a resource.
func (op *operation) create(r resourceRecord) error {
	op.progress(r, types.ResourceStatusCreateInProgress, "")
	made, err := op.service.Providers[r.Type].Create(op.ctx, op.request(r, nil))
	r.PhysicalID, r.Attributes = made.PhysicalID, made.Attributes
	if err != nil {
		if made.PhysicalID != "" {
			op.discard(r, false)
			r.PhysicalID = ""
		}
		op.progress(r, types.ResourceStatusCreateFailed, resources.WithoutCode(err).Error())
		return err
	}
	op.progress(r, types.ResourceStatusCreateInProgress, "Resource creation Initiated")
	op.progress(r, types.ResourceStatusCreateComplete, made.Note)
	return nil
}

// update changes a resource in place.
func (op *operation) update(r resourceRecord, s step) error {
	old := op.stack.Resources[r.LogicalID]
	// Until the change is made the old properties stay on record: if it is cut
	// off or fails, the next update or roll-back sees that there is work to do.
	op.progress(old, types.ResourceStatusUpdateInProgress, "")
	made, err := op.service.Providers[r.Type].Update(op.ctx, op.request(r, s.Before), r.PhysicalID)
	if err != nil {
		op.progress(old, types.ResourceStatusUpdateFailed, resources.WithoutCode(err).Error())
		return err
	}
	r.Attributes = made.Attributes
	op.progress(r, types.ResourceStatusUpdateComplete, made.Note)
	return nil
}

// replace makes the resource anew; the old one is deleted when everything else
// is done.
func (op *operation) replace(r resourceRecord, s step) error {
	old := op.stack.Resources[r.LogicalID]
	op.progress(old, types.ResourceStatusUpdateInProgress, "Requested update requires the creation of a new physical resource; hence creating one.")
	made, err := op.service.Providers[r.Type].Create(op.ctx, op.request(r, s.Before))
	if err == nil && made.PhysicalID == old.PhysicalID {
		err = fmt.Errorf("CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename %s and update the stack again", old.PhysicalID) //nolint:staticcheck // CloudFormation's own words
	}
	if err != nil {
		op.progress(old, types.ResourceStatusUpdateFailed, resources.WithoutCode(err).Error())
		return err
	}
	op.discard(old, old.ReplacePolicy == template.PolicyRetain)
	r.PhysicalID, r.Attributes = made.PhysicalID, made.Attributes
	op.stack.Resources[r.LogicalID] = r
	op.progress(r, types.ResourceStatusUpdateInProgress, "Resource creation Initiated")
	op.progress(r, types.ResourceStatusUpdateComplete, made.Note)
	return nil
}

// succeed deletes what is no longer needed and sets the final status.
func (op *operation) succeed() {
	op.stack.Before = nil
	reason := ""
	if op.kind.cleanup != "" {
		op.status(op.kind.cleanup, "")
		// As on AWS, the update stands even if something old could not be
		// deleted.
		if failed := op.clean(); len(failed) > 0 {
			reason = fmt.Sprintf("Update successful. One or more resources could not be deleted: [%s].", strings.Join(failed, ", "))
			op.forget(failed)
		}
	}
	op.finishChangeSet(types.ExecutionStatusExecuteComplete)
	op.status(op.kind.done, reason)
}

// delete deletes everything and sets the final status.
func (op *operation) delete() {
	failed := op.clean()
	if len(failed) > 0 {
		op.status(op.kind.failed, failedToDelete(failed))
		return
	}
	if op.halted() {
		return
	}
	op.stack.Deleted = op.service.now()
	op.stack.Outputs, op.stack.Imports, op.stack.Before = nil, nil, nil
	if op.broken = op.service.dropChangeSets(op.stack, ""); op.broken == nil {
		op.status(op.kind.done, "")
	}
}

func failedToDelete(ids []string) string {
	return fmt.Sprintf("The following resource(s) failed to delete: [%s]. ", strings.Join(ids, ", "))
}

func cloneOf(resources map[string]resourceRecord) map[string]resourceRecord {
	cloned := maps.Clone(resources)
	if cloned == nil {
		cloned = map[string]resourceRecord{}
	}
	return cloned
}

// forget drops resources that are no longer the stack's.
func (op *operation) forget(ids []string) {
	for id, r := range op.stack.Resources {
		if slices.Contains(ids, id) && r.Status == types.ResourceStatusDeleteFailed {
			delete(op.stack.Resources, id)
		}
	}
}
