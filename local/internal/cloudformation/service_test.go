package cloudformation

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"
)

const pair = `{
  "Resources": {
    "A": {"Type": "Test::Thing", "Properties": {"Needs": [{"Fn::GetAtt": ["B", "Arn"]}]}},
    "B": {"Type": "Test::Thing", "Properties": {"Size": "1"}}
  },
  "Outputs": {"Of": {"Value": {"Ref": "A"}}}
}`

func TestAStackIsMadeInOrderWithItsEvents(t *testing.T) {
	e := startEngine(t)
	e.create(t, "pair", pair)
	if got := e.status(t, "pair"); got != "CREATE_COMPLETE" {
		t.Fatal(got)
	}
	want := []string{
		"pair CREATE_IN_PROGRESS",
		"B CREATE_IN_PROGRESS", "B CREATE_IN_PROGRESS", "B CREATE_COMPLETE",
		"A CREATE_IN_PROGRESS", "A CREATE_IN_PROGRESS", "A CREATE_COMPLETE",
		"pair CREATE_COMPLETE",
	}
	if diff := cmp.Diff(want, e.events(t, "pair")); diff != "" {
		t.Error(diff)
	}
	if got := e.outputs(t, "pair")["Of"]; got != "a-2" {
		t.Errorf("output is %q", got)
	}
}

func TestDeletionGoesBackwardsAndTheStackStaysVisibleByID(t *testing.T) {
	e := startEngine(t)
	e.create(t, "pair", pair)
	described, err := e.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: aws.String("pair")})
	if err != nil {
		t.Fatal(err)
	}
	id := *described.Stacks[0].StackId
	e.destroy(t, "pair")
	if want := []string{"create B", "create A", "delete A", "delete B"}; !slices.Equal(e.things.log, want) {
		t.Errorf("the order is %v", e.things.log)
	}
	// Those who wait for the end of a deletion see it in progress once, however
	// fast it was.
	if got := e.status(t, "pair"); got != "DELETE_IN_PROGRESS" {
		t.Errorf("by its name the stack is %s", got)
	}
	_, err = e.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: aws.String("pair")})
	wantError(t, err, "ValidationError", "Stack with id pair does not exist")
	if got := e.status(t, id); got != "DELETE_COMPLETE" {
		t.Errorf("by its id the stack is %s", got)
	}
	e.destroy(t, "pair") // once more is no error

	e.create(t, "pair", pair)
	described, err = e.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: aws.String("pair")})
	must(t, err)
	e.destroy(t, "pair")
	if got := e.status(t, *described.Stacks[0].StackId); got != "DELETE_COMPLETE" {
		t.Errorf("by its id the stack is %s", got)
	}
	_, err = e.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: aws.String("pair")})
	wantError(t, err, "ValidationError", "Stack with id pair does not exist") // its end has been seen
}

func TestStacksReportTheirLastOperations(t *testing.T) {
	e := startEngine(t)
	e.create(t, "pair", pair)
	e.update(t, "pair", strings.ReplaceAll(pair, `"1"`, `"2"`))
	described, err := e.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: aws.String("pair")})
	must(t, err)
	var kinds []types.OperationType
	for _, operation := range described.Stacks[0].LastOperations {
		kinds = append(kinds, operation.OperationType)
		events, err := e.client.DescribeEvents(t.Context(), &cfn.DescribeEventsInput{StackName: aws.String("pair"), Filters: nil})
		if err != nil || !slices.ContainsFunc(events.OperationEvents, func(e types.OperationEvent) bool { return *e.OperationId == *operation.OperationId }) {
			t.Errorf("%s has no events: %v", operation.OperationType, err)
		}
	}
	if want := []types.OperationType{types.OperationTypeUpdateStack, types.OperationTypeCreateStack}; !slices.Equal(kinds, want) {
		t.Errorf("operations %v, want %v", kinds, want)
	}
}

