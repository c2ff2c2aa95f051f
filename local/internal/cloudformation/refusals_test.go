package cloudformation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Each request is refused with these words, and leaves the stack as it is.
func TestRequestsThatAreRefused(t *testing.T) {
	e, ctx := startEngine(t), t.Context()
	e.create(t, "s", chain)
	review := e.changeSet(t, types.ChangeSetTypeCreate, "review", "first", chain)
	s, body, other := aws.String("s"), aws.String(chain), aws.String(strings.ReplaceAll(chain, `"1"`, `"2"`))
	config := &types.DeploymentConfig{Mode: types.DeploymentConfigModeExpress}
	triggers := &types.RollbackConfiguration{RollbackTriggers: []types.RollbackTrigger{{Arn: s, Type: s}}}
	sets := func(in cfn.CreateChangeSetInput) error {
		in.ChangeSetName = aws.String("c")
		_, err := e.client.CreateChangeSet(ctx, &in)
		return err
	}
	creates := func(in cfn.CreateStackInput) error { _, err := e.client.CreateStack(ctx, &in); return err }
	updates := func(in cfn.UpdateStackInput) error { _, err := e.client.UpdateStack(ctx, &in); return err }
	deletes := func(in cfn.DeleteStackInput) error { _, err := e.client.DeleteStack(ctx, &in); return err }
	executes := func(in cfn.ExecuteChangeSetInput) error { _, err := e.client.ExecuteChangeSet(ctx, &in); return err }
	for i, c := range []struct {
		err        error
		code, want string
	}{
		{sets(cfn.CreateChangeSetInput{StackName: s, TemplateBody: other, ChangeSetType: types.ChangeSetTypeImport}), "ValidationError", "ChangeSetType IMPORT cannot be used: the local engine imports by name only"},
		{sets(cfn.CreateChangeSetInput{StackName: s, TemplateBody: other, ResourcesToImport: []types.ResourceToImport{{LogicalResourceId: s, ResourceType: s, ResourceIdentifier: map[string]string{"a": "b"}}}}), "ValidationError", "ResourcesToImport cannot be used"},
		{sets(cfn.CreateChangeSetInput{StackName: s, TemplateBody: other, RollbackConfiguration: triggers}), "ValidationError", "RollbackTriggers cannot be used"},
		{sets(cfn.CreateChangeSetInput{StackName: s, TemplateBody: other, DeploymentConfig: config}), "ValidationError", "STANDARD mode only"},
		{sets(cfn.CreateChangeSetInput{StackName: s, TemplateBody: aws.String("{}")}), "ValidationError", "At least one Resources member"},
		{sets(cfn.CreateChangeSetInput{StackName: aws.String("arn:aws:cloudformation:us-east-1:000000000000:stack/s/none"), TemplateBody: other}), "ValidationError", "does not exist"},
		{sets(cfn.CreateChangeSetInput{StackName: aws.String("1x"), TemplateBody: body, ChangeSetType: types.ChangeSetTypeCreate}), "ValidationError", "failed to satisfy constraint"},
		{sets(cfn.CreateChangeSetInput{StackName: aws.String("review"), TemplateBody: body}), "ValidationError", "is in REVIEW_IN_PROGRESS state and can not be updated"},
		{sets(cfn.CreateChangeSetInput{StackName: s, TemplateBody: other, DeploymentMode: types.DeploymentModeRevertDrift}), "ValidationError", "DeploymentMode cannot be used: the local engine does not look for drift"},
		{creates(cfn.CreateStackInput{StackName: aws.String("n"), TemplateBody: body, OnFailure: types.OnFailureDelete, DisableRollback: aws.Bool(true)}), "ValidationError", "either OnFailure or DisableRollback, but not both"},
		{creates(cfn.CreateStackInput{StackName: aws.String("n"), TemplateBody: body, ResourceTypes: []string{"Test::*"}}), "ValidationError", "ResourceTypes cannot be used: the local engine restricts no resource types"},
		{creates(cfn.CreateStackInput{StackName: aws.String("n"), TemplateBody: body, RollbackConfiguration: triggers}), "ValidationError", "RollbackTriggers cannot be used"},
		{creates(cfn.CreateStackInput{StackName: aws.String("n")}), "ValidationError", "Either Template URL or Template Body must be specified."},
		{creates(cfn.CreateStackInput{StackName: aws.String("n"), TemplateBody: body, TemplateURL: aws.String("https://s3.amazonaws.com/b/k")}), "ValidationError", "TemplateBody and TemplateURL are both given"},
		{creates(cfn.CreateStackInput{StackName: aws.String("n"), TemplateURL: aws.String("https://example.com/b/k")}), "ValidationError", "reads templates from its own S3 only"},
		{creates(cfn.CreateStackInput{StackName: aws.String("n"), TemplateBody: body, Parameters: []types.Parameter{{ParameterKey: s, ParameterValue: s}}}), "ValidationError", "[s] do not exist in the template"},
		{creates(cfn.CreateStackInput{StackName: aws.String("review"), TemplateBody: body}), "AlreadyExistsException", "Stack [review] already exists"},
		{updates(cfn.UpdateStackInput{StackName: s, TemplateBody: other, DeploymentConfig: config}), "ValidationError", "STANDARD mode only"},
		{updates(cfn.UpdateStackInput{StackName: s, TemplateBody: other, StackPolicyDuringUpdateBody: s}), "ValidationError", "StackPolicyDuringUpdateBody cannot be used"},
		{updates(cfn.UpdateStackInput{StackName: s, TemplateBody: aws.String(strings.ReplaceAll(chain, "Test::Thing", "Test::Role")), Capabilities: []types.Capability{types.CapabilityCapabilityIam}}), "ValidationError", "Update of resource type is not permitted: it is a Test::Thing now"},
		{updates(cfn.UpdateStackInput{StackName: s, UsePreviousTemplate: aws.Bool(true)}), "ValidationError", "No updates are to be performed."},
		{deletes(cfn.DeleteStackInput{StackName: s, DeletionMode: types.DeletionModeForceDeleteStack}), "ValidationError", "FORCE_DELETE_STACK cannot be used"},
		{deletes(cfn.DeleteStackInput{StackName: s, DeploymentConfig: config}), "ValidationError", "STANDARD mode only"},
		{executes(cfn.ExecuteChangeSetInput{ChangeSetName: aws.String("first")}), "ValidationError", "StackName must be specified if ChangeSetName is not specified as an ARN."},
		{executes(cfn.ExecuteChangeSetInput{StackName: s, ChangeSetName: aws.String("none")}), "ChangeSetNotFound", "ChangeSet [none] does not exist"},
		{executes(cfn.ExecuteChangeSetInput{ChangeSetName: aws.String(*review.ChangeSetId + "x")}), "ChangeSetNotFound", "does not exist"},
		{executes(cfn.ExecuteChangeSetInput{StackName: aws.String("nobody"), ChangeSetName: aws.String("c")}), "ValidationError", "Stack [nobody] does not exist"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) { wantError(t, c.err, c.code, c.want) })
	}
	for _, c := range []struct {
		answer func() error
		want   string
	}{
		{func() error { _, err := e.client.ListImports(ctx, &cfn.ListImportsInput{ExportName: s}); return err }, "Export 's' is not imported by any stack."},
		{func() error {
			_, err := e.client.DescribeStackResources(ctx, &cfn.DescribeStackResourcesInput{PhysicalResourceId: s})
			return err
		}, "Stack for s does not exist"},
		{func() error {
			_, err := e.client.DescribeStacks(ctx, &cfn.DescribeStacksInput{NextToken: s})
			return err
		}, `NextToken "s" is not one that this operation gave out`},
		{func() error {
			_, err := e.client.ListStacks(ctx, &cfn.ListStacksInput{NextToken: aws.String("-1")})
			return err
		}, `NextToken "-1" is not one`},
		{func() error {
			_, err := e.client.DescribeStackEvents(ctx, &cfn.DescribeStackEventsInput{StackName: s, NextToken: aws.String("99")})
			return err
		}, `NextToken "99" is not one`},
		{func() error {
			_, err := e.client.ListExports(ctx, &cfn.ListExportsInput{NextToken: aws.String("1")})
			return err
		}, `NextToken "1" is not one`},
	} {
		wantError(t, c.answer(), "ValidationError", c.want)
	}
	if got := e.status(t, "s"); got != "CREATE_COMPLETE" {
		t.Errorf("the stack is %s", got)
	}
	if len(e.things.log) != 3 {
		t.Errorf("something was done: %v", e.things.log)
	}
	all, err := e.client.DescribeStacks(ctx, &cfn.DescribeStacksInput{})
	if err != nil || len(all.Stacks) != 2 {
		t.Errorf("%d stacks, %v", len(all.Stacks), err)
	}
}

