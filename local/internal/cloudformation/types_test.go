package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	sdkecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/transcript"
)

// testdata/types.yaml lists all that a template may say about each resource
// type: whoever changes a schema sees there what templates may say from now on.
func TestWhatATemplateMaySay(t *testing.T) {
	tr := transcript.New()
	all := resources.Providers(resources.Services{})
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		schema := all[kind].Schema()
		lines := propertyLines("", schema.Properties)
		lines = append(lines, strings.TrimSpace("Fn::GetAtt "+strings.Join(schema.Attributes, " ")), strings.TrimSpace("needs "+schema.Capability+" "+schema.NamedBy))
		tr.Add(kind, lines, nil)
	}
	tr.Compare(t, "testdata/types.yaml")
}

func propertyLines(path string, properties map[string]resources.Property) []string {
	kinds := []string{"string", "integer", "boolean", "object", "list", "JSON"}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p, line := properties[name], path+name
		for p.Kind == resources.List && p.Items != nil {
			line += " list of"
			refused, inert, required, createOnly := p.Refused, p.Inert, p.Required, p.CreateOnly
			p = *p.Items
			p.Refused, p.Inert, p.Required, p.CreateOnly = refused, inert, required, createOnly
		}
		line += " " + kinds[p.Kind]
		for _, mark := range []struct {
			word  string
			holds bool
		}{{" required", p.Required}, {" replaces", p.CreateOnly}, {" checked", p.Check != nil}} {
			if mark.holds {
				line += mark.word
			}
		}
		if len(p.Values) > 0 {
			line += " " + strings.Join(p.Values, "|")
		}
		if p.Refused != "" {
			line += " refused: " + p.Refused
		}
		if p.Inert != "" {
			line += " inert: " + p.Inert
		}
		lines = append(append(lines, line), propertyLines(path+name+"/", p.Fields)...)
	}
	return lines
}

// settings has every property with an effect that the other tests do not set.
const settings = `
Parameters: {V: {Type: String, Default: one}}
Resources:
  Metadata: {Type: AWS::CDK::Metadata, Properties: {Analytics: !Ref V}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: builder
      Path: /ci/
      Description: !Ref V
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: {Service: codebuild.amazonaws.com}, Action: sts:AssumeRole}}
      ManagedPolicyArns: ["arn:aws:iam::aws:policy/AdministratorAccess"]
      Tags: [{Key: team, Value: !Ref V}]
  Managed:
    Type: AWS::IAM::ManagedPolicy
    Properties: {ManagedPolicyName: more, Path: /ci/, Roles: [!Ref Role], PolicyDocument: {Statement: {Effect: Deny, Action: "s3:*", Resource: !Ref V}}}
  Group:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: /builds, RetentionInDays: !If [Two, 14, 7]}
  Repository:
    Type: AWS::ECR::Repository
    Properties:
      RepositoryName: images
      ImageTagMutability: !If [Two, MUTABLE, IMMUTABLE_WITH_EXCLUSION]
      ImageTagMutabilityExclusionFilters: !If [Two, !Ref "AWS::NoValue", [{ImageTagMutabilityExclusionFilterType: WILDCARD, ImageTagMutabilityExclusionFilterValue: "dev*"}]]
      ImageScanningConfiguration: {ScanOnPush: true}
      EncryptionConfiguration: {EncryptionType: KMS, KmsKey: key}
      LifecyclePolicy: {LifecyclePolicyText: '{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 9}, "action": {"type": "expire"}}]}'}
      RepositoryPolicyText: {Statement: [{Effect: Deny, Principal: "*", Action: "ecr:DeleteRepository"}]}
      EmptyOnDelete: true
      Tags: [{Key: team, Value: !Ref V}]
  Template:
    Type: AWS::ECR::RepositoryCreationTemplate
    Properties:
      AppliedFor: [CREATE_ON_PUSH]
      Prefix: team
      Description: !Ref V
      ImageTagMutability: IMMUTABLE_WITH_EXCLUSION
      ImageTagMutabilityExclusionFilters: [{ImageTagMutabilityExclusionFilterType: WILDCARD, ImageTagMutabilityExclusionFilterValue: "dev*"}]
      ResourceTags: [{Key: team, Value: !Ref V}]
  Project:
    Type: AWS::CodeBuild::Project
    Properties:
      Name: images
      ServiceRole: !GetAtt Role.Arn
      Description: !Ref V
      Artifacts: {Type: NO_ARTIFACTS}
      Source: {Type: NO_SOURCE, BuildSpec: "version: 0.2"}
      Environment: {Type: LINUX_CONTAINER, ComputeType: BUILD_GENERAL1_SMALL, Image: image, EnvironmentVariables: [{Name: A, Value: b, Type: PARAMETER_STORE}]}
      LogsConfig: {CloudWatchLogs: {Status: ENABLED, GroupName: !Ref Group, StreamName: builds}}
  Parameter:
    Type: AWS::SSM::Parameter
    Properties: {Name: /settings, Type: StringList, Value: !Ref V, Description: !Ref V, Tier: Advanced, DataType: text}
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties: {Name: given, Description: !Ref V, KmsKeyId: key, SecretString: !Ref V, Tags: [{Key: team, Value: a}]}
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: sources-here}}
  SecurityGroup: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: outbound}}
Conditions: {Two: !Equals [!Ref V, two]}
Outputs:
  Role: {Value: !Sub "${Role} ${Role.Arn} ${Managed} ${Managed.PolicyArn}"}
  Repository: {Value: !Sub "${Repository} ${Repository.Arn} ${Repository.RepositoryUri} ${Template}"}
  Others: {Value: !Sub "${Group} ${Group.Arn} ${Parameter} ${Parameter.Type} ${Parameter.Value} ${Project} ${Project.Arn} ${Project.Id}"}
  Bucket: {Value: !Sub "${Bucket} ${Bucket.Arn} ${Bucket.DomainName} ${Bucket.RegionalDomainName}"}
  Secret: {Value: !Sub "${Secret} ${Secret.Id}"}
  Group: {Value: !Sub "${SecurityGroup} ${SecurityGroup.GroupId}"}
`