func TestTheSDKsWaitersAreSatisfied(t *testing.T) {
	e := startEngine(t)
	const soon = 10 * time.Millisecond
	ctx, name := t.Context(), aws.String("pair")
	in := &cfn.DescribeStacksInput{StackName: name}
	if _, err := e.client.CreateStack(ctx, &cfn.CreateStackInput{StackName: name, TemplateBody: aws.String(pair)}); err != nil {
		t.Fatal(err)
	}
	if err := cfn.NewStackCreateCompleteWaiter(e.client, func(o *cfn.StackCreateCompleteWaiterOptions) { o.MinDelay, o.MaxDelay = soon, soon }).Wait(ctx, in, time.Minute); err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(pair, `"1"`, `"2"`)
	if _, err := e.client.UpdateStack(ctx, &cfn.UpdateStackInput{StackName: name, TemplateBody: &changed}); err != nil {
		t.Fatal(err)
	}
	if err := cfn.NewStackUpdateCompleteWaiter(e.client, func(o *cfn.StackUpdateCompleteWaiterOptions) { o.MinDelay, o.MaxDelay = soon, soon }).Wait(ctx, in, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := e.client.DeleteStack(ctx, &cfn.DeleteStackInput{StackName: name}); err != nil {
		t.Fatal(err)
	}
	if err := cfn.NewStackDeleteCompleteWaiter(e.client, func(o *cfn.StackDeleteCompleteWaiterOptions) { o.MinDelay, o.MaxDelay = soon, soon }).Wait(ctx, in, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestAnUpdateChangesReplacesAddsAndRemoves(t *testing.T) {
	e := startEngine(t)
	e.create(t, "s", `{"Resources": {
		"Changed": {"Type": "Test::Thing", "Properties": {"Size": "1"}},
		"Gone": {"Type": "Test::Thing"},
		"Same": {"Type": "Test::Thing"},
		"Replaced": {"Type": "Test::Thing", "Properties": {"Shape": "round"}},
		"User": {"Type": "Test::Thing", "Properties": {"Needs": [{"Ref": "Replaced"}]}}}}`)
	e.things.log = nil
	e.update(t, "s", `{"Resources": {
		"Changed": {"Type": "Test::Thing", "Properties": {"Size": "2"}},
		"New": {"Type": "Test::Thing"},
		"Same": {"Type": "Test::Thing"},
		"Replaced": {"Type": "Test::Thing", "Properties": {"Shape": "square"}},
		"User": {"Type": "Test::Thing", "Properties": {"Needs": [{"Ref": "Replaced"}]}}}}`)
	if got := e.status(t, "s"); got != "UPDATE_COMPLETE" {
		t.Fatal(got)
	}
	want := []string{"update Changed", "create New", "create Replaced", "update User", "delete Replaced", "delete Gone"}
	if diff := cmp.Diff(want, e.things.log); diff != "" {
		t.Error(diff)
	}
	if got := e.things.snapshot(); len(got) != 5 || got["changed-1"] != "2" {
		t.Errorf("what exists is %v", got)
	}
}

func TestAnUpdateThatChangesNothingIsRefused(t *testing.T) {
	e := startEngine(t)
	e.create(t, "pair", pair)
	_, err := e.client.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: aws.String("pair"), TemplateBody: aws.String(pair + "\n")})
	wantError(t, err, "ValidationError", "No updates are to be performed.")
}

func TestAFailedCreationIsUndone(t *testing.T) {
	e := startEngine(t)
	e.things.fail["create A"] = "no room"
	e.create(t, "pair", pair)
	if got := e.status(t, "pair"); got != "ROLLBACK_COMPLETE" {
		t.Fatal(got)
	}
	if got := e.things.snapshot(); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
	want := []string{
		"pair CREATE_IN_PROGRESS",
		"B CREATE_IN_PROGRESS", "B CREATE_IN_PROGRESS", "B CREATE_COMPLETE",
		"A CREATE_IN_PROGRESS", "A CREATE_FAILED",
		"pair ROLLBACK_IN_PROGRESS", "B DELETE_IN_PROGRESS", "B DELETE_COMPLETE",
		"pair ROLLBACK_COMPLETE",
	}
	if diff := cmp.Diff(want, e.events(t, "pair")); diff != "" {
		t.Error(diff)
	}
	_, err := e.client.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: aws.String("pair"), TemplateBody: aws.String(pair)})
	wantError(t, err, "ValidationError", "is in ROLLBACK_COMPLETE state and can not be updated")
}

