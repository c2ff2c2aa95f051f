package local_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code, text string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		t.Errorf("error is %v; want %s with %q", err, code, text)
	}
}

func TestRepositoriesHaveTagsAndOneRegistry(t *testing.T) {
	client := ecr.NewFromConfig(run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config())
	ctx, other := t.Context(), aws.String("111122223333")
	made, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("app"), Tags: []ecrtypes.Tag{{Key: aws.String("team"), Value: aws.String("a")}}})
	must(t, err)
	tags, err := client.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: made.Repository.RepositoryArn})
	must(t, err)
	if len(tags.Tags) != 1 || *tags.Tags[0].Key != "team" || *tags.Tags[0].Value != "a" {
		t.Errorf("tags = %v", tags.Tags)
	}
	_, err = client.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: aws.String(strings.Replace(*made.Repository.RepositoryArn, "/app", "/none", 1))})
	wantCode(t, err, "RepositoryNotFoundException", "'none'")
	_, err = client.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:s3:::bucket")})
	wantCode(t, err, "InvalidParameterException", "Invalid ARN")

	const denied = "is not authorized to perform: ecr:%s on resource: arn:aws:ecr:us-east-1:111122223333:repository/%s because no resource-based policy allows"
	_, err = client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RegistryId: other})
	wantCode(t, err, "AccessDeniedException", fmt.Sprintf(denied, "DescribeRepositories", "*"))
	_, err = client.DescribeImages(ctx, &ecr.DescribeImagesInput{RegistryId: other, RepositoryName: aws.String("app")})
	wantCode(t, err, "AccessDeniedException", fmt.Sprintf(denied, "DescribeImages", "app"))
	_, err = client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RegistryId: other, RepositoryName: aws.String("app")})
	wantCode(t, err, "AccessDeniedException", fmt.Sprintf(denied, "CreateRepository", "app"))
	_, err = client.DescribeImages(ctx, &ecr.DescribeImagesInput{RegistryId: made.Repository.RegistryId, RepositoryName: aws.String("app")})
	must(t, err)
}

func TestParametersAreDescribedAndReadByPath(t *testing.T) {
	client := ssm.NewFromConfig(run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config())
	ctx := t.Context()
	put := func(name string, kind ssmtypes.ParameterType) {
		_, err := client.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Type: kind, Value: aws.String("of " + name), Description: aws.String("d")})
		must(t, err)
	}
	for _, name := range []string{"/team/a", "/team/deep/b", "/teams/c", "plain"} {
		put(name, ssmtypes.ParameterTypeString)
	}
	put("/team/secret", ssmtypes.ParameterTypeSecureString)
	filter := func(key, option string, values ...string) []ssmtypes.ParameterStringFilter {
		f := ssmtypes.ParameterStringFilter{Key: &key, Values: values}
		if option != "" {
			f.Option = &option
		}
		return []ssmtypes.ParameterStringFilter{f}
	}
	described := func(filters []ssmtypes.ParameterStringFilter) (names []string) {
		pages := ssm.NewDescribeParametersPaginator(client, &ssm.DescribeParametersInput{ParameterFilters: filters, MaxResults: aws.Int32(2)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			must(t, err)
			for _, p := range page.Parameters {
				names = append(names, *p.Name)
			}
		}
		return names
	}
	for want, filters := range map[string][]ssmtypes.ParameterStringFilter{
		"/team/a /team/deep/b /team/secret /teams/c plain": nil,
		"plain":                             filter("Name", "", "plain", "none"),
		"/team/deep/b":                      filter("Name", "Contains", "eep"),
		"/teams/c":                          filter("Name", "BeginsWith", "/teams"),
		"/team/secret":                      filter("Type", "Equals", "SecureString"),
		"/team/a /team/secret":              filter("Path", "", "/team"),
		"/team/a /team/deep/b /team/secret": filter("Path", "Recursive", "/team/"),
	} {
		if got := strings.Join(described(filters), " "); got != want {
			t.Errorf("%v: %s, want %s", filters, got, want)
		}
	}
	out, err := client.DescribeParameters(ctx, &ssm.DescribeParametersInput{ParameterFilters: filter("Name", "", "/team/secret")})
	must(t, err)
	p := out.Parameters[0]
	if *p.KeyId != "alias/aws/ssm" || p.Tier != "Standard" || p.Version != 1 || *p.Description != "d" || *p.LastModifiedUser != "arn:aws:iam::000000000000:root" || *p.ARN != "arn:aws:ssm:us-east-1:000000000000:parameter/team/secret" {
		t.Errorf("a parameter is described as %+v", p)
	}
	_, err = client.DescribeParameters(ctx, &ssm.DescribeParametersInput{ParameterFilters: filter("tag:x", "", "y")})
	wantCode(t, err, "InvalidFilterKey", "") // the SDK does not read its message
	_, err = client.DescribeParameters(ctx, &ssm.DescribeParametersInput{ParameterFilters: filter("Type", "Contains", "y")})
	wantCode(t, err, "InvalidFilterOption", "Contains")

	byPath := func(in ssm.GetParametersByPathInput) (values []string) {
		in.MaxResults = aws.Int32(1)
		pages := ssm.NewGetParametersByPathPaginator(client, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			must(t, err)
			for _, p := range page.Parameters {
				values = append(values, *p.Value)
			}
		}
		return values
	}
	if got := byPath(ssm.GetParametersByPathInput{Path: aws.String("/team"), WithDecryption: aws.Bool(true)}); !slices.Equal(got, []string{"of /team/a", "of /team/secret"}) {
		t.Errorf("one level: %q", got)
	}
	if got := byPath(ssm.GetParametersByPathInput{Path: aws.String("/"), Recursive: aws.Bool(true), ParameterFilters: filter("Type", "", "String")}); !slices.Equal(got, []string{"of /team/a", "of /team/deep/b", "of /teams/c"}) {
		t.Errorf("all that are no secrets: %q", got)
	}
	_, err = client.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("team")})
	wantCode(t, err, "ValidationException", "forward slash")
	_, err = client.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("/team"), ParameterFilters: filter("Name", "", "x")})
	wantCode(t, err, "InvalidFilterKey", "")
}

