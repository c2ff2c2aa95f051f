package local_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local"
)

// bootstrap is a part of the CDK's bootstrap stack: the bucket, the version,
// and the roles whose policies matter here, with their original statements.
const bootstrap = `
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: assets
      AccessControl: Private
      BucketEncryption: {ServerSideEncryptionConfiguration: [{ServerSideEncryptionByDefault: {SSEAlgorithm: aws:kms}}]}
      VersioningConfiguration: {Status: Enabled}
  Other: {Type: AWS::S3::Bucket, Properties: {BucketName: other}}
  Version:
    Type: AWS::SSM::Parameter
    Properties: {Type: String, Name: /cdk-bootstrap/version, Value: "33"}
  Publishing:
    Type: AWS::IAM::Role
    Properties:
      RoleName: publishing
      AssumeRolePolicyDocument: ` + trustsAccount + `
      Policies:
        - PolicyName: default
          PolicyDocument:
            Statement:
              - Effect: Allow
                Action: ["s3:GetObject*", "s3:GetBucket*", s3:GetEncryptionConfiguration, "s3:List*", "s3:DeleteObject*", "s3:PutObject*", "s3:Abort*"]
                Resource: [!GetAtt Bucket.Arn, !Sub "${Bucket.Arn}/*"]
                Condition: {StringEquals: {aws:ResourceAccount: [!Ref AWS::AccountId]}}
  Lookup:
    Type: AWS::IAM::Role
    Properties:
      RoleName: lookup
      AssumeRolePolicyDocument: ` + trustsAccount + `
      ManagedPolicyArns: [!Sub "arn:${AWS::Partition}:iam::aws:policy/ReadOnlyAccess"]
      Policies:
        - {PolicyName: LookupRolePolicy, PolicyDocument: {Statement: [{Effect: Deny, Action: [kms:Decrypt], Resource: "*"}]}}
  Deploy:
    Type: AWS::IAM::Role
    Properties:
      RoleName: deploy
      AssumeRolePolicyDocument: ` + trustsAccount + `
      ManagedPolicyArns: [!Sub "arn:${AWS::Partition}:iam::aws:policy/AWSCloudFormationReadOnlyAccess"]
      Policies:
        - PolicyName: default
          PolicyDocument:
            Statement:
              - Effect: Allow
                Action: [cloudformation:CreateChangeSet, cloudformation:DeleteChangeSet, cloudformation:ExecuteChangeSet, cloudformation:CreateStack, cloudformation:UpdateStack]
                Resource: "*"
              - Effect: Allow
                Action: ["s3:GetObject*", "s3:GetBucket*", "s3:List*", "s3:Abort*", "s3:DeleteObject*", "s3:PutObject*"]
                Resource: "*"
                Condition: {StringNotEquals: {s3:ResourceAccount: !Ref AWS::AccountId}}
              - {Effect: Allow, Action: iam:PassRole, Resource: !GetAtt Execution.Arn}
              - {Effect: Allow, Action: [cloudformation:DeleteStack, sts:GetCallerIdentity], Resource: "*"}
              - {Effect: Allow, Action: ["s3:GetObject*", "s3:GetBucket*", "s3:List*"], Resource: [!GetAtt Bucket.Arn, !Sub "${Bucket.Arn}/*"]}
              - {Effect: Allow, Action: [ssm:GetParameter, ssm:GetParameters], Resource: !Sub "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${Version}"}
  Execution:
    Type: AWS::IAM::Role
    Properties:
      RoleName: execution
      AssumeRolePolicyDocument: ` + trustsCloudFormation + `
      ManagedPolicyArns: [!Sub "arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess"]
  Spare: {Type: AWS::IAM::Role, Properties: {RoleName: spare, AssumeRolePolicyDocument: ` + trustsCloudFormation + `}}
`

