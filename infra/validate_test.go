package infra_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

type props = infra.ImageBuilderProps

func TestValidateAcceptsWhatIsRight(t *testing.T) {
	for name, p := range map[string]*props{
		"nil":     nil,
		"zero":    {},
		"default": infra.DefaultProps(),
		"limits":  {Timeout: minutes(2160), QueuedTimeout: minutes(5), UntaggedImageExpiry: days(1)},
		"names":   {ProjectName: jsii.String("A-b_9"), Repositories: jsii.Strings("ab", "team/a.b-c_d"), RepositoryPrefix: jsii.String("a/b/")},
	} {
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each error is one line: the prop, its value, what to write.
func TestValidateNamesPropValueAndFix(t *testing.T) {
	many := make([]string, 31)
	for i := range many {
		many[i] = "rr" + strings.Repeat("x", i)
	}
	for want, p := range map[string]props{
		`ProjectName: "a b": write 2 to 150 letters, digits, - and _, the first a letter or digit`:                    {ProjectName: jsii.String("a b")},
		`CacheRepositoryName: "Cache": write lower-case letters`:                                                      {CacheRepositoryName: jsii.String("Cache")},
		`LogGroupName: "a b": write 1 to 512 letters`:                                                                 {LogGroupName: jsii.String("a b")},
		`ParameterName: "images": write a path such as /team/images`:                                                  {ParameterName: jsii.String("images")},
		`OutputPrefix: "a-b": write up to 64 letters and digits`:                                                      {OutputPrefix: jsii.String("a-b")},
		`Repositories[1]: "App": write lower-case letters`:                                                            {Repositories: jsii.Strings("aa", "App")},
		`Repositories[0]: "a" has 1 characters: write 2 to 256`:                                                       {Repositories: jsii.Strings("a")},
		`Repositories[1]: "aa" is there twice: remove one`:                                                            {Repositories: jsii.Strings("aa", "aa")},
		`Repositories[0]: "cc" is the repository of caches too: rename it or give a CacheRepositoryName`:              {Repositories: jsii.Strings("cc"), CacheRepositoryName: jsii.String("cc")},
		`Repositories[0]: "p1-cache" is the repository of caches too`:                                                 {ProjectName: jsii.String("p1"), Repositories: jsii.Strings("p1-cache")},
		`Repositories: 31 with ExistingRepositories, one policy has room for 30: give them a common RepositoryPrefix`: {Repositories: jsii.Strings(many...)},
		`ExistingRepositories[0]: nil: give a repository`:                                                             {ExistingRepositories: &[]awsecr.IRepository{nil}},
		`RepositoryPrefix: "team": write lower-case letters`:                                                          {RepositoryPrefix: jsii.String("team")},
		`RepositoryPrefix: "" with no Repositories: builds could push nowhere`:                                        {RepositoryPrefix: jsii.String("")},
		`ImageTagMutabilityExclusionFilters: ["latest"] need ImageTagMutability IMMUTABLE_WITH_EXCLUSION`:             {ImageTagMutabilityExclusionFilters: jsii.Strings("latest")},
		`ImageTagMutability: "IMMUTABLE_WITH_EXCLUSION" excludes nothing: give ImageTagMutabilityExclusionFilters`:    {ImageTagMutability: awsecr.TagMutability_IMMUTABLE_WITH_EXCLUSION},
		`SourceType: "SVN": use one of GITHUB,`:                                                                       {SourceType: jsii.String("SVN")},
		`SourceLocation: missing for SourceType GITLAB: give the repository's https URL`:                              {SourceType: jsii.String("GITLAB")},
		`SourceLocation: "https://x.y/z" with SourceType NO_SOURCE: remove one of them`:                               {SourceType: jsii.String("NO_SOURCE"), SourceLocation: jsii.String("https://x.y/z")},
		`SourceLocation: "git@github.com:a/b": write an https URL without credentials`:                                {SourceLocation: jsii.String("git@github.com:a/b")},
		`UntaggedImageExpiry: 0 days: give whole days, 1 to 36500`:                                                    {UntaggedImageExpiry: days(0)},
		`CacheExpiry: 36501 days: give whole days, 1 to 36500`:                                                        {CacheExpiry: days(36501)},
		`SourceExpiry: 1 day 12 hours: give whole days, 1 to 36500`:                                                   {SourceExpiry: days(1.5)},
		`Timeout: 4 minutes: give whole minutes, 5 to 2160`:                                                           {Timeout: minutes(4)},
		`QueuedTimeout: 8 hours 1 minute: give whole minutes, 5 to 480`:                                               {QueuedTimeout: minutes(481)},
		`AutoRetryLimit: 11: write a whole number from 0 to 10`:                                                       {AutoRetryLimit: jsii.Number(11)},
		`StackOutputs: false without a ParameterName: nobody could find the builder`:                                  {StackOutputs: jsii.Bool(false)},
		`EnvironmentVariables["TAG"]: the contract has a variable of that name`:                                       variable("TAG", "x", ""),
		`EnvironmentVariables["MIRRORS"]: the contract has a variable of that name`:                                   variable("MIRRORS", "x", ""),
		`EnvironmentVariables["REGISTRY"]: the contract has a variable of that name`:                                  variable("REGISTRY", "x", ""),
		`EnvironmentVariables["SECRET_npm"]: the contract has a variable of that`:                                     variable("SECRET_npm", "x", ""),
		`EnvironmentVariables["CODEBUILD_X"]: CodeBuild reserves names that begin`:                                    variable("CODEBUILD_X", "x", ""),
		`EnvironmentVariables["A-B"]: no name of a variable: write letters, digits`:                                   variable("A-B", "x", ""),
		`EnvironmentVariables["A"]: it has no value: give one`:                                                        variable("A", nil, ""),
		`EnvironmentVariables["A"].Type: "SECRET": use one of PLAINTEXT, PARAMETER_S`:                                 variable("A", "x", "SECRET"),
		`ConcurrentBuildLimit: 0: write a whole number from 1 to`:                                                     {ConcurrentBuildLimit: jsii.Number(0)},
		`ProjectName: the value is a token, which is known at deployment only: give a literal string`:                 {ProjectName: awscdk.Aws_STACK_NAME()},
		`LifecyclePolicyText: "keep 5": invalid character`:                                                            {LifecyclePolicyText: jsii.String("keep 5")},
		`LifecyclePolicyText: "{}" has no rules: write {"rules":[`:                                                    {LifecyclePolicyText: jsii.String("{}")},
		`PullPrincipals[0]: nil: give a principal such as`:                                                            {PullPrincipals: &[]awsiam.IPrincipal{nil}},
		`ImageTagMutability: "FIXED": use one of MUTABLE, IMMUTABLE, IMMUTABLE_WITH`:                                  {ImageTagMutability: "FIXED"},
		`RepositoryRemovalPolicy: "SNAPSHOT": use one of DESTROY, RETAIN, RETAIN_ON`:                                  {RepositoryRemovalPolicy: awscdk.RemovalPolicy_SNAPSHOT},
		`ComputeType: "LAMBDA_1GB": use one of SMALL, MEDIUM, LARGE, X_LARGE, X2_LARGE`:                               {ComputeType: awscodebuild.ComputeType_LAMBDA_1GB},
		`DockerServerComputeType: "HUGE": use one of SMALL,`:                                                          {DockerServerComputeType: "HUGE"},
		`LocalCacheModes[1]: "ALL": use one of SOURCE, DOCKER_LAYER`:                                                  {LocalCacheModes: &[]awscodebuild.LocalCacheMode{"SOURCE", "ALL"}},
		`LogRetention: "FOREVER": use one of ONE_DAY,`:                                                                {LogRetention: "FOREVER"},
		`LogRemovalPolicy: "KEEP": use one of DESTROY, RETAIN`:                                                        {LogRemovalPolicy: "KEEP"},
		`SourceConnectionArn: "mine": write the ARN of a connection`:                                                  {SourceConnectionArn: jsii.String("mine")},
		`SourceConnectionArn: "` + connectionARN + `" with SourceType NO_SOURCE, which takes none`:                    {SourceConnectionArn: jsii.String(connectionARN), SourceType: jsii.String("NO_SOURCE")},
		`CreateRepositoriesOnPush: true without a RepositoryPrefix`:                                                   {Repositories: jsii.Strings("aa"), CreateRepositoriesOnPush: jsii.Bool(true)},
		`PermissionsBoundary: given together with a Role`: {
			Role:                awsiam.NewLazyRole(awscdk.NewStack(nil, nil, nil), jsii.String("Role"), &awsiam.LazyRoleProps{AssumedBy: awsiam.NewAccountRootPrincipal()}),
			PermissionsBoundary: awsiam.ManagedPolicy_FromAwsManagedPolicyName(jsii.String("ReadOnlyAccess")),
		},
	} {
		err := p.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), want[:min(len(want), 40)]) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// variable returns the props of a builder with one more variable.
func variable(name string, value any, kind awscodebuild.BuildEnvironmentVariableType) props {
	return props{EnvironmentVariables: &map[string]*awscodebuild.BuildEnvironmentVariable{name: {Value: value, Type: kind}}}
}

func TestValidateReportsEverythingAtOnce(t *testing.T) {
	err := (&props{
		ProjectName:  jsii.String("!"),
		Repositories: jsii.Strings("A", "B"),
		SourceType:   jsii.String("SVN"),
		Timeout:      minutes(0),
	}).Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("error %v, want 5 lines", err)
	}
}