func TestSecretsAreFilteredAndHaveNoPolicies(t *testing.T) {
	client := secretsmanager.NewFromConfig(run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config())
	ctx := t.Context()
	for name, description := range map[string]string{"prod/npm": "The token", "prod/git": "A key", "test/npm": "the other"} {
		_, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
			Name: &name, Description: &description, SecretString: aws.String("x"), Tags: []smtypes.Tag{{Key: aws.String("Team"), Value: aws.String(name[:4])}},
		})
		must(t, err)
	}
	filter := func(key smtypes.FilterNameStringType, values ...string) smtypes.Filter {
		return smtypes.Filter{Key: key, Values: values}
	}
	for want, filters := range map[string][]smtypes.Filter{
		"prod/git prod/npm test/npm": {filter("tag-key", "Team")},
		"prod/git prod/npm":          {filter("name", "prod")},
		"test/npm":                   {filter("name", "!prod")},
		"prod/npm test/npm":          {filter("description", "THE")},
		"prod/npm":                   {filter("description", "the"), filter("tag-value", "prod", "x")},
		"prod/git":                   {filter("all", "Git Prod")},
		"":                           {filter("name", "PROD")},
	} {
		out, err := client.ListSecrets(ctx, &secretsmanager.ListSecretsInput{Filters: filters, SortBy: smtypes.SortByTypeName})
		must(t, err)
		var names []string
		for _, s := range out.SecretList {
			names = append(names, *s.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%v: %s, want %s", filters, got, want)
		}
	}
	_, err := client.ListSecrets(ctx, &secretsmanager.ListSecretsInput{Filters: []smtypes.Filter{filter("owning-service", "x")}})
	wantCode(t, err, "InvalidParameterException", "owning-service")
	policy, err := client.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: aws.String("prod/npm")})
	must(t, err)
	if *policy.Name != "prod/npm" || !strings.Contains(*policy.ARN, ":secret:prod/npm-") || policy.ResourcePolicy != nil {
		t.Errorf("the policy is %+v", policy)
	}
	_, err = client.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: aws.String("none")})
	wantCode(t, err, "ResourceNotFoundException", "")
	_, err = client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("arn:aws:secretsmanager:us-east-1:111122223333:secret:x-abcdef")})
	wantCode(t, err, "AccessDeniedException", "no resource-based policy")
}