func TestAFailedUpdateIsUndone(t *testing.T) {
	e := startEngine(t)
	before := `{"Resources": {
		"Changed": {"Type": "Test::Thing", "Properties": {"Size": "1"}},
		"Gone": {"Type": "Test::Thing"},
		"Replaced": {"Type": "Test::Thing", "Properties": {"Shape": "round"}}},
		"Outputs": {"Id": {"Value": {"Ref": "Replaced"}}}}`
	e.create(t, "s", before)
	exist, outputs := e.things.snapshot(), e.outputs(t, "s")
	e.things.fail["create Zero"] = "no room"
	e.update(t, "s", `{"Resources": {
		"Changed": {"Type": "Test::Thing", "Properties": {"Size": "2"}},
		"New": {"Type": "Test::Thing"},
		"Replaced": {"Type": "Test::Thing", "Properties": {"Shape": "square"}},
		"Zero": {"Type": "Test::Thing"}},
		"Outputs": {"Id": {"Value": {"Ref": "Replaced"}}}}`)
	if got := e.status(t, "s"); got != "UPDATE_ROLLBACK_COMPLETE" {
		t.Fatal(got)
	}
	if diff := cmp.Diff(exist, e.things.snapshot()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(outputs, e.outputs(t, "s")); diff != "" {
		t.Error(diff)
	}
	template, err := e.client.GetTemplate(t.Context(), &cfn.GetTemplateInput{StackName: aws.String("s")})
	if err != nil || *template.TemplateBody != before {
		t.Errorf("the template is %v, %v", template, err)
	}
	want := []string{
		"s UPDATE_ROLLBACK_IN_PROGRESS",
		"Changed UPDATE_IN_PROGRESS", "Changed UPDATE_COMPLETE", "Replaced UPDATE_COMPLETE",
		"s UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
		"Replaced DELETE_IN_PROGRESS", "Replaced DELETE_COMPLETE", "New DELETE_IN_PROGRESS", "New DELETE_COMPLETE",
		"s UPDATE_ROLLBACK_COMPLETE",
	}
	events := e.events(t, "s")
	if diff := cmp.Diff(want, events[slices.Index(events, want[0]):]); diff != "" {
		t.Error(diff)
	}
	e.things.fail = nil
	e.update(t, "s", strings.ReplaceAll(before, "round", "flat"))
	if got := e.status(t, "s"); got != "UPDATE_COMPLETE" {
		t.Error(got)
	}
}

func TestAFailureWithoutRollbackCanBeRolledBackLater(t *testing.T) {
	e := startEngine(t)
	e.create(t, "s", `{"Resources": {"A": {"Type": "Test::Thing", "Properties": {"Size": "1"}}}}`)
	exist := e.things.snapshot()
	e.things.fail["create B"] = "no room"
	_, err := e.client.UpdateStack(t.Context(), &cfn.UpdateStackInput{
		StackName: aws.String("s"), DisableRollback: aws.Bool(true),
		TemplateBody: aws.String(`{"Resources": {"A": {"Type": "Test::Thing", "Properties": {"Size": "2"}}, "B": {"Type": "Test::Thing"}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	e.settle(t)
	if got := e.status(t, "s"); got != "UPDATE_FAILED The following resource(s) failed to create: [B]." {
		t.Fatal(got)
	}
	if _, err := e.client.RollbackStack(t.Context(), &cfn.RollbackStackInput{StackName: aws.String("s")}); err != nil {
		t.Fatal(err)
	}
	e.settle(t)
	if got := e.status(t, "s"); got != "UPDATE_ROLLBACK_COMPLETE" {
		t.Error(got)
	}
	if diff := cmp.Diff(exist, e.things.snapshot()); diff != "" {
		t.Error(diff)
	}
}

func TestOnFailureDeleteLeavesNothing(t *testing.T) {
	e := startEngine(t)
	e.things.fail["create A"] = "no room"
	out, err := e.client.CreateStack(t.Context(), &cfn.CreateStackInput{
		StackName: aws.String("pair"), TemplateBody: aws.String(pair), OnFailure: types.OnFailureDelete,
	})
	if err != nil {
		t.Fatal(err)
	}
	e.settle(t)
	if got := e.status(t, *out.StackId); got != "DELETE_COMPLETE" {
		t.Error(got)
	}
	if got := e.things.snapshot(); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

func TestWhatPoliciesRetainStays(t *testing.T) {
	e := startEngine(t)
	body := `{"Resources": {
		"Kept": {"Type": "Test::Thing", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": {"Shape": "round"}},
		"Lost": {"Type": "Test::Thing"}}}`
	e.create(t, "s", body)
	e.update(t, "s", strings.ReplaceAll(body, "round", "flat"))
	e.destroy(t, "s")
	if diff := cmp.Diff(map[string]string{"kept-1": "", "kept-3": ""}, e.things.snapshot()); diff != "" {
		t.Error(diff)
	}
}

func TestRollBackOfACreationRetainsOnlyWhatItMust(t *testing.T) {
	e := startEngine(t)
	e.things.fail["create Z"] = "no room"
	e.create(t, "s", `{"Resources": {
		"A": {"Type": "Test::Thing", "DeletionPolicy": "Retain"},
		"B": {"Type": "Test::Thing", "DeletionPolicy": "RetainExceptOnCreate"},
		"Z": {"Type": "Test::Thing"}}}`)
	if diff := cmp.Diff(map[string]string{"a-1": ""}, e.things.snapshot()); diff != "" {
		t.Error(diff)
	}
}

func TestAFailedDeletionCanBeRepeated(t *testing.T) {
	e := startEngine(t)
	e.create(t, "pair", pair)
	e.things.fail["delete A"] = "in use"
	e.destroy(t, "pair")
	if got := e.status(t, "pair"); got != "DELETE_FAILED The following resource(s) failed to delete: [A]." {
		t.Fatal(got)
	}
	if got := e.things.snapshot(); len(got) != 2 {
		t.Errorf("B must stay, for A depends on it; there is %v", got)
	}
	e.things.fail = nil
	e.destroy(t, "pair")
	if got := e.things.snapshot(); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

func TestAStackCutOffByTheEnginesEndIsFoundFailed(t *testing.T) {
	for _, c := range []struct{ name, status string }{
		{"create", "CREATE_FAILED"}, {"update", "UPDATE_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, things := t.TempDir(), newThings()
			e := startEngineIn(t, dir, things)
			two := `{"Resources": {"A": {"Type": "Test::Thing"}, "B": {"Type": "Test::Thing"}}}`
			name := aws.String("s")
			var err error
			if c.name == "create" {
				things.blocked = make(chan struct{})
				_, err = e.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: name, TemplateBody: &two})
			} else {
				e.create(t, "s", `{"Resources": {"A": {"Type": "Test::Thing"}}}`)
				things.blocked = make(chan struct{})
				_, err = e.client.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: name, TemplateBody: &two})
			}
			if err != nil {
				t.Fatal(err)
			}
			e.stop()
			things.blocked = nil
			again := startEngineIn(t, dir, things)
			if got := again.status(t, "s"); got != c.status+" "+cutOffReason {
				t.Fatal(got)
			}
			if _, err := again.client.RollbackStack(t.Context(), &cfn.RollbackStackInput{StackName: name}); err != nil {
				t.Fatal(err)
			}
			again.settle(t)
			if got := again.status(t, "s"); !strings.HasSuffix(got, "ROLLBACK_COMPLETE") {
				t.Error(got)
			}
			again.destroy(t, "s")
			if got := things.snapshot(); len(got) != 0 {
				t.Errorf("left over: %v", got)
			}
		})
	}
}

func TestABusyStackTakesNoOtherRequest(t *testing.T) {
	e := startEngine(t)
	e.things.blocked = make(chan struct{})
	name, ctx := aws.String("pair"), t.Context()
	if _, err := e.client.CreateStack(ctx, &cfn.CreateStackInput{StackName: name, TemplateBody: aws.String(pair)}); err != nil {
		t.Fatal(err)
	}
	_, err := e.client.UpdateStack(ctx, &cfn.UpdateStackInput{StackName: name, TemplateBody: aws.String(pair)})
	wantError(t, err, "ValidationError", "is in CREATE_IN_PROGRESS state and can not be updated")
	_, err = e.client.DeleteStack(ctx, &cfn.DeleteStackInput{StackName: name})
	wantError(t, err, "ValidationError", "CREATE_IN_PROGRESS")
	_, err = e.client.CreateStack(ctx, &cfn.CreateStackInput{StackName: name, TemplateBody: aws.String(pair)})
	wantError(t, err, "AlreadyExistsException", "Stack [pair] already exists")
	_, err = e.client.UpdateTerminationProtection(ctx, &cfn.UpdateTerminationProtectionInput{StackName: name, EnableTerminationProtection: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	close(e.things.blocked)
	e.settle(t)
	_, err = e.client.DeleteStack(ctx, &cfn.DeleteStackInput{StackName: name})
	wantError(t, err, "ValidationError", "TerminationProtection is enabled")
}

func TestNothingIsMadeOfATemplateWithAMistake(t *testing.T) {
	e := startEngine(t)
	for _, c := range []struct{ name, resource, want string }{
		{"type", `{"Type": "AWS::EC2::VPC"}`, "Resource Z (AWS::EC2::VPC): the local engine does not know this resource type"},
		{"property", `{"Type": "Test::Thing", "Properties": {"Colour": "red"}}`, "Resource Z (Test::Thing): property Colour is not one"},
		{"kind", `{"Type": "Test::Thing", "Properties": {"Count": "many"}}`, `property Count is "many" where a whole number is needed`},
		{"nested", `{"Type": "Test::Thing", "Properties": {"Needs": [{"a": 1}]}}`, "property Needs/0 is an object where a string is needed"},
		{"attribute", `{"Type": "Test::Thing", "Properties": {"Size": {"Fn::GetAtt": "A.Url"}}}`, "does not support attribute Url"},
		{"reference", `{"Type": "Test::Thing", "Properties": {"Size": {"Ref": "Nobody"}}}`, "Unresolved resource dependencies [Nobody] in the Resources block"},
		{"function", `{"Type": "Test::Thing", "Properties": {"Size": {"Fn::Cidr": []}}}`, "does not implement the function Fn::Cidr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := `{"Resources": {"A": {"Type": "Test::Thing"}, "Z": ` + c.resource + `}}`
			_, err := e.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: aws.String("bad"), TemplateBody: &body})
			wantError(t, err, "ValidationError", c.want)
			_, err = e.client.CreateChangeSet(t.Context(), &cfn.CreateChangeSetInput{
				StackName: aws.String("bad"), ChangeSetName: aws.String("c"), ChangeSetType: types.ChangeSetTypeCreate, TemplateBody: &body,
			})
			wantError(t, err, "ValidationError", c.want)
		})
	}
	if len(e.things.log) > 0 {
		t.Errorf("something was done: %v", e.things.log)
	}
	out, err := e.client.ListStacks(t.Context(), &cfn.ListStacksInput{})
	if err != nil || len(out.StackSummaries) > 0 {
		t.Errorf("there is a stack: %v, %v", out, err)
	}
}

func TestAValueThatIsMissingAtTheEndFailsTheResource(t *testing.T) {
	e := startEngine(t)
	e.create(t, "s", `{"Resources": {
		"A": {"Type": "Test::Thing"},
		"B": {"Type": "Test::Thing", "Properties": {"Size": {"Fn::GetAtt": ["A", "Promised"]}}}}}`)
	if got := e.status(t, "s"); got != "ROLLBACK_COMPLETE" {
		t.Error(got)
	}
	if got := e.things.snapshot(); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

func TestWhatTheEngineCannotHonourIsRefusedByName(t *testing.T) {
	e := startEngine(t)
	name, body := aws.String("s"), aws.String(pair)
	for want, in := range map[string]*cfn.CreateStackInput{
		"NotificationARNs cannot be used": {StackName: name, TemplateBody: body, NotificationARNs: []string{"arn:x"}},
		"StackPolicyBody cannot be used":  {StackName: name, TemplateBody: body, StackPolicyBody: aws.String("{}")},
		"STANDARD mode only":              {StackName: name, TemplateBody: body, DeploymentConfig: &types.DeploymentConfig{Mode: types.DeploymentConfigModeExpress}},
		"may not exceed 51200 bytes":      {StackName: name, TemplateBody: aws.String(strings.Repeat(" ", maxBody) + pair)},
		"failed to satisfy constraint":    {StackName: aws.String("1s"), TemplateBody: body},
	} {
		_, err := e.client.CreateStack(t.Context(), in)
		wantError(t, err, "ValidationError", want)
	}
}

func TestRolesNeedACapability(t *testing.T) {
	e := startEngine(t)
	plain, named := `{"Resources": {"R": {"Type": "Test::Role"}}}`, `{"Resources": {"R": {"Type": "Test::Role", "Properties": {"Name": "n"}}}}`
	_, err := e.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: aws.String("s"), TemplateBody: &plain})
	wantError(t, err, "InsufficientCapabilitiesException", "[CAPABILITY_IAM]")
	_, err = e.client.CreateStack(t.Context(), &cfn.CreateStackInput{
		StackName: aws.String("s"), TemplateBody: &named, Capabilities: []types.Capability{types.CapabilityCapabilityIam},
	})
	wantError(t, err, "InsufficientCapabilitiesException", "[CAPABILITY_NAMED_IAM]")
	summary, err := e.client.GetTemplateSummary(t.Context(), &cfn.GetTemplateSummaryInput{TemplateBody: &named})
	if err != nil || !slices.Equal(summary.Capabilities, []types.Capability{types.CapabilityCapabilityNamedIam}) {
		t.Errorf("summary: %+v, %v", summary, err)
	}
}

func TestParametersReachTheStackAndSecretsDoNotLeave(t *testing.T) {
	e := startEngine(t)
	body := `{"Parameters": {"Size": {"Type": "Number", "Default": 3}, "Secret": {"Type": "String", "NoEcho": true}},
		"Resources": {"A": {"Type": "Test::Thing", "Properties": {"Size": {"Ref": "Size"}}}}}`
	name := aws.String("s")
	_, err := e.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: name, TemplateBody: &body})
	wantError(t, err, "ValidationError", "Parameters: [Secret] must have values")
	secret := types.Parameter{ParameterKey: aws.String("Secret"), ParameterValue: aws.String("hush")}
	if _, err := e.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: name, TemplateBody: &body, Parameters: []types.Parameter{secret}}); err != nil {
		t.Fatal(err)
	}
	e.settle(t)
	out, err := e.client.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: name})
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, p := range out.Stacks[0].Parameters {
		shown[*p.ParameterKey] = *p.ParameterValue
	}
	if diff := cmp.Diff(map[string]string{"Secret": "****", "Size": "3"}, shown); diff != "" {
		t.Error(diff)
	}
	_, err = e.client.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: name, UsePreviousTemplate: aws.Bool(true), Parameters: []types.Parameter{
		{ParameterKey: aws.String("Size"), ParameterValue: aws.String("4")},
		{ParameterKey: aws.String("Secret"), UsePreviousValue: aws.Bool(true)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.settle(t)
	if got := e.things.snapshot()["a-1"]; got != "4" {
		t.Errorf("the size is %s", got)
	}
}

func TestExportsAreKeptWhileTheyAreImported(t *testing.T) {
	e := startEngine(t)
	producer := `{"Resources": {"A": {"Type": "Test::Thing"}}, "Outputs": {"X": {"Value": {"Ref": "A"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-x"}}}}}`
	consumer := `{"Resources": {"B": {"Type": "Test::Thing", "Properties": {"Size": {"Fn::ImportValue": "producer-x"}}}}}`
	_, err := e.client.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: aws.String("consumer"), TemplateBody: &consumer})
	wantError(t, err, "ValidationError", "No export named producer-x found")
	e.create(t, "producer", producer)
	e.create(t, "consumer", consumer)
	if got := e.things.snapshot()["b-2"]; got != "a-1" {
		t.Errorf("imported %q", got)
	}
	_, err = e.client.DeleteStack(t.Context(), &cfn.DeleteStackInput{StackName: aws.String("producer")})
	wantError(t, err, "ValidationError", "in use by consumer")
	exports, err := e.client.ListExports(t.Context(), &cfn.ListExportsInput{})
	if err != nil || len(exports.Exports) != 1 || *exports.Exports[0].Value != "a-1" {
		t.Errorf("exports: %+v, %v", exports, err)
	}
	e.destroy(t, "consumer")
	e.destroy(t, "producer")
}

func TestARepeatedRequestStartsNothing(t *testing.T) {
	e := startEngine(t)
	in := &cfn.CreateStackInput{StackName: aws.String("pair"), TemplateBody: aws.String(pair), ClientRequestToken: aws.String("t1")}
	first, err := e.client.CreateStack(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	second, err := e.client.CreateStack(t.Context(), in)
	if err != nil || *second.StackId != *first.StackId {
		t.Fatalf("%v, %v", second, err)
	}
	e.settle(t)
	events, err := e.client.DescribeStackEvents(t.Context(), &cfn.DescribeStackEventsInput{StackName: aws.String("pair")})
	if err != nil || *events.StackEvents[0].ClientRequestToken != "t1" {
		t.Errorf("%+v, %v", events, err)
	}
}

func TestMissingStacksAreNamedAsOnAWS(t *testing.T) {
	e := startEngine(t)
	name, ctx := aws.String("nobody"), context.Background()
	_, err := e.client.DescribeStackEvents(ctx, &cfn.DescribeStackEventsInput{StackName: name})
	wantError(t, err, "ValidationError", "Stack [nobody] does not exist")
	_, err = e.client.UpdateStack(ctx, &cfn.UpdateStackInput{StackName: name, TemplateBody: aws.String(pair)})
	wantError(t, err, "ValidationError", "Stack [nobody] does not exist")
	_, err = e.client.GetTemplate(ctx, &cfn.GetTemplateInput{StackName: name})
	wantError(t, err, "ValidationError", "Stack with id nobody does not exist")
}

func TestResourcesAreDescribed(t *testing.T) {
	e := startEngine(t)
	e.create(t, "pair", pair)
	name := aws.String("pair")
	listed, err := e.client.ListStackResources(t.Context(), &cfn.ListStackResourcesInput{StackName: name})
	if err != nil || len(listed.StackResourceSummaries) != 2 {
		t.Fatalf("%+v, %v", listed, err)
	}
	described, err := e.client.DescribeStackResources(t.Context(), &cfn.DescribeStackResourcesInput{PhysicalResourceId: aws.String("b-1")})
	if err != nil || len(described.StackResources) != 2 {
		t.Fatalf("%+v, %v", described, err)
	}
	one, err := e.client.DescribeStackResource(t.Context(), &cfn.DescribeStackResourceInput{StackName: name, LogicalResourceId: aws.String("A")})
	if err != nil || *one.StackResourceDetail.PhysicalResourceId != "a-2" {
		t.Fatalf("%+v, %v", one, err)
	}
}

func TestAuthorizationIsAboutTheStack(t *testing.T) {
	e := startEngine(t)
	e.create(t, "pair", pair)
	stack, err := e.find("pair")
	must(t, err)
	for _, c := range []struct {
		input any
		want  []string
	}{
		{&cfn.DescribeStacksInput{StackName: aws.String("pair")}, []string{stack.ID}},
		{&cfn.DescribeStacksInput{StackName: &stack.ID}, []string{stack.ID}},
		{&cfn.CreateStackInput{StackName: aws.String("new")}, []string{"arn:aws:cloudformation:us-east-1:000000000000:stack/new/*"}},
		{&cfn.DescribeStacksInput{}, nil},
		{&cfn.ListExportsInput{}, nil},
	} {
		if diff := cmp.Diff(c.want, e.resources(c.input)); diff != "" {
			t.Error(diff)
		}
	}
}
