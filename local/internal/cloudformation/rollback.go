package cloudformation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
)

// garbage is a resource that the stack no longer needs.
type garbage struct {
	Record resourceRecord
	// Retain keeps the resource itself; only the stack lets go of it.
	Retain bool
}

// discard notes that a resource is no longer needed; clean deletes it.
func (op *operation) discard(r resourceRecord, retain bool) {
	noted := slices.ContainsFunc(op.stack.Garbage, func(g garbage) bool {
		return g.Record.LogicalID == r.LogicalID && g.Record.PhysicalID == r.PhysicalID
	})
	if !noted {
		op.stack.Garbage = append(op.stack.Garbage, garbage{Record: r, Retain: retain})
	}
}

// clean deletes what is no longer needed, dependent resources first, and names
// what could not be deleted. What such a resource depends on is left alone.
func (op *operation) clean() []string {
	var failed []string
	blocked := map[string]bool{}
	for _, g := range inRemovalOrder(op.stack.Garbage) {
		if op.halted() {
			return failed
		}
		id := g.Record.LogicalID
		if !blocked[id] {
			if op.remove(g) {
				continue
			}
			failed = append(failed, id)
		}
		for _, needed := range g.Record.DependsOn {
			blocked[needed] = true
		}
	}
	if !op.halted() {
		op.stack.Garbage = nil
	}
	return failed
}

// inRemovalOrder sorts resources so that each comes before what it depends on.
// There may be several of one logical id.
func inRemovalOrder(all []garbage) []garbage {
	edges := map[string][]string{}
	for _, g := range all {
		edges[g.Record.LogicalID] = append(edges[g.Record.LogicalID], g.Record.DependsOn...)
	}
	ids, err := template.Order(edges)
	if err != nil { // an old and a new resource of one id may depend both ways
		for _, g := range all {
			ids = append(ids, g.Record.LogicalID)
		}
	}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b garbage) int {
		return slices.Index(ids, b.Record.LogicalID) - slices.Index(ids, a.Record.LogicalID)
	})
	return sorted
}

// remove deletes one resource, or lets go of it, and reports whether the stack
// is rid of it.
func (op *operation) remove(g garbage) bool {
	r := g.Record
	switch {
	case r.PhysicalID == "":
	case g.Retain:
		op.progress(r, types.ResourceStatusDeleteSkipped, "")
	default:
		op.progress(r, types.ResourceStatusDeleteInProgress, "")
		if err := op.service.Providers[r.Type].Delete(op.ctx, op.request(r, nil), r.PhysicalID); err != nil {
			op.progress(r, types.ResourceStatusDeleteFailed, resources.WithoutCode(err).Error())
			return false
		}
		op.progress(r, types.ResourceStatusDeleteComplete, "")
	}
	if now := op.stack.Resources[r.LogicalID]; now.PhysicalID == r.PhysicalID {
		delete(op.stack.Resources, r.LogicalID)
	}
	op.stack.Garbage = slices.DeleteFunc(op.stack.Garbage, func(other garbage) bool {
		return other.Record.LogicalID == r.LogicalID && other.Record.PhysicalID == r.PhysicalID
	})
	return true
}

// rollback leads the stack back to what it was before the operation. The
// status says already that it is rolled back.
func (op *operation) rollback() {
	before := op.stack.Before
	op.stack.Garbage = slices.DeleteFunc(op.stack.Garbage, func(g garbage) bool {
		return before.Resources[g.Record.LogicalID].PhysicalID == g.Record.PhysicalID && g.Record.PhysicalID != ""
	})
	failed := op.restore(before)
	op.discardNew(before)
	if op.halted() {
		return
	}
	if len(failed) > 0 {
		op.status(op.kind.rollbackFailed, fmt.Sprintf("The following resource(s) failed to update: [%s]. ", strings.Join(failed, ", ")))
		return
	}
	if op.kind.rollbackCleanup != "" {
		op.status(op.kind.rollbackCleanup, "")
	}
	if undeleted := op.clean(); len(undeleted) > 0 && op.kind.rollbackCleanup == "" {
		op.status(op.kind.rollbackFailed, failedToDelete(undeleted))
		return
	}
	if op.halted() {
		return
	}
	op.settle(before)
	op.status(op.kind.rolledBack, "")
}

// settle makes the stack's own data what they were.
func (op *operation) settle(before *snapshot) {
	op.stack.Outputs, op.stack.Imports = before.Outputs, before.Imports
	if op.kind.rollbackCleanup != "" {
		op.stack.Current = before.Current
		op.stack.Resources = restored(before.Resources, op.stack.Resources)
	}
	op.stack.Before = nil
}