const (
	trustsAccount = `{Statement: [
        {Action: sts:AssumeRole, Effect: Allow, Principal: {AWS: !Ref AWS::AccountId}, Condition: {"Null": {sts:ExternalId: "true"}}},
        {Action: sts:TagSession, Effect: Allow, Principal: {AWS: !Ref AWS::AccountId}}]}`
	trustsCloudFormation = `{Statement: [{Action: sts:AssumeRole, Effect: Allow, Principal: {Service: cloudformation.amazonaws.com}}]}`
)

// A bootstrapped is an account with that stack.
type bootstrapped struct {
	*testing.T
	account aws.Config
}

func bootstrapAccount(t *testing.T) bootstrapped {
	t.Helper()
	b := bootstrapped{T: t, account: run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config()}
	if err := local.Deploy(t.Context(), b.account, "toolkit", bootstrap); err != nil {
		t.Fatal(err)
	}
	return b
}

func roleARN(name string) *string { return aws.String("arn:aws:iam::000000000000:role/" + name) }

// as returns the account's configuration with a role's credentials. It gets
// them as the CDK CLI does.
func (b bootstrapped) as(role string) aws.Config {
	b.Helper()
	out, err := sts.NewFromConfig(b.account).AssumeRole(b.Context(), &sts.AssumeRoleInput{RoleArn: roleARN(role), RoleSessionName: aws.String("aws-cdk")})
	b.must(err)
	cfg := b.account
	cfg.Credentials = credentials.NewStaticCredentialsProvider(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	return cfg
}

func (b bootstrapped) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b bootstrapped) wantError(err error, code, text string) {
	b.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		b.Errorf("error is %v; want %s with %q", err, code, text)
	}
}

func (b bootstrapped) upload(cfg aws.Config, bucket, key, body string) error {
	_, err := s3.NewFromConfig(cfg).PutObject(b.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: strings.NewReader(body), ServerSideEncryption: s3types.ServerSideEncryptionAwsKms, ChecksumAlgorithm: s3types.ChecksumAlgorithmSha256,
	})
	return err
}

// parameterNamed returns a template with one parameter in it.
func parameterNamed(name string) string {
	return `{"Resources": {"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "` + name + `", "Type": "String", "Value": "x"}}}}`
}

