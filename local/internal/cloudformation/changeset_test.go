package cloudformation

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
)

func (e *engine) changeSet(t *testing.T, kind types.ChangeSetType, stack, name, body string) *cfn.DescribeChangeSetOutput {
	t.Helper()
	made, err := e.client.CreateChangeSet(t.Context(), &cfn.CreateChangeSetInput{
		StackName: &stack, ChangeSetName: &name, ChangeSetType: kind, TemplateBody: &body,
	})
	must(t, err)
	described, err := e.client.DescribeChangeSet(t.Context(), &cfn.DescribeChangeSetInput{
		ChangeSetName: made.Id, IncludePropertyValues: aws.Bool(true),
	})
	must(t, err)
	return described
}

func TestAChangeSetMakesAStack(t *testing.T) {
	e := startEngine(t)
	set := e.changeSet(t, types.ChangeSetTypeCreate, "pair", "first", pair)
	if set.Status != types.ChangeSetStatusCreateComplete || len(set.Changes) != 2 {
		t.Fatalf("change set: %s, %d changes", set.Status, len(set.Changes))
	}
	if got := *set.Changes[1].ResourceChange.AfterContext; got != `{"Properties":{"Needs":["`+template.KnownAfterApply+`"]}}` {
		t.Errorf("A will be %s", got)
	}
	if got := e.status(t, "pair"); got != "REVIEW_IN_PROGRESS User Initiated" {
		t.Fatal(got)
	}
	err := cfn.NewChangeSetCreateCompleteWaiter(e.client).Wait(t.Context(), &cfn.DescribeChangeSetInput{ChangeSetName: set.ChangeSetId}, time.Minute)
	must(t, err)
	in := &cfn.ExecuteChangeSetInput{ChangeSetName: aws.String("first"), StackName: aws.String("pair"), ClientRequestToken: aws.String("t")}
	_, err = e.client.ExecuteChangeSet(t.Context(), in)
	must(t, err)
	_, err = e.client.ExecuteChangeSet(t.Context(), in) // a repeated request
	must(t, err)
	e.settle(t)
	if got := e.status(t, "pair"); got != "CREATE_COMPLETE" {
		t.Fatal(got)
	}
	set, err = e.client.DescribeChangeSet(t.Context(), &cfn.DescribeChangeSetInput{ChangeSetName: set.ChangeSetId})
	if err != nil || set.ExecutionStatus != types.ExecutionStatusExecuteComplete {
		t.Errorf("%+v, %v", set, err)
	}
	in.ClientRequestToken = nil
	_, err = e.client.ExecuteChangeSet(t.Context(), in)
	wantError(t, err, "InvalidChangeSetStatus", "cannot be executed in its current status")
}

