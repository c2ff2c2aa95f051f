package cloudformation

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/transcript"
)

// chain is three things of which each needs the one before, under an output
// and a policy that keeps one.
const chain = `{"Resources": {
	"A": {"Type": "Test::Thing", "Metadata": {"v": 1}, "Properties": {"Size": "1", "Shape": "round"}},
	"B": {"Type": "Test::Thing", "Properties": {"Size": "1", "Needs": [{"Ref": "A"}]}},
	"C": {"Type": "Test::Thing", "DeletionPolicy": "Retain", "Properties": {"Size": "1", "Needs": [{"Ref": "B"}]}}},
	"Outputs": {"Id": {"Value": {"Ref": "A"}}}}`

// state writes down where a failure has left a stack, and with which events.
func (e *engine) state(t *testing.T, tr *transcript.Transcript, when string) {
	t.Helper()
	stack := aws.String("s")
	described, err := e.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: stack})
	tr.Add("DescribeStacks "+when, described, err)
	listed, err := e.client.ListStackResources(t.Context(), &cfn.ListStackResourcesInput{StackName: stack})
	tr.Add("ListStackResources "+when, listed, err)
	tr.Add("what exists "+when, e.things.snapshot(), nil)
	if err != nil {
		return
	}
	operation := ""
	if last := described.Stacks[0].LastOperations; len(last) > 0 {
		operation = *last[0].OperationId
	}
	events, err := e.client.DescribeEvents(t.Context(), &cfn.DescribeEventsInput{StackName: stack, OperationId: &operation})
	must(t, err)
	var lines []string
	for _, event := range events.OperationEvents {
		lines = append(lines, strings.TrimSpace(*event.LogicalResourceId+" "+aws.ToString(event.PhysicalResourceId)+" "+string(event.ResourceStatus)+" "+aws.ToString(event.ResourceStatusReason)))
	}
	tr.Add("events of the last operation "+when, lines, nil)
}

func TestFailuresLeaveARecord(t *testing.T) {
	bigger, flat := strings.ReplaceAll(chain, `"Size": "1"`, `"Size": "2"`), strings.ReplaceAll(chain, "round", "flat")
	name := aws.String("s")
	rollBack := func(t *testing.T, e *engine) {
		e.things.fail = map[string]string{}
		_, err := e.client.RollbackStack(t.Context(), &cfn.RollbackStackInput{StackName: name, ClientRequestToken: aws.String("back")})
		must(t, err)
		e.settle(t)
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, e *engine)
		then func(t *testing.T, e *engine)
	}{
		{"an update that is rolled back", func(t *testing.T, e *engine) {
			e.create(t, "s", chain)
			e.things.fail["create Z"] = "no room"
			e.update(t, "s", strings.Replace(strings.ReplaceAll(bigger, "round", "flat"), `"B": {`, `"Z": {"Type": "Test::Thing", "DependsOn": "C"}, "B": {`, 1))
		}, nil},
		{"an update that cannot be rolled back", func(t *testing.T, e *engine) {
			e.create(t, "s", chain)
			e.things.fail["update B"] = "stuck"
			e.update(t, "s", bigger)
		}, func(t *testing.T, e *engine) {
			e.things.fail = map[string]string{}
			_, err := e.client.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: name, TemplateBody: &bigger})
			wantError(t, err, "ValidationError", "is in UPDATE_ROLLBACK_FAILED state and can not be updated")
			_, err = e.client.RollbackStack(t.Context(), &cfn.RollbackStackInput{StackName: name})
			wantError(t, err, "ValidationError", "is in UPDATE_ROLLBACK_FAILED state and can not be rolled back")
			_, err = e.client.ContinueUpdateRollback(t.Context(), &cfn.ContinueUpdateRollbackInput{StackName: name, ResourcesToSkip: []string{"B"}})
			wantError(t, err, "ValidationError", "ResourcesToSkip cannot be used")
			_, err = e.client.ContinueUpdateRollback(t.Context(), &cfn.ContinueUpdateRollbackInput{StackName: name, ClientRequestToken: aws.String("on")})
			must(t, err)
			e.settle(t)
		}},
		{"an update whose old things cannot be deleted", func(t *testing.T, e *engine) {
			e.create(t, "s", chain)
			e.things.fail["delete A"] = "in use"
			e.things.fail["delete B"] = "in use"
			e.update(t, "s", strings.Replace(flat, `"B": {"Type": "Test::Thing", "Properties": {"Size": "1", "Needs": [{"Ref": "A"}]}},
	"C": {"Type": "Test::Thing", "DeletionPolicy": "Retain", "Properties": {"Size": "1", "Needs": [{"Ref": "B"}]}}`, `"D": {"Type": "Test::Thing"}`, 1))
		}, func(t *testing.T, e *engine) {
			e.things.fail = map[string]string{}
			e.destroy(t, "s")
		}},
		{"an update that cannot replace", func(t *testing.T, e *engine) {
			e.create(t, "s", chain)
			e.things.fail["create A"] = "no room"
			e.update(t, "s", flat)
		}, nil},
		{"an update that is not rolled back", func(t *testing.T, e *engine) {
			e.create(t, "s", chain)
			e.things.fail["update B"] = "too large"
			_, err := e.client.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: name, TemplateBody: &bigger, DisableRollback: aws.Bool(true)})
			must(t, err)
			e.settle(t)
		}, rollBack},
		{"an output that has no value", func(t *testing.T, e *engine) {
			e.create(t, "s", chain)
			e.update(t, "s", strings.ReplaceAll(bigger, `{"Ref": "A"}}}}`, `{"Fn::GetAtt": ["A", "Promised"]}}}}`))
		}, nil},
		{"a creation that cannot be undone", func(t *testing.T, e *engine) {
			e.things.fail["create C"], e.things.fail["delete B"] = "no room", "in use"
			e.create(t, "s", chain)
		}, func(t *testing.T, e *engine) {
			e.things.fail = map[string]string{}
			e.destroy(t, "s")
		}},
		{"a creation that is not undone", func(t *testing.T, e *engine) {
			e.things.fail["create B"] = "no room"
			_, err := e.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: name, TemplateBody: aws.String(chain), OnFailure: types.OnFailureDoNothing, TimeoutInMinutes: aws.Int32(7)})
			must(t, err)
			e.settle(t)
		}, rollBack},
		{"a creation that retains what it must", func(t *testing.T, e *engine) {
			e.things.fail["create Z"] = "no room"
			e.create(t, "s", strings.Replace(chain, `"B": {`, `"Z": {"Type": "Test::Thing", "DependsOn": "C"}, "B": {`, 1))
		}, nil},
		{"a creation that retains nothing", func(t *testing.T, e *engine) {
			e.things.fail["create Z"] = "no room"
			_, err := e.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: name, RetainExceptOnCreate: aws.Bool(true), EnableTerminationProtection: aws.Bool(true),
				TemplateBody: aws.String(strings.Replace(chain, `"B": {`, `"Z": {"Type": "Test::Thing", "DependsOn": "C"}, "B": {`, 1))})
			must(t, err)
			e.settle(t)
		}, nil},
		{"a deletion that fails and then retains", func(t *testing.T, e *engine) {
			e.create(t, "s", chain)
			_, err := e.client.DeleteStack(t.Context(), &cfn.DeleteStackInput{StackName: name, RetainResources: []string{"B"}})
			wantError(t, err, "ValidationError", "RetainResources parameter can be used only when the stack is in the DELETE_FAILED state")
			e.things.fail["delete B"] = "in use"
			e.destroy(t, "s")
		}, func(t *testing.T, e *engine) {
			_, err := e.client.DeleteStack(t.Context(), &cfn.DeleteStackInput{StackName: name, RetainResources: []string{"B"}})
			must(t, err)
			e.settle(t)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, tr := startEngine(t), transcript.New()
			c.do(t, e)
			e.state(t, tr, "after it")
			if c.then != nil {
				c.then(t, e)
				e.state(t, tr, "in the end")
			}
			tr.Compare(t, "testdata/failures/"+strings.ReplaceAll(c.name, " ", "-")+".yaml")
		})
	}
}