// logEvents puts messages into a new log group of an engine, and returns a
// client.
func logEvents(t *testing.T, messages ...string) (client *cloudwatchlogs.Client, group *string) {
	t.Helper()
	cfg := run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config()
	must(t, local.Deploy(t.Context(), cfg, "logs", `{"Resources": {"G": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "g"}}}}`))
	client, group = cloudwatchlogs.NewFromConfig(cfg), aws.String("g")
	_, err := client.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: aws.String("s")})
	must(t, err)
	events := make([]logstypes.InputLogEvent, len(messages))
	for i := range messages {
		events[i] = logstypes.InputLogEvent{Message: &messages[i], Timestamp: aws.Int64(time.Now().UnixMilli())}
	}
	_, err = client.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: aws.String("s"), LogEvents: events})
	must(t, err)
	return client, group
}

func TestFilterPatterns(t *testing.T) {
	messages := []string{
		0: "ERROR disk full\n",
		1: "ERROR network\n",
		2: "the disk is \"full\" of errors\n",
		3: `{"level": "error", "code": 404, "ratio": 0.5, "user": {"id": 1, "name": "Ada"}, "tags": ["a", {"b": "c"}], "ok": false, "none": null}` + "\n",
		4: `{"level": "info", "code": 200, "ratio": 1e3, "ip": "10.0.0.1", "ok": true, "a.b": "dotted"}` + "\n",
	}
	client, group := logEvents(t, messages...)
	for filter, want := range map[string][]int{
		"":                                       {0, 1, 2, 3, 4},
		"ERROR":                                  {0, 1},
		"ERROR disk":                             {0},
		`"disk full"`:                            {0},
		`"\"full\""`:                             {2},
		"disk -ERROR":                            {2},
		`-disk -"{"`:                             {1},
		"?network ?full":                         {0, 1, 2},
		"?network disk":                          {0, 2}, // ? beside others is ignored
		"%E..OR [dn]%":                           {0, 1},
		"nothing":                                {},
		`{ $.level = "error" }`:                  {3},
		`{$.level=error}`:                        {3},
		`{ $.level = "*o*" }`:                    {3, 4},
		`{ $.level != "error" }`:                 {4},
		`{ $.missing != "x" }`:                   {},
		`{ $.level = %^in% }`:                    {4},
		`{ $.code = 404 }`:                       {3},
		`{ $.code = 4* }`:                        {3},
		`{ $.code >= 200 }`:                      {3, 4},
		`{ $.code > 200 }`:                       {3},
		`{ $.code < 4.04e2 }`:                    {4},
		`{ $.ratio <= -1 }`:                      {},
		`{ $.ratio = 1000 }`:                     {4},
		`{ $.ip = 10.0.* }`:                      {4},
		`{ $.user.id = 1 && $.tags[1].b = "c" }`: {3},
		`{ $.tags[0] = "a" }`:                    {3},
		`{ $.tags[7] NOT EXISTS }`:               {3, 4},
		`{ $.ip NOT EXISTS }`:                    {3},
		`{ $.none IS NULL }`:                     {3},
		`{ $.ok IS TRUE }`:                       {4},
		`{ $.ok IS FALSE }`:                      {3},
		`{ $.['a.b'] = "dotted" }`:               {4},
		`{ ($.code = 200 || $.code = 404) && ($.ok IS TRUE) }`: {4},
		`{ $.code = 404 || $.code = 200 && $.ok IS FALSE }`:    {3},
	} {
		out, err := client.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: &filter})
		must(t, err)
		got := []int{}
		for _, e := range out.Events {
			got = append(got, slices.Index(messages, *e.Message))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s finds %v, want %v", filter, got, want)
		}
	}
	for _, filter := range []string{
		"[a, b", "[a, b] c", "[..., a, ...]", "[a = ]", "[1a]", "[a, a b]", "[a = 1 && ]", "[$.a = 1]", "[a > b]", `"open`, "a.b", "%(%", "{}", "{ $.a }", "{ $.a = }", "{ $.a = 1 } x", "{ a = 1 }", "{ $.a > b }", "{ ($.a = 1 }", "{ $.a IS MAYBE }",
		"{ $.a NOT THERE }", "{ $.a = 1 & $.b = 2 }", "{ $.a = %(% }", "{ $. = 1 }", "{ $.a = 1",
	} {
		_, err := client.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: &filter})
		wantCode(t, err, "InvalidParameterException", "Invalid filter pattern")
	}
}

