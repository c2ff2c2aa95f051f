package cloudformation

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// keepers are the types that can be retained, and imported again.
const keepers = `{"Resources": {
	"Repository": {"Type": "AWS::ECR::Repository", "DeletionPolicy": "Retain", "Properties": {"RepositoryName": "kept"}},
	"Logs": {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain", "Properties": {"LogGroupName": "/kept"}},
	"Bucket": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "RetainExceptOnCreate", "Properties": {"BucketName": "kept-bucket"}}},
	"Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Repository", "Arn"]}}}}`

// importSet makes a change set that imports what exists.
func (w *world) importSet(t *testing.T, stack, body string) (*cfn.DescribeChangeSetOutput, error) {
	t.Helper()
	made, err := w.client.CreateChangeSet(t.Context(), &cfn.CreateChangeSetInput{
		StackName: &stack, ChangeSetName: aws.String("import"), ChangeSetType: types.ChangeSetTypeCreate,
		TemplateBody: &body, ImportExistingResources: aws.Bool(true),
	})
	if err != nil {
		return nil, err
	}
	set, err := w.client.DescribeChangeSet(t.Context(), &cfn.DescribeChangeSetInput{ChangeSetName: made.Id})
	must(t, err)
	return set, nil
}

func (w *world) execute(t *testing.T, set *cfn.DescribeChangeSetOutput) {
	t.Helper()
	_, err := w.client.ExecuteChangeSet(t.Context(), &cfn.ExecuteChangeSetInput{ChangeSetName: set.ChangeSetId})
	must(t, err)
	w.settle(t)
}

func TestWhatDeletionRetainedIsImported(t *testing.T) {
	w := startWorld(t)
	w.deploy(t, "first", keepers)
	w.destroy(t, "first")
	w.deploy(t, "taken", keepers)
	if got := w.status(t, "taken"); got != "ROLLBACK_COMPLETE" {
		t.Fatal(got)
	}
	set, err := w.importSet(t, "second", keepers)
	must(t, err)
	for _, change := range set.Changes {
		if change.ResourceChange.Action != types.ChangeActionImport || aws.ToString(change.ResourceChange.PhysicalResourceId) == "" {
			t.Errorf("change of %s is %s", *change.ResourceChange.LogicalResourceId, change.ResourceChange.Action)
		}
	}
	if len(set.Changes) != 3 || !aws.ToBool(set.ImportExistingResources) {
		t.Errorf("%d changes, imports %v", len(set.Changes), set.ImportExistingResources)
	}
	w.execute(t, set)
	if got := w.status(t, "second"); got != "CREATE_COMPLETE" {
		t.Fatal(got, w.failures(t, "second"))
	}
	if got := w.outputs(t, "second")["Arn"]; !strings.HasSuffix(got, ":repository/kept") {
		t.Errorf("output: %s", got)
	}
	if got := strings.Join(w.events(t, "second"), " "); !strings.Contains(got, "Repository IMPORT_IN_PROGRESS Repository IMPORT_COMPLETE") {
		t.Errorf("events: %s", got)
	}
	_, err = w.importSet(t, "third", keepers)
	wantError(t, err, "ValidationError", "kept cannot be imported: it belongs to stack second")
}

func TestAnImportThatIsRolledBackLeavesTheResource(t *testing.T) {
	w := startWorld(t)
	w.deploy(t, "first", keepers)
	w.destroy(t, "first")
	// A project without a role is known to be wrong only when it is made.
	broken := strings.Replace(keepers, `"Logs":`, `"Bad": {"Type": "AWS::CodeBuild::Project", "DependsOn": ["Repository", "Logs", "Bucket"], "Properties": {
		"ServiceRole": "none", "Artifacts": {"Type": "NO_ARTIFACTS"}, "Source": {"Type": "NO_SOURCE", "BuildSpec": "version: 0.2"},
		"Environment": {"Image": "i", "ComputeType": "BUILD_GENERAL1_SMALL", "Type": "LINUX_CONTAINER"}}}, "Logs":`, 1)
	set, err := w.importSet(t, "second", broken)
	must(t, err)
	w.execute(t, set)
	if got := w.status(t, "second"); got != "ROLLBACK_COMPLETE" {
		t.Fatal(got)
	}
	set, err = w.importSet(t, "third", keepers)
	must(t, err)
	for _, change := range set.Changes {
		if change.ResourceChange.Action != types.ChangeActionImport {
			t.Errorf("%s is gone", *change.ResourceChange.LogicalResourceId)
		}
	}
}

func TestOnlyWhatIsRetainedIsImported(t *testing.T) {
	w := startWorld(t)
	w.deploy(t, "first", keepers)
	w.destroy(t, "first")
	_, err := w.importSet(t, "second", strings.Replace(keepers, `"DeletionPolicy": "Retain", `, "", 1))
	wantError(t, err, "ValidationError", "kept exists; to import it, the resource needs a DeletionPolicy")
}
