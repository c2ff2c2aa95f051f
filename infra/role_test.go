package infra_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/infra"
)

// allowedWildcards are the only ones that a statement may allow something with:
// its actions, the resource, and the reason.
var allowedWildcards = map[string]string{
	"ecr:GetAuthorizationToken on *":        "ECR's login has no narrower resource",
	"ecr-public:GetAuthorizationToken on *": "nor has ECR Public's",
	"sts:GetServiceBearerToken on *":        "nor has this, which ECR Public's login takes; a condition binds it to ECR Public",

	pushing + " on " + underPrefix("flexbuild/"):              "RepositoryPrefix, which ends in a slash",
	pushing + " on " + underPrefix("stack-builder-403edd3e/"): "the default RepositoryPrefix",
	pushing + " on " + underPrefix("stack-one-30a4127a/"):     "the same, of one builder of two",
	pushing + " on " + underPrefix("stack-two-3036a41a/"):     "and of the other",
	pulling + " on " + underPrefix("flexbuild/"):              "the same, for those who pull",

	pulling + ` for {"AWS":"*"} if {"StringEquals":{"aws:PrincipalOrgID":"o-1234567890"}}`: "PullPrincipals: an organization is a condition",

	"ecr:CreateRepository on " + underPrefix("flexbuild/"): "CreateRepositoriesOnPush, in RepositoryPrefix",
	creating + " on " + underPrefix("flexbuild/"):          "the same, for ECR itself",
	creating + " on " + underPrefix("images-docker-hub/"):  "RepositoryEncryptionKey, for what ECR makes of DockerHubCredentials",
	creating + " on " + underPrefix("images-quay/"):        "and of BaseImageUpstreams",

	"s3:GetObject s3:GetObjectVersion on ${SourceBucket.Arn}/sources/*":                  "every upload, and nothing else in the bucket",
	"s3:PutObject on ${SourceBucket.Arn}/sources/*":                                      "the same, for those who start builds",
	"s3:PutObject on ${SourceBucket.Arn}/sources/team-a/*":                               "the same, for those who start builds",
	"s3:PutObject on ${SourceBucket.Arn}/sources/team-b/*":                               "the same, for those who start builds",
	"s3:GetObject s3:GetObjectVersion on arn:${AWS::Partition}:s3:::our-sources/zips/*":  "AllowSourceObjects, in the prefix",
	"s3:PutObject on arn:${AWS::Partition}:s3:::logs-of-builds/Stack-Builder-403EDD3E/*": "LogBucket, under the project's name",
	"s3:PutObject on arn:${AWS::Partition}:s3:::logs-of-builds/images/*":                 "the same",

	"secretsmanager:GetSecretValue on arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:npm-??????": "a secret that is known by its name: Secrets Manager puts six characters after it",

	// Of a builder in another stack.
	"s3:PutObject on arn:${AWS::Partition}:s3:::uploads/sources/*":                                                                               "the same uploads",
	"logs:GetLogEvents logs:FilterLogEvents on arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/codebuild/flexbuild:*": "the streams of the one group",
	"cloudformation:DescribeStacks on arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stack/${AWS::StackName}/*":           "CloudFormation puts a random part after a stack's name",
	"cloudformation:DescribeStacks on arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stack/flexbuild/*":                   "CloudFormation puts a random part after a stack's name",

	caching + " on " + underPrefix("images-docker-hub/"): "DockerHubCredentials: the cache makes a repository for each image",
	caching + " on " + underPrefix("images-quay/"):       "BaseImageUpstreams: the same",

	sessions + " on *": "SsmSessionPermissions: a session's channel has no name before it is opened",
	"secretsmanager:GetSecretValue on arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:team/telemetry-??????": "EnvironmentVariables: a secret that is known by its name lacks the end of its ARN",

	describeNetwork + " on *": "EC2 lets nobody scope these to a VPC or a subnet",
	"ec2:CreateNetworkInterfacePermission on arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:network-interface/*": "interfaces have no name before they exist; a condition binds it to the subnets and to CodeBuild",
}

const (
	pulling  = "ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:BatchGetImage"
	creating = "ecr:CreateRepository ecr:ReplicateImage ecr:TagResource"
	caching  = pulling + " ecr:BatchImportUpstreamImage ecr:CreateRepository"
	pushing  = pulling + " ecr:InitiateLayerUpload ecr:UploadLayerPart ecr:CompleteLayerUpload ecr:PutImage" +
		" ecr:DescribeRepositories ecr:DescribeImages"
)

const sessions = "ssmmessages:CreateControlChannel ssmmessages:CreateDataChannel ssmmessages:OpenControlChannel ssmmessages:OpenDataChannel"

const describeNetwork = "ec2:CreateNetworkInterface ec2:DescribeNetworkInterfaces ec2:DeleteNetworkInterface " +
	"ec2:DescribeSubnets ec2:DescribeSecurityGroups ec2:DescribeDhcpOptions ec2:DescribeVpcs"

func underPrefix(prefix string) string {
	return "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/" + prefix + "*"
}

func TestPoliciesHaveNoWildcardThatIsNotOnTheList(t *testing.T) {
	used := map[string]bool{}
	for name, fill := range allKinds {
		t.Run(name, func(t *testing.T) {
			for _, statement := range statements(t, synthesizeStack(t, nil, fill)) {
				for _, wildcard := range wildcardsOf(statement) {
					used[wildcard] = true
					if allowedWildcards[wildcard] == "" {
						t.Errorf("%q is not on the list, in %s", wildcard, compact(statement))
					}
				}
			}
		})
	}
	for wildcard := range allowedWildcards {
		if !used[wildcard] {
			t.Errorf("%q is on the list and nowhere else: remove it", wildcard)
		}
	}
}