// What a template says about a resource beside its properties is a change too.
func TestMetadataAloneIsAChange(t *testing.T) {
	e := startEngine(t)
	e.create(t, "s", chain)
	e.update(t, "s", strings.Replace(chain, `{"v": 1}`, `{"v": 2}`, 1))
	out, err := e.client.DescribeStackResource(t.Context(), &cfn.DescribeStackResourceInput{StackName: aws.String("s"), LogicalResourceId: aws.String("A")})
	if err != nil || *out.StackResourceDetail.Metadata != `{"v":2}` {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestExportsHaveTheirImportersAndOneOwner(t *testing.T) {
	e, ctx := startEngine(t), t.Context()
	producer := `{"Resources": {"A": {"Type": "Test::Thing"}}, "Outputs": {"X": {"Value": "v", "Export": {"Name": "x"}}, "Y": {"Value": "w"}}}`
	consumer := `{"Resources": {"B": {"Type": "Test::Thing", "Properties": {"Size": {"Fn::ImportValue": "x"}}}}}`
	e.create(t, "producer", producer)
	e.create(t, "consumer", consumer)
	e.create(t, "third", consumer)
	imports, err := e.client.ListImports(ctx, &cfn.ListImportsInput{ExportName: aws.String("x")})
	if err != nil || strings.Join(imports.Imports, " ") != "consumer third" {
		t.Errorf("imports %v, %v", imports, err)
	}
	_, err = e.client.CreateStack(ctx, &cfn.CreateStackInput{StackName: aws.String("rival"), TemplateBody: &producer})
	wantError(t, err, "ValidationError", "Export with name x is already exported by stack producer.")
	_, err = e.client.UpdateStack(ctx, &cfn.UpdateStackInput{StackName: aws.String("producer"), TemplateBody: aws.String(strings.Replace(producer, `"v"`, `"u"`, 1))})
	wantError(t, err, "ValidationError", "Cannot delete or change export x as it is in use by consumer, third.")
	_, err = e.client.DeleteStack(ctx, &cfn.DeleteStackInput{StackName: aws.String("producer")})
	wantError(t, err, "ValidationError", "Cannot delete or change export x as it is in use by consumer, third.")
	e.update(t, "producer", strings.Replace(producer, `"w"`, `"changed"`, 1))
	if got := e.outputs(t, "producer")["Y"]; got != "changed" {
		t.Errorf("Y is %q", got)
	}
	e.update(t, "consumer", strings.Replace(consumer, `{"Fn::ImportValue": "x"}`, `"none"`, 1))
	e.destroy(t, "third")
	e.destroy(t, "producer")
	if got := e.things.snapshot(); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

// A long history comes in pages of 100 events, each event once.
func TestLongHistoriesComeInPages(t *testing.T) {
	e, many := startEngine(t), []string{}
	for i := range 45 {
		many = append(many, fmt.Sprintf(`"T%02d": {"Type": "Test::Thing"}`, i))
	}
	e.create(t, "s", `{"Resources": {`+strings.Join(many, ",")+`}}`)
	first, err := e.client.DescribeStackEvents(t.Context(), &cfn.DescribeStackEventsInput{StackName: aws.String("s")})
	must(t, err)
	second, err := e.client.DescribeEvents(t.Context(), &cfn.DescribeEventsInput{StackName: aws.String("s"), NextToken: first.NextToken})
	must(t, err)
	if len(first.StackEvents) != 100 || len(second.OperationEvents) != 37 || second.NextToken != nil {
		t.Errorf("%d and %d events", len(first.StackEvents), len(second.OperationEvents))
	}
	last := first.StackEvents[0].Timestamp
	for _, event := range first.StackEvents[1:] {
		if !event.Timestamp.Before(*last) {
			t.Errorf("%s is not after %s: events need times of their own", last, event.Timestamp)
		}
		last = event.Timestamp
	}
}