// settled waits until no operation on the stack is in progress, and returns the
// stack.
func (b bootstrapped) settled(nameOrID string) types.Stack {
	b.Helper()
	for {
		out, err := cloudformation.NewFromConfig(b.account).DescribeStacks(b.Context(), &cloudformation.DescribeStacksInput{StackName: &nameOrID})
		b.must(err)
		if !strings.HasSuffix(string(out.Stacks[0].StackStatus), "_IN_PROGRESS") {
			return out.Stacks[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestTemplatesComeFromTheEnginesOwnS3(t *testing.T) {
	b := bootstrapAccount(t)
	large := strings.Replace(parameterNamed("large"), "{", `{"Metadata": {"Padding": "`+strings.Repeat("x", 60_000)+`"}, `, 1)
	b.must(b.upload(b.account, "assets", "a/t.json", parameterNamed("p")))
	b.must(b.upload(b.account, "assets", "large.json", large))
	b.must(b.upload(b.account, "assets", "huge.json", strings.Repeat(" ", 1<<20)+"{}"))
	b.must(b.upload(b.account, "other", "t.json", parameterNamed("p")))
	validate := func(cfg aws.Config, url string) error {
		_, err := cloudformation.NewFromConfig(cfg).ValidateTemplate(t.Context(), &cloudformation.ValidateTemplateInput{TemplateURL: &url})
		return err
	}
	const regional = "https://s3.us-east-1.amazonaws.com"
	for _, url := range []string{
		regional + "/assets/a/t.json", "https://s3-us-east-1.amazonaws.com/assets/a/t.json", "https://s3.amazonaws.com/assets/a/t.json",
		"https://assets.s3.us-east-1.amazonaws.com/a/t.json", "https://assets.s3.amazonaws.com/a%2Ft.json",
		*b.account.BaseEndpoint + "/assets/a/t.json", regional + "/assets/large.json",
	} {
		if err := validate(b.account, url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for url, want := range map[string]string{
		regional + "/assets/none.json":                       "S3 error: The specified key does not exist: none.json",
		regional + "/nowhere/t.json":                         "S3 error: The specified bucket does not exist: nowhere",
		regional + "/assets/huge.json":                       "may not exceed 1048576 bytes",
		regional + "/assets":                                 "from its own S3 only",
		regional + "/assets/a/t.json?versionId=1":            "from its own S3 only",
		"https://s3.eu-west-1.amazonaws.com/assets/a/t.json": "from its own S3 only",
		"https://example.com/assets/a/t.json":                "https://example.com/assets/a/t.json cannot be used: the local engine reads templates from its own S3 only",
		"http://169.254.169.254/assets/a/t.json":             "from its own S3 only",
		"s3://assets/a/t.json":                               "from its own S3 only",
		"assets/a/t.json":                                    "from its own S3 only",
	} {
		b.wantError(validate(b.account, url), "ValidationError", want)
	}
	deployer := b.as("deploy")
	b.must(validate(deployer, regional+"/assets/a/t.json"))
	b.wantError(validate(deployer, regional+"/other/t.json"), "ValidationError", "is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::other/t.json")

	client := cloudformation.NewFromConfig(b.account)
	name, url := aws.String("large"), aws.String(regional+"/assets/large.json")
	_, err := client.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: name, TemplateURL: url, TemplateBody: &large})
	b.wantError(err, "ValidationError", "TemplateBody and TemplateURL are both given")
	_, err = client.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: name, TemplateBody: &large})
	b.wantError(err, "ValidationError", "Upload it to a bucket and give its TemplateURL")
	_, err = client.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: name, TemplateURL: url})
	b.must(err)
	if stack := b.settled("large"); stack.StackStatus != types.StackStatusCreateComplete {
		t.Errorf("the stack is %s: %s", stack.StackStatus, aws.ToString(stack.StackStatusReason))
	}
	kept, err := client.GetTemplate(t.Context(), &cloudformation.GetTemplateInput{StackName: name})
	b.must(err)
	if *kept.TemplateBody != large {
		t.Errorf("the stack's template has %d bytes", len(*kept.TemplateBody))
	}
	_, err = client.UpdateStack(t.Context(), &cloudformation.UpdateStackInput{StackName: name, UsePreviousTemplate: aws.Bool(true)})
	b.wantError(err, "ValidationError", "No updates are to be performed")
	_, err = client.UpdateStack(t.Context(), &cloudformation.UpdateStackInput{StackName: name, TemplateURL: aws.String(regional + "/assets/a/t.json")})
	b.must(err)
	if stack := b.settled("large"); stack.StackStatus != types.StackStatusUpdateComplete {
		t.Errorf("the stack is %s: %s", stack.StackStatus, aws.ToString(stack.StackStatusReason))
	}
}