func TestColumnPatterns(t *testing.T) {
	messages := []string{
		`127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 200 1534`,
		`127.0.0.1 - frank [10/Oct/2000:13:35:22 -0700] "GET /about, us.html HTTP/1.0" 404 5324`,
		`10.0.0.1 - anne [10/Oct/2000:13:50:35 -0700] "POST /upload HTTP/1.0" 410 200` + "\n",
		`ERROR disk full`,
		`WARN disk`,
	}
	client, group := logEvents(t, messages...)
	for filter, want := range map[string][]int{
		"[ip, user, username, timestamp, request, status_code, bytes]":                                 {0, 1, 2},
		"[ip, user, username, timestamp, request = *.html*, status_code = 4*, bytes]":                  {1},
		"[ip, user, username, timestamp, request, status_code = 404 || status_code = 410, bytes>1000]": {1},
		"[..., status_code = 4*, bytes]":                                                               {1, 2},
		"[ip=%127\\.0\\.0\\.[1-9]%, ...]":                                                              {0, 1},
		"[w1 = ERROR, ...]":                                                                            {3},
		"[w1 != ERROR && w1 != WARN, ...]":                                                             {0, 1, 2},
		"[w1 = ERROR || (w1 = WARN && w1 = W*), ..., last]":                                            {3, 4},
		"[a, ..., b, c]": {0, 1, 2, 3},
		"[a, b]":         {4},
		`[..., request = "GET /about, us.html *", code, b]`: {1},
		"[ip, u, name, time = 10/Oct/2000:13:2*, ...]":      {0},
		"[..., bytes < 1534]":                               {2},
		"[…, bytes = 1534]":                                 {0},
		"[..., word != disk]":                               {0, 1, 2, 3},
	} {
		out, err := client.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: &filter})
		must(t, err)
		got := []int{}
		for _, e := range out.Events {
			got = append(got, slices.Index(messages, *e.Message))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s finds %v, want %v", filter, got, want)
		}
	}
}

func TestFilterLogEventsRefusesTokensThatItDidNotMake(t *testing.T) {
	client, group := logEvents(t, "a", "b", "c")
	filter := func(token *string) (*cloudwatchlogs.FilterLogEventsOutput, error) {
		return client.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, Limit: aws.Int32(2), NextToken: token})
	}
	page, err := filter(nil)
	must(t, err)
	rest, err := filter(page.NextToken)
	must(t, err)
	if len(rest.Events) != 1 || *rest.Events[0].Message != "c" {
		t.Errorf("the second page is %v", rest.Events)
	}
	for _, token := range []string{"x", "f/00/s", (*page.NextToken)[1:], *page.NextToken + "0"} {
		_, err := filter(&token)
		wantCode(t, err, "InvalidParameterException", "The specified nextToken is invalid.")
	}
}

func TestWhatAWSsAPIModelDoesNotAllowIsRefusedByTheEngine(t *testing.T) {
	cfg := run(t, local.Options{Dir: t.TempDir()}).Endpoint().Config()
	builds, repositories, secrets := codebuild.NewFromConfig(cfg), ecr.NewFromConfig(cfg), secretsmanager.NewFromConfig(cfg)
	_, err := builds.StartBuild(t.Context(), &codebuild.StartBuildInput{ProjectName: aws.String("p"), ImageOverride: aws.String("")})
	wantCode(t, err, "InvalidInputException", "1 validation error detected: Value '' at 'imageOverride' failed to satisfy constraint: Member must have length greater than or equal to 1")
	_, err = builds.StartBuild(t.Context(), &codebuild.StartBuildInput{
		ProjectName: aws.String(""), ComputeTypeOverride: "HUGE", TimeoutInMinutesOverride: aws.Int32(4),
		EnvironmentVariablesOverride: []cbtypes.EnvironmentVariable{{Name: aws.String("A"), Value: aws.String("")}, {Name: aws.String(""), Value: aws.String("")}},
	})
	wantCode(t, err, "InvalidInputException", "4 validation errors detected: ")
	for _, want := range []string{"'projectName'", "Value 'HUGE' at 'computeTypeOverride' failed to satisfy constraint: Member must satisfy enum value set: [", "Value '4' at 'timeoutInMinutesOverride'", "'environmentVariablesOverride.2.member.name'"} {
		wantCode(t, err, "InvalidInputException", want)
	}
	_, err = repositories.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("A")})
	wantCode(t, err, "InvalidParameterException", "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'Member must have length greater than or equal to 2'")
	_, err = secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("s"), SecretString: aws.String(strings.Repeat("hush", 20_000))})
	if wantCode(t, err, "ValidationException", "'secretString'"); err != nil && strings.Contains(err.Error(), "hush") {
		t.Error("the error repeats the secret")
	}
}