func TestAChangeSetSaysWhatChanges(t *testing.T) {
	e := startEngine(t)
	e.create(t, "s", `{"Resources": {
		"Changed": {"Type": "Test::Thing", "Properties": {"Size": "1"}},
		"Gone": {"Type": "Test::Thing"},
		"Left": {"Type": "Test::Thing", "DeletionPolicy": "RetainExceptOnCreate"},
		"Outdated": {"Type": "Test::Thing", "UpdateReplacePolicy": "Retain", "Properties": {"Shape": "round"}},
		"Replaced": {"Type": "Test::Thing", "Properties": {"Shape": "round"}},
		"User": {"Type": "Test::Thing", "Properties": {"Needs": [{"Ref": "Replaced"}]}}}}`)
	set := e.changeSet(t, types.ChangeSetTypeUpdate, "s", "c", `{"Resources": {
		"Changed": {"Type": "Test::Thing", "Properties": {"Size": "2", "Count": 3}},
		"New": {"Type": "Test::Thing"},
		"Outdated": {"Type": "Test::Thing", "UpdateReplacePolicy": "Retain", "Properties": {"Shape": "flat"}},
		"Replaced": {"Type": "Test::Thing", "Properties": {"Shape": "flat"}},
		"User": {"Type": "Test::Thing", "Properties": {"Needs": [{"Ref": "Replaced"}]}}}}`)
	var got []string
	for _, c := range set.Changes {
		r := c.ResourceChange
		line := strings.TrimSpace(strings.Join([]string{string(r.Action), *r.LogicalResourceId, string(r.Replacement), string(r.PolicyAction)}, " "))
		for _, d := range r.Details {
			line += " " + *d.Target.Name + ":" + aws.ToString(d.Target.BeforeValue) + ">" + aws.ToString(d.Target.AfterValue) + ":" + string(d.Evaluation)
		}
		got = append(got, line)
	}
	want := []string{
		"Modify Changed False Count:>3:Static Size:1>2:Static",
		"Add New",
		"Modify Outdated True ReplaceAndRetain Shape:round>flat:Static",
		"Modify Replaced True ReplaceAndDelete Shape:round>flat:Static",
		`Modify User False Needs:["replaced-5"]>["` + template.KnownAfterApply + `"]:Dynamic`,
		"Remove Left  Retain",
		"Remove Gone  Delete",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAChangeSetWithoutChangesFails(t *testing.T) {
	e := startEngine(t)
	e.create(t, "pair", pair)
	set := e.changeSet(t, types.ChangeSetTypeUpdate, "pair", "none", pair)
	if set.Status != types.ChangeSetStatusFailed || !strings.HasPrefix(*set.StatusReason, "The submitted information didn't contain changes.") {
		t.Errorf("%s %s", set.Status, *set.StatusReason)
	}
	// Outputs alone are a change too.
	set = e.changeSet(t, types.ChangeSetTypeUpdate, "pair", "outputs", strings.Replace(pair, `"Of"`, `"Other"`, 1))
	if set.Status != types.ChangeSetStatusCreateComplete || len(set.Changes) != 0 {
		t.Errorf("%s, %d changes", set.Status, len(set.Changes))
	}
}

func TestChangeSetsAreFoundListedAndDeleted(t *testing.T) {
	e := startEngine(t)
	stack, name, ctx := aws.String("pair"), aws.String("c"), t.Context()
	_, err := e.client.CreateChangeSet(ctx, &cfn.CreateChangeSetInput{StackName: stack, ChangeSetName: name, TemplateBody: aws.String(pair)})
	wantError(t, err, "ValidationError", "Stack [pair] does not exist")
	e.create(t, "pair", pair)
	_, err = e.client.CreateChangeSet(ctx, &cfn.CreateChangeSetInput{
		StackName: stack, ChangeSetName: name, ChangeSetType: types.ChangeSetTypeCreate, TemplateBody: aws.String(pair),
	})
	wantError(t, err, "ValidationError", "already exists and cannot be created again with the changeSet [c]")
	changed := strings.ReplaceAll(pair, `"1"`, `"2"`)
	e.changeSet(t, types.ChangeSetTypeUpdate, "pair", "c", changed)
	_, err = e.client.CreateChangeSet(ctx, &cfn.CreateChangeSetInput{StackName: stack, ChangeSetName: name, TemplateBody: &changed})
	wantError(t, err, "AlreadyExistsException", "already exists")
	listed, err := e.client.ListChangeSets(ctx, &cfn.ListChangeSetsInput{StackName: stack})
	if err != nil || len(listed.Summaries) != 1 {
		t.Errorf("%+v, %v", listed, err)
	}
	for range 2 { // once more is no error
		_, err = e.client.DeleteChangeSet(ctx, &cfn.DeleteChangeSetInput{StackName: stack, ChangeSetName: name})
		must(t, err)
	}
	_, err = e.client.DescribeChangeSet(ctx, &cfn.DescribeChangeSetInput{StackName: stack, ChangeSetName: name})
	wantError(t, err, "ChangeSetNotFound", "ChangeSet [c] does not exist")
}

func TestNameOfAnExecutedChangeSetIsFree(t *testing.T) {
	e := startEngine(t)
	e.create(t, "pair", pair)
	token := func(in *cfn.CreateChangeSetInput) { in.ClientToken = aws.String("t1") }
	create := func(value string, edits ...func(*cfn.CreateChangeSetInput)) string {
		t.Helper()
		in := &cfn.CreateChangeSetInput{StackName: aws.String("pair"), ChangeSetName: aws.String("c"), TemplateBody: aws.String(strings.ReplaceAll(pair, `"1"`, value))}
		for _, edit := range edits {
			edit(in)
		}
		out, err := e.client.CreateChangeSet(t.Context(), in)
		must(t, err)
		return *out.Id
	}
	execute := func(id string) {
		t.Helper()
		_, err := e.client.ExecuteChangeSet(t.Context(), &cfn.ExecuteChangeSetInput{ChangeSetName: &id})
		must(t, err)
		e.settle(t)
	}
	first := create(`"2"`, token)
	execute(first)
	if repeated := create(`"2"`, token); repeated != first {
		t.Errorf("the request that made %s is repeated and makes %s", first, repeated)
	}
	listed, err := e.client.ListChangeSets(t.Context(), &cfn.ListChangeSetsInput{StackName: aws.String("pair")})
	if err != nil || len(listed.Summaries) > 0 {
		t.Errorf("executed change sets are listed: %v, %v", listed, err)
	}
	second := create(`"3"`)
	described, err := e.client.DescribeChangeSet(t.Context(), &cfn.DescribeChangeSetInput{StackName: aws.String("pair"), ChangeSetName: aws.String("c")})
	if err != nil || *described.ChangeSetId != second {
		t.Errorf("the name is that of %v, %v; want %s", described, err, second)
	}
	execute(second)
	described, err = e.client.DescribeChangeSet(t.Context(), &cfn.DescribeChangeSetInput{ChangeSetName: &second})
	if err != nil || described.ExecutionStatus != types.ExecutionStatusExecuteComplete {
		t.Errorf("by its id: %v, %v", described, err)
	}
}

func TestAChangeSetIsObsoleteOnceTheStackHasChanged(t *testing.T) {
	e := startEngine(t)
	e.create(t, "pair", pair)
	set := e.changeSet(t, types.ChangeSetTypeUpdate, "pair", "c", strings.ReplaceAll(pair, `"1"`, `"2"`))
	e.update(t, "pair", strings.ReplaceAll(pair, `"1"`, `"3"`))
	_, err := e.client.ExecuteChangeSet(t.Context(), &cfn.ExecuteChangeSetInput{ChangeSetName: set.ChangeSetId})
	wantError(t, err, "InvalidChangeSetStatus", "cannot be executed")
}

func TestAStackInReviewCanBeDeleted(t *testing.T) {
	e := startEngine(t)
	set := e.changeSet(t, types.ChangeSetTypeCreate, "pair", "c", pair)
	e.destroy(t, "pair")
	if got := e.status(t, *set.StackId); got != "DELETE_COMPLETE" {
		t.Error(got)
	}
	if len(e.things.log) > 0 {
		t.Errorf("something was done: %v", e.things.log)
	}
}