func TestAStackWorksAsTheRoleThatItIsGiven(t *testing.T) {
	b := bootstrapAccount(t)
	client, deployer := cloudformation.NewFromConfig(b.account), cloudformation.NewFromConfig(b.as("deploy"))
	name, body := aws.String("s"), aws.String(parameterNamed("p"))
	create := func(client *cloudformation.Client, role string) error {
		_, err := client.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: name, TemplateBody: body, RoleARN: roleARN(role)})
		return err
	}
	b.wantError(create(client, "none"), "ValidationError", "Role arn:aws:iam::000000000000:role/none is invalid or cannot be assumed: The role arn:aws:iam::000000000000:role/none cannot be found")
	b.wantError(create(client, "deploy"), "ValidationError", "is invalid or cannot be assumed: cloudformation.amazonaws.com is not authorized to perform: sts:AssumeRole")
	b.wantError(create(deployer, "spare"), "AccessDenied", "is not authorized to perform: iam:PassRole on resource: arn:aws:iam::000000000000:role/spare")
	set := &cloudformation.CreateChangeSetInput{
		StackName: name, ChangeSetName: aws.String("c"), ChangeSetType: types.ChangeSetTypeCreate, TemplateBody: body, RoleARN: roleARN("spare"),
	}
	_, err := deployer.CreateChangeSet(t.Context(), set)
	b.wantError(err, "AccessDenied", "iam:PassRole")
	set.RoleARN = roleARN("execution")
	_, err = deployer.CreateChangeSet(t.Context(), set)
	b.must(err)
	_, err = deployer.ExecuteChangeSet(t.Context(), &cloudformation.ExecuteChangeSetInput{StackName: name, ChangeSetName: set.ChangeSetName})
	b.must(err)
	stack := b.settled("s")
	if stack.StackStatus != types.StackStatusCreateComplete || aws.ToString(stack.RoleARN) != *set.RoleARN {
		t.Errorf("the stack is %s with role %s", stack.StackStatus, aws.ToString(stack.RoleARN))
	}
	events, err := client.DescribeStackEvents(t.Context(), &cloudformation.DescribeStackEventsInput{StackName: name})
	b.must(err)
	if !slices.ContainsFunc(events.StackEvents, func(e types.StackEvent) bool {
		return strings.Contains(aws.ToString(e.ResourceStatusReason), "does not check what the stack's role may do")
	}) {
		t.Error("the events do not say that the role's permissions are not checked")
	}

	// The role stays the stack's, until another is given.
	_, err = deployer.UpdateStack(t.Context(), &cloudformation.UpdateStackInput{StackName: name, TemplateBody: aws.String(parameterNamed("q"))})
	b.must(err)
	if stack := b.settled("s"); stack.StackStatus != types.StackStatusUpdateComplete || aws.ToString(stack.RoleARN) != *set.RoleARN {
		t.Errorf("after an update the stack is %s with role %s", stack.StackStatus, aws.ToString(stack.RoleARN))
	}
	_, err = client.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: aws.String("toolkit")})
	b.must(err)
	b.settled(*b.stackID("toolkit"))
	_, err = client.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: name})
	b.wantError(err, "ValidationError", "role/execution is invalid or cannot be assumed")
	b.must(local.Deploy(t.Context(), b.account, "again", strings.ReplaceAll(bootstrap, "RoleName: execution", "RoleName: execution-2")))
	_, err = client.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: name, RoleARN: roleARN("execution-2")})
	b.must(err)
	if stack := b.settled(*stack.StackId); stack.StackStatus != types.StackStatusDeleteComplete {
		t.Errorf("the stack is %s: %s", stack.StackStatus, aws.ToString(stack.StackStatusReason))
	}
}

// stackID returns the id of a stack, even if it was deleted.
func (b bootstrapped) stackID(name string) *string {
	b.Helper()
	out, err := cloudformation.NewFromConfig(b.account).ListStacks(b.Context(), nil)
	b.must(err)
	for _, stack := range out.StackSummaries {
		if *stack.StackName == name {
			return stack.StackId
		}
	}
	b.Fatalf("there is no stack %s", name)
	return nil
}