// services writes down what the engine's services have of the settings.
func (w *world) services(t *testing.T, tr *transcript.Transcript, when string) {
	t.Helper()
	ctx, name := context.Background(), aws.String("images")
	add := func(what string, answer any, err error) { tr.Add(what+" "+when, answer, err) }
	add("the status", w.status(t, "s"), nil)
	add("the outputs", w.outputs(t, "s"), nil)
	role, found, err := w.roles.Role("builder")
	role.ID = ""
	add(fmt.Sprintf("the role is there: %v,", found), role, err)
	groups, err := w.groups.DescribeLogGroups(ctx, &cwl.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/builds")})
	if err == nil {
		for i := range groups.LogGroups {
			groups.LogGroups[i].CreationTime = nil
		}
	}
	add("the log group", groups, err)
	repository, err := w.repositories.Repository("images")
	add("the repository", repository, err)
	templates, err := w.repositories.DescribeRepositoryCreationTemplates(ctx, &sdkecr.DescribeRepositoryCreationTemplatesInput{})
	add("the creation template", templates, err)
	tags, err := w.repositories.ListTagsForResource(ctx, &sdkecr.ListTagsForResourceInput{ResourceArn: aws.String(w.repositories.ARN(*name))})
	add("the repository's tags", tags, err)
	parameters, err := w.parameters.DescribeParameters(ctx, &ssm.DescribeParametersInput{})
	add("the parameter", parameters, err)
	secret, err := w.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("given")})
	if err == nil {
		secret.ARN, secret.VersionIdsToStages = nil, nil
	}
	add("the secret", secret, err)
	bucket, err := w.buckets.HasBucket("sources-here")
	add("there is the bucket", bucket, err)
}

func TestServicesHaveWhatATemplateSays(t *testing.T) {
	w, tr, ctx := startWorld(t), transcript.New(), t.Context()
	w.deploy(t, "s", settings)
	w.services(t, tr, "when it is made")
	tr.Add("the project when it is made", w.project(t, "images"), nil)
	_, err := w.client.UpdateStack(ctx, &cfn.UpdateStackInput{StackName: aws.String("s"), UsePreviousTemplate: aws.Bool(true), Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
		Parameters: []types.Parameter{{ParameterKey: aws.String("V"), ParameterValue: aws.String("two")}}})
	must(t, err)
	w.settle(t)
	w.services(t, tr, "when it has changed")
	tr.Add("the project when it has changed", w.project(t, "images").Description, nil)

	// A second stack may not take over what the first one has.
	for _, id := range []string{"Role", "Group", "Repository", "Parameter", "Secret", "Bucket", "Project"} {
		body, name := settings[:strings.Index(settings, "Resources:")]+"Resources:\n"+resourceOf(t, settings, id)+"Conditions: {Two: !Equals [!Ref V, two]}\n", "taken"+id
		body = strings.ReplaceAll(strings.ReplaceAll(body, "!GetAtt Role.Arn", "role"), "GroupName: !Ref Group", "GroupName: g")
		w.deploy(t, name, body)
		tr.Add("a second "+id, w.failures(t, name), nil)
	}
	w.destroy(t, "s")
	role, found, _ := w.roles.Role("builder")
	tr.Add("the role is left", found, nil)
	_, err = w.repositories.Repository("images")
	tr.Add("the repository is left", role.Name, err)
	_, err = w.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/settings")})
	tr.Add("the parameter is left", nil, err)
	bucket, err := w.buckets.HasBucket("sources-here")
	tr.Add("the bucket is left", bucket, err)
	groups, err := w.groups.DescribeLogGroups(ctx, &cwl.DescribeLogGroupsInput{})
	tr.Add("the log groups left", groups.LogGroups, err)
	templates, err := w.repositories.DescribeRepositoryCreationTemplates(ctx, &sdkecr.DescribeRepositoryCreationTemplatesInput{})
	tr.Add("the creation templates left", templates, err)
	tr.Compare(t, "testdata/services.yaml")
}

// resourceOf cuts one resource out of a template in YAML.
func resourceOf(t *testing.T, body, id string) string {
	t.Helper()
	_, rest, found := strings.Cut(body, "\n  "+id+":")
	if !found {
		t.Fatalf("no resource %s", id)
	}
	text := "  " + id + ":"
	for i, line := range strings.SplitAfter(rest, "\n") {
		if i > 0 && !strings.HasPrefix(line, "    ") {
			break
		}
		text += line
	}
	return text
}