// wildcardsOf names the wildcards a statement allows something with. A Deny may
// be as wide as it likes.
func wildcardsOf(statement template) []string {
	if statement["Effect"] == "Deny" {
		return nil
	}
	actions := strings.Join(texts(statement["Action"]), " ")
	var found []string
	for element, value := range statement {
		switch element {
		case "NotAction", "NotPrincipal", "NotResource":
			found = append(found, element)
		case "Action":
			if strings.Contains(compact(value), "*") {
				found = append(found, element+" "+compact(value))
			}
		case "Principal":
			if strings.Contains(compact(value), "*") {
				found = append(found, actions+" for "+compact(value)+" if "+compact(statement["Condition"]))
			}
		case "Resource":
			for _, resource := range texts(value) {
				if strings.ContainsAny(resource, "*?") {
					found = append(found, actions+" on "+resource)
				}
			}
		}
	}
	return found
}

func TestWildcardsAreFound(t *testing.T) {
	for _, statement := range []template{
		{"Effect": "Allow", "Action": "ecr:*"},
		{"Effect": "Allow", "Action": []any{"ecr:PutImage", "ecr:List*"}},
		{"Effect": "Allow", "Principal": map[string]any{"AWS": "*"}},
		{"Effect": "Allow", "Resource": map[string]any{"Fn::Join": []any{"", []any{"arn:", "*"}}}},
		{"Effect": "Allow", "NotAction": "iam:PassRole"},
	} {
		if len(wildcardsOf(statement)) != 1 {
			t.Errorf("%s: wildcards %q, want one", compact(statement), wildcardsOf(statement))
		}
	}
}

func TestRolePolicyIsExactlyThis(t *testing.T) {
	tpl := synthesize(t, infra.DefaultProps())
	want := map[string][]string{
		"logs:CreateLogStream logs:PutLogEvents": {"${LogGroup.Arn}"},
		"ecr:GetAuthorizationToken":              {"*"},
		"ecr-public:GetAuthorizationToken":       {"*"},
		"sts:GetServiceBearerToken":              {"*"},
		pushing:                                  {"${Repositoryapp.Arn}", underPrefix("flexbuild/"), "${CacheRepository.Arn}"},
		"s3:GetObject s3:GetObjectVersion":       {"${SourceBucket.Arn}/sources/*"},
		"s3:GetBucketLocation":                   {"${SourceBucket.Arn}"},
	}
	got := map[string][]string{}
	for _, statement := range documentStatements(tpl.the(t, "AWS::IAM::Policy", "").at("Properties.PolicyDocument")) {
		got[strings.Join(texts(statement["Action"]), " ")] = texts(statement["Resource"])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRoleTrustsOnlyItsOwnProject(t *testing.T) {
	tpl := synthesize(t, &infra.ImageBuilderProps{ProjectName: jsii.String("mine")})
	trust := documentStatements(tpl.the(t, "AWS::IAM::Role", "").at("Properties.AssumeRolePolicyDocument"))
	if len(trust) != 1 {
		t.Fatalf("the role is trusted in %d statements, want 1", len(trust))
	}
	for path, want := range map[string]string{
		"Action":            "sts:AssumeRole",
		"Principal.Service": "codebuild.amazonaws.com",
		"Condition.StringEquals.aws:SourceAccount": "${AWS::AccountId}",
		"Condition.ArnEquals.aws:SourceArn":        "arn:${AWS::Partition}:codebuild:${AWS::Region}:${AWS::AccountId}:project/mine",
	} {
		if got := text(trust[0].at(path)); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

// One policy, and nothing that the CDK adds on its own.
func TestNoOtherPermissionsAreMade(t *testing.T) {
	tpl := synthesize(t, infra.DefaultProps())
	for kind, want := range map[string]int{
		"AWS::IAM::Role": 1, "AWS::IAM::Policy": 1, "AWS::IAM::ManagedPolicy": 0,
		"AWS::Logs::ResourcePolicy": 0, "AWS::CodeBuild::ReportGroup": 0, "AWS::Lambda::Function": 0,
	} {
		if got := len(tpl.resources(kind)); got != want {
			t.Errorf("%d resources of type %s, want %d", got, kind, want)
		}
	}
}

func TestBuildsLogInToECRPublicWhereThereIsOne(t *testing.T) {
	for region, want := range map[string]bool{
		"": true, "eu-west-1": true, "cn-north-1": false, "us-gov-west-1": false,
	} {
		t.Run(region, func(t *testing.T) {
			var stack awscdk.StackProps
			if region != "" {
				stack.Env = &awscdk.Environment{Region: jsii.String(region)}
			}
			tpl := synthesizeStack(t, &stack, func(stack awscdk.Stack) { infra.NewImageBuilder(stack, jsii.String("Builder"), nil) })
			for _, action := range []string{"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"} {
				if got := may(t, tpl, action, "*"); got != want {
					t.Errorf("builds may do %s: %v, want %v", action, got, want)
				}
			}
		})
	}
}

// Bearer tokens of other services, such as CodeArtifact, are none of a build's.
func TestBearerTokensAreForECRPublicOnly(t *testing.T) {
	const want = `{"StringEquals":{"sts:AWSServiceName":"ecr-public.amazonaws.com"}}`
	for _, statement := range statements(t, synthesize(t, nil)) {
		if text(statement["Action"]) == "sts:GetServiceBearerToken" && compact(statement["Condition"]) != want {
			t.Errorf("the condition is %s, want %s", compact(statement["Condition"]), want)
		}
	}
}