func TestTheBootstrapRolesMayDoWhatTheyShallAndNoMore(t *testing.T) {
	b := bootstrapAccount(t)
	ctx := t.Context()
	_, err := secretsmanager.NewFromConfig(b.account).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("token"), SecretString: aws.String("x")})
	b.must(err)
	_, err = ssm.NewFromConfig(b.account).PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/other"), Type: "String", Value: aws.String("x")})
	b.must(err)

	for name, calls := range map[string]map[string]struct {
		call    func(cfg aws.Config) error
		allowed bool
	}{
		"publishing": {
			"the bucket's place": {b.locationOf("assets"), true}, "its encryption": {b.encryptionOf("assets"), true},
			"upload": {b.uploadTo("assets"), true}, "list": {b.list("assets"), true},
			"another bucket's encryption": {b.encryptionOf("other"), false}, "upload to another": {b.uploadTo("other"), false},
			"stacks": {b.describe("toolkit"), false}, "version": {b.parameter("/cdk-bootstrap/version"), false},
		},
		"lookup": {
			"stacks": {b.describe("toolkit"), true}, "version": {b.parameter("/cdk-bootstrap/version"), true}, "list": {b.list("assets"), true},
			"upload": {b.uploadTo("assets"), false}, "delete a stack": {b.remove("nothing"), false}, "a secret": {b.secret("token"), false},
		},
		"deploy": {
			"stacks": {b.describe("toolkit"), true}, "version": {b.parameter("/cdk-bootstrap/version"), true}, "list": {b.list("assets"), true},
			"delete a stack": {b.remove("nothing"), true}, "upload": {b.uploadTo("assets"), false}, "list another bucket": {b.list("other"), false},
			"another parameter": {b.parameter("/other"), false}, "a secret": {b.secret("token"), false}, "projects": {b.projects(), false},
			"assume": {b.assume("lookup"), false},
		},
	} {
		cfg := b.as(name)
		for what, c := range calls {
			err := c.call(cfg)
			if c.allowed && err != nil {
				t.Errorf("role %s: %s: %v", name, what, err)
			}
			if !c.allowed && (err == nil || !strings.Contains(err.Error(), "is not authorized to perform")) {
				t.Errorf("role %s: %s must be denied, and is answered with %v", name, what, err)
			}
		}
	}
	_, err = sts.NewFromConfig(b.account).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: roleARN("deploy"), RoleSessionName: aws.String("me"), ExternalId: aws.String("xx")})
	b.wantError(err, "AccessDenied", "the role's trust policy does not allow it")
}

// The calls of that test.
func (b bootstrapped) locationOf(bucket string) func(aws.Config) error {
	return func(cfg aws.Config) error {
		_, err := s3.NewFromConfig(cfg).GetBucketLocation(b.Context(), &s3.GetBucketLocationInput{Bucket: &bucket})
		return err
	}
}

func (b bootstrapped) encryptionOf(bucket string) func(aws.Config) error {
	return func(cfg aws.Config) error {
		_, err := s3.NewFromConfig(cfg).GetBucketEncryption(b.Context(), &s3.GetBucketEncryptionInput{Bucket: &bucket})
		return err
	}
}

func (b bootstrapped) uploadTo(bucket string) func(aws.Config) error {
	return func(cfg aws.Config) error { return b.upload(cfg, bucket, "k", "x") }
}

func (b bootstrapped) list(bucket string) func(aws.Config) error {
	return func(cfg aws.Config) error {
		_, err := s3.NewFromConfig(cfg).ListObjectsV2(b.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(1)})
		return err
	}
}

func (b bootstrapped) describe(stack string) func(aws.Config) error {
	return func(cfg aws.Config) error {
		_, err := cloudformation.NewFromConfig(cfg).DescribeStacks(b.Context(), &cloudformation.DescribeStacksInput{StackName: &stack})
		return err
	}
}

func (b bootstrapped) remove(stack string) func(aws.Config) error {
	return func(cfg aws.Config) error {
		_, err := cloudformation.NewFromConfig(cfg).DeleteStack(b.Context(), &cloudformation.DeleteStackInput{StackName: &stack})
		return err
	}
}

func (b bootstrapped) parameter(name string) func(aws.Config) error {
	return func(cfg aws.Config) error {
		_, err := ssm.NewFromConfig(cfg).GetParameter(b.Context(), &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
		return err
	}
}

func (b bootstrapped) secret(id string) func(aws.Config) error {
	return func(cfg aws.Config) error {
		_, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(b.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
		return err
	}
}

func (b bootstrapped) projects() func(aws.Config) error {
	return func(cfg aws.Config) error {
		_, err := codebuild.NewFromConfig(cfg).ListProjects(b.Context(), &codebuild.ListProjectsInput{})
		return err
	}
}

func (b bootstrapped) assume(role string) func(aws.Config) error {
	return func(cfg aws.Config) error {
		_, err := sts.NewFromConfig(cfg).AssumeRole(b.Context(), &sts.AssumeRoleInput{RoleArn: roleARN(role), RoleSessionName: aws.String("me")})
		return err
	}
}
