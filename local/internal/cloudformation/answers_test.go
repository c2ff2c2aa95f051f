package cloudformation

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/codebuild-flex/flexbuild/local/internal/transcript"
)

// everything is a template with all that a template may have.
const everything = `
AWSTemplateFormatVersion: 2010-09-09
Description: A pair of things
Metadata: {Owner: platform}
Parameters:
  Colours: {Type: CommaDelimitedList, Default: "red, green"}
  Flavour: {Type: String, Default: sweet, AllowedValues: [sweet, sour], Description: what it tastes of}
  Hidden: {Type: String, NoEcho: true, Default: hush}
  Count: {Type: Number, Default: 2}
  Needed: {Type: String}
Conditions:
  Sour: !Equals [!Ref Flavour, sour]
Resources:
  First:
    Type: Test::Thing
    DeletionPolicy: RetainExceptOnCreate
    Metadata: {"about": "the first"}
    Properties: {Size: !Ref Needed, Count: !Ref Count, Shape: round, Needs: !Ref Colours}
  Role:
    Type: Test::Role
    Properties: {Name: named, Size: !GetAtt First.Arn, Needs: [!Sub "${AWS::StackName}.${AWS::URLSuffix}/${AWS::Partition}/${AWS::Region}/${AWS::AccountId}", !Ref "AWS::StackId"]}
  Extra:
    Type: Test::Thing
    Condition: Sour
Outputs:
  Exported: {Value: !Ref First, Description: the first thing, Export: {Name: first}}
  Tart: {Value: !Ref Extra, Condition: Sour}
`

// answers asks everything about a stack and its change sets.
func (e *engine) answers(t *testing.T, tr *transcript.Transcript, when string, stack, set *string) {
	t.Helper()
	ctx, c := t.Context(), e.client
	add := func(what string, answer any, err error) { tr.Add(what+" "+when, answer, err) }
	described, err := c.DescribeStacks(ctx, &cfn.DescribeStacksInput{StackName: stack})
	add("DescribeStacks", described, err)
	listed, err := c.ListStacks(ctx, &cfn.ListStacksInput{})
	add("ListStacks", listed, err)
	resources, err := c.DescribeStackResources(ctx, &cfn.DescribeStackResourcesInput{StackName: stack})
	add("DescribeStackResources", resources, err)
	summaries, err := c.ListStackResources(ctx, &cfn.ListStackResourcesInput{StackName: stack})
	add("ListStackResources", summaries, err)
	first, err := c.DescribeStackResource(ctx, &cfn.DescribeStackResourceInput{StackName: stack, LogicalResourceId: aws.String("First")})
	add("DescribeStackResource", first, err)
	exports, err := c.ListExports(ctx, &cfn.ListExportsInput{})
	add("ListExports", exports, err)
	sets, err := c.ListChangeSets(ctx, &cfn.ListChangeSetsInput{StackName: stack})
	add("ListChangeSets", sets, err)
	for _, values := range []bool{false, true} {
		shown, err := c.DescribeChangeSet(ctx, &cfn.DescribeChangeSetInput{ChangeSetName: set, StackName: stack, IncludePropertyValues: &values})
		add("DescribeChangeSet", shown, err)
	}
}

// events writes down a stack's events by both operations that return them.
func (e *engine) addEvents(t *testing.T, tr *transcript.Transcript, when string, stack *string) {
	t.Helper()
	events, err := e.client.DescribeStackEvents(t.Context(), &cfn.DescribeStackEventsInput{StackName: stack})
	tr.Add("DescribeStackEvents "+when, events, err)
	failures, err := e.client.DescribeEvents(t.Context(), &cfn.DescribeEventsInput{StackName: stack, Filters: &types.EventFilter{FailedEvents: aws.Bool(true)}})
	tr.Add("the failures of DescribeEvents "+when, failures, err)
}

func TestAnswersAboutTemplates(t *testing.T) {
	e, tr, body := startEngine(t), transcript.New(), aws.String(everything)
	valid, err := e.client.ValidateTemplate(t.Context(), &cfn.ValidateTemplateInput{TemplateBody: body})
	tr.Add("ValidateTemplate", valid, err)
	summary, err := e.client.GetTemplateSummary(t.Context(), &cfn.GetTemplateSummaryInput{TemplateBody: body})
	tr.Add("GetTemplateSummary", summary, err)
	valid, err = e.client.ValidateTemplate(t.Context(), &cfn.ValidateTemplateInput{TemplateBody: aws.String("Resources: []")})
	tr.Add("ValidateTemplate of what is no template", valid, err)
	summary, err = e.client.GetTemplateSummary(t.Context(), &cfn.GetTemplateSummaryInput{TemplateBody: aws.String("Resources: []")})
	tr.Add("GetTemplateSummary of what is no template", summary, err)
	summary, err = e.client.GetTemplateSummary(t.Context(), &cfn.GetTemplateSummaryInput{StackName: aws.String("nobody")})
	tr.Add("GetTemplateSummary of a stack that is not there", summary, err)
	tr.Compare(t, "testdata/templates.yaml")
}