func TestWhatIsCutOffIsRecorded(t *testing.T) {
	dir, things := t.TempDir(), newThings()
	e := startEngineIn(t, dir, things)
	things.blocked = make(chan struct{})
	made, err := e.client.CreateChangeSet(t.Context(), &cfn.CreateChangeSetInput{
		StackName: aws.String("s"), ChangeSetName: aws.String("c"), ChangeSetType: types.ChangeSetTypeCreate, TemplateBody: aws.String(chain)})
	must(t, err)
	_, err = e.client.ExecuteChangeSet(t.Context(), &cfn.ExecuteChangeSetInput{ChangeSetName: made.Id})
	must(t, err)
	_, err = e.client.DeleteChangeSet(t.Context(), &cfn.DeleteChangeSetInput{ChangeSetName: made.Id})
	wantError(t, err, "InvalidChangeSetStatus", "is being executed")
	e.stop()
	things.blocked = nil
	again, tr := startEngineIn(t, dir, things), transcript.New()
	again.state(t, tr, "after it")
	set, err := again.client.DescribeChangeSet(t.Context(), &cfn.DescribeChangeSetInput{ChangeSetName: made.Id})
	must(t, err)
	tr.Add("the change set", map[string]any{"Status": set.Status, "ExecutionStatus": set.ExecutionStatus}, nil)
	tr.Compare(t, "testdata/failures/cut-off.yaml")
}

// Deleted stacks are known for 90 days, and their events with them.
func TestDeletedStacksAreForgotten(t *testing.T) {
	db, err := store.Open(t.TempDir() + "/state.db")
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	clock := clockwork.NewFakeClockAt(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	roles, err := iam.New(iam.Options{Store: db, Clock: clockwork.NewRealClock()})
	must(t, err)
	open := func() *engine {
		svc, err := New(Options{Store: db, Clock: clock, Region: "us-east-1", IAM: roles, Providers: map[string]resources.Provider{"Test::Thing": newThings()}})
		must(t, err)
		t.Cleanup(func() { _ = svc.Close() })
		return &engine{Service: svc, client: serve(t, roles, svc), store: db}
	}
	e := open()
	e.create(t, "s", chain)
	e.create(t, "kept", chain)
	id := func(name string) string {
		out, err := e.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: &name})
		must(t, err)
		return *out.Stacks[0].StackId
	}
	gone := id("s")
	e.destroy(t, "s")
	clock.Advance(90 * 24 * time.Hour)
	if got := open().status(t, gone); got != "DELETE_COMPLETE" {
		t.Errorf("after 90 days the stack is %s", got)
	}
	clock.Advance(time.Millisecond)
	e = open()
	_, err = e.client.DescribeStackEvents(t.Context(), &cfn.DescribeStackEventsInput{StackName: &gone})
	wantError(t, err, "ValidationError", "does not exist")
	if got := e.status(t, "kept"); got != "CREATE_COMPLETE" {
		t.Errorf("the other stack is %s", got)
	}
	if left, err := e.Service.events.List(strings.TrimPrefix(gone[strings.Index(gone, "/"):], "/")); err != nil || len(left) > 0 {
		t.Errorf("%d events are left, %v", len(left), err)
	}
}