// restored keeps of the present records what the roll-back said about them.
func restored(before, now map[string]resourceRecord) map[string]resourceRecord {
	records := cloneOf(before)
	for id, r := range records {
		if present, ok := now[id]; ok && present.PhysicalID == r.PhysicalID {
			r.Status, r.Reason, r.Changed, r.Attributes = present.Status, present.Reason, present.Changed, present.Attributes
			records[id] = r
		}
	}
	return records
}

// restore gives resources that were changed their old properties, and takes
// back those that were replaced. It names those that could not be changed back.
func (op *operation) restore(before *snapshot) []string {
	ids, err := template.Order(graph(before.Resources))
	if err != nil { // cannot be: the template was checked
		return []string{err.Error()}
	}
	var failed []string
	for _, id := range ids {
		if op.halted() {
			return failed
		}
		old, now := before.Resources[id], op.stack.Resources[id]
		switch {
		case now.PhysicalID != old.PhysicalID:
			if now.PhysicalID != "" {
				op.discard(now, false)
			}
			op.stack.Resources[id] = old
			op.progress(old, types.ResourceStatusUpdateComplete, "")
		case now.Status == types.ResourceStatusUpdateFailed || len(changedProperties(now.Properties, old.Properties)) > 0:
			if err := op.update(old, step{Before: now.Properties}); err != nil {
				failed = append(failed, id)
			}
		}
	}
	return failed
}

// discardNew discards the resources that the operation made. As on AWS, what
// a DeletionPolicy retains stays even then, unless the policy or the request
// says otherwise.
func (op *operation) discardNew(before *snapshot) {
	for id, r := range op.stack.Resources {
		if _, old := before.Resources[id]; old {
			continue
		}
		if r.PhysicalID == "" {
			delete(op.stack.Resources, id)
			continue
		}
		op.discard(r, r.Imported || op.retain && r.DeletePolicy == template.PolicyRetain)
	}
}

// deleteAfterFailure deletes a stack that was asked not to outlive its failed
// creation.
func (op *operation) deleteAfterFailure(reason string) {
	op.discardNew(&snapshot{})
	op.kind = deleting
	op.status(deleting.progress, reason)
	op.delete()
}

// cutOff maps a status in progress to the one that a stack has after the
// engine ended in the middle of it.
var cutOff = map[types.StackStatus]types.StackStatus{
	types.StackStatusCreateInProgress:                        types.StackStatusCreateFailed,
	types.StackStatusUpdateInProgress:                        types.StackStatusUpdateFailed,
	types.StackStatusDeleteInProgress:                        types.StackStatusDeleteFailed,
	types.StackStatusRollbackInProgress:                      types.StackStatusRollbackFailed,
	types.StackStatusUpdateRollbackInProgress:                types.StackStatusUpdateRollbackFailed,
	types.StackStatusUpdateCompleteCleanupInProgress:         types.StackStatusUpdateComplete,
	types.StackStatusUpdateRollbackCompleteCleanupInProgress: types.StackStatusUpdateRollbackFailed,
}

// cutOffReason is what is said about them.
const cutOffReason = "The local engine ended during the operation."

// deletedStacksLast is how long a deleted stack can be looked up, as on AWS.
const deletedStacksLast = 90 * 24 * time.Hour

// recover gives every stack a final status, and forgets those deleted long ago.
func (s *Service) recover() error {
	entries, err := s.stacks.List("")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		stack := &entry.Value
		switch {
		case stack.busy():
			err = s.markCutOff(stack)
		case !stack.live() && s.Clock.Since(stack.Deleted) > deletedStacksLast:
			err = s.drop(stack)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) markCutOff(stack *stackRecord) error {
	for id, r := range stack.Resources {
		if action, busy := strings.CutSuffix(string(r.Status), "_IN_PROGRESS"); busy {
			r.Status, r.Reason = types.ResourceStatus(action+"_FAILED"), cutOffReason
			stack.Resources[id] = r
			if err := s.event(stack, r); err != nil {
				return err
			}
		}
	}
	if err := s.failChangeSets(stack); err != nil {
		return err
	}
	return s.setStatus(stack, cutOff[stack.Status], cutOffReason)
}

// drop removes a deleted stack and its events.
func (s *Service) drop(stack *stackRecord) error {
	events, err := s.events.List(stack.key() + "/")
	if err != nil {
		return err
	}
	for _, event := range events {
		if err := s.events.Delete(event.Key); err != nil {
			return err
		}
	}
	return s.stacks.Delete(stack.key())
}