// A stack goes through its life by change sets, and everything is asked about
// it on the way.
func TestAnswersAboutAStack(t *testing.T) {
	e, tr, ctx := startEngine(t), transcript.New(), t.Context()
	stack, set := aws.String("whole"), aws.String("made")
	parameter := func(key, value string) types.Parameter {
		return types.Parameter{ParameterKey: &key, ParameterValue: &value}
	}
	in := &cfn.CreateChangeSetInput{
		StackName: stack, ChangeSetName: set, ChangeSetType: types.ChangeSetTypeCreate, TemplateBody: aws.String(everything),
		Description: aws.String("the first of all"), ClientToken: aws.String("again"), OnStackFailure: types.OnStackFailureDelete,
		Parameters:   []types.Parameter{parameter("Needed", "5")},
		Tags:         []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}, {Key: aws.String("cost"), Value: aws.String("b")}},
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
	}
	made, err := e.client.CreateChangeSet(ctx, in)
	tr.Add("CreateChangeSet", made, err)
	made, err = e.client.CreateChangeSet(ctx, in)
	tr.Add("CreateChangeSet by a repeated request", made, err)
	e.answers(t, tr, "in review", stack, set)
	template, err := e.client.GetTemplate(ctx, &cfn.GetTemplateInput{StackName: stack, ChangeSetName: set})
	tr.Add("GetTemplate of a change set", template, err)
	_, err = e.client.ExecuteChangeSet(ctx, &cfn.ExecuteChangeSetInput{StackName: stack, ChangeSetName: set, ClientRequestToken: aws.String("token")})
	must(t, err)
	e.settle(t)
	e.answers(t, tr, "when it is made", stack, set)
	e.addEvents(t, tr, "when it is made", stack)

	_, err = e.client.UpdateStack(ctx, &cfn.UpdateStackInput{StackName: stack, UsePreviousTemplate: aws.Bool(true), Parameters: in.Parameters, Capabilities: in.Capabilities})
	wantError(t, err, "ValidationError", "No updates are to be performed.")
	in = &cfn.CreateChangeSetInput{StackName: stack, ChangeSetName: aws.String("change"), Parameters: []types.Parameter{
		parameter("Needed", "6"), parameter("Flavour", "sour"), {ParameterKey: aws.String("Count"), UsePreviousValue: aws.Bool(true)},
	}, Capabilities: in.Capabilities, UsePreviousTemplate: aws.Bool(true)}
	_, err = e.client.CreateChangeSet(ctx, in)
	must(t, err)
	e.answers(t, tr, "before a change", stack, in.ChangeSetName)
	in.ChangeSetName, in.UsePreviousTemplate = aws.String("other"), nil
	in.TemplateBody = aws.String(`
Parameters: {Needed: {Type: String}, Flavour: {Type: String}, Count: {Type: Number}}
Resources:
  First: {Type: Test::Thing, UpdateReplacePolicy: Retain, DeletionPolicy: Delete, Metadata: {about: nothing}, Properties: {Shape: flat}}
`)
	_, err = e.client.CreateChangeSet(ctx, in)
	must(t, err)
	changed, err := e.client.DescribeChangeSet(ctx, &cfn.DescribeChangeSetInput{StackName: stack, ChangeSetName: in.ChangeSetName, IncludePropertyValues: aws.Bool(true)})
	tr.Add("DescribeChangeSet of what is removed and replaced", changed, err)
	_, err = e.client.ExecuteChangeSet(ctx, &cfn.ExecuteChangeSetInput{StackName: stack, ChangeSetName: aws.String("change")})
	must(t, err)
	e.settle(t)
	changed, err = e.client.DescribeChangeSet(ctx, &cfn.DescribeChangeSetInput{StackName: stack, ChangeSetName: in.ChangeSetName})
	tr.Add("DescribeChangeSet of one that was not executed", changed, err)
	e.answers(t, tr, "when it has changed", stack, aws.String("change"))

	e.destroy(t, "whole")
	e.answers(t, tr, "when it is deleted", made.StackId, made.Id)
	e.addEvents(t, tr, "when it is deleted", made.StackId)
	for _, filter := range []types.StackStatus{types.StackStatusDeleteComplete, types.StackStatusCreateComplete} {
		listed, err := e.client.ListStacks(ctx, &cfn.ListStacksInput{StackStatusFilter: []types.StackStatus{filter}})
		tr.Add("ListStacks of those that are "+string(filter), listed, err)
	}
	tr.Compare(t, "testdata/stack.yaml")
}
