package codebuild

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func variable(name, value string) types.EnvironmentVariable {
	return types.EnvironmentVariable{Name: &name, Value: &value}
}

func TestABuildIsDocumentedLikeOnAWS(t *testing.T) {
	b := newBench(t, 1)
	build := b.mustStart(t)
	id, now := *build.Id, b.clock.Now()
	if !strings.HasPrefix(id, "demo:") || len(id) != len("demo:")+36 {
		t.Errorf("id = %q", id)
	}
	variables := []types.EnvironmentVariable{
		{Name: aws.String("REGISTRY"), Value: aws.String("registry"), Type: types.EnvironmentVariableTypePlaintext},
		{Name: aws.String("CACHE"), Value: aws.String("none"), Type: types.EnvironmentVariableTypePlaintext},
	}
	want := types.Build{
		Id:            aws.String(id),
		Arn:           aws.String("arn:aws:codebuild:us-east-1:000000000000:build/" + id),
		ProjectName:   aws.String("demo"),
		BuildNumber:   aws.Int64(1),
		BuildStatus:   types.StatusTypeInProgress,
		CurrentPhase:  aws.String("QUEUED"),
		StartTime:     &now,
		Initiator:     aws.String("root"),
		ServiceRole:   aws.String("arn:aws:iam::000000000000:role/builder"),
		EncryptionKey: aws.String("arn:aws:kms:us-east-1:000000000000:alias/aws/s3"),
		Source:        &types.ProjectSource{Type: types.SourceTypeNoSource, Buildspec: aws.String(inline)},
		Artifacts:     &types.BuildArtifacts{Location: aws.String("")},
		Cache:         &types.ProjectCache{Type: types.CacheTypeNoCache},
		Environment: &types.ProjectEnvironment{
			Type:                 types.EnvironmentTypeLinuxContainer,
			ComputeType:          types.ComputeTypeBuildGeneral1Small,
			Image:                aws.String("aws/codebuild/amazonlinux-x86_64-standard:6.0"),
			EnvironmentVariables: variables,
		},
		Logs: &types.LogsLocation{
			CloudWatchLogs:    &types.CloudWatchLogsConfig{Status: types.LogsConfigStatusTypeEnabled},
			CloudWatchLogsArn: aws.String("arn:aws:logs:us-east-1:000000000000:log-group:null:log-stream:null"),
			DeepLink:          aws.String("https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/null/log-events/null"),
		},
		Phases: []types.BuildPhase{
			{PhaseType: types.BuildPhaseTypeSubmitted, PhaseStatus: types.StatusTypeSucceeded, StartTime: &now, EndTime: &now, DurationInSeconds: aws.Int64(0)},
			{PhaseType: types.BuildPhaseTypeQueued, StartTime: &now},
		},
		TimeoutInMinutes:       aws.Int32(60),
		QueuedTimeoutInMinutes: aws.Int32(480),
	}
	want.SecondaryArtifacts, want.SecondarySources, want.SecondarySourceVersions = []types.BuildArtifacts{}, []types.ProjectSource{}, []types.ProjectSourceVersion{}
	want.FileSystemLocations, want.ReportArns, want.ExportedEnvironmentVariables = []types.ProjectFileSystemLocation{}, []string{}, []types.ExportedEnvironmentVariable{}
	if diff := cmp.Diff(want, build, ignoreSerde); diff != "" {
		t.Error(diff)
	}
}

var ignoreSerde = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".noSmithyDocumentSerde" }, cmp.Ignore())

func TestPhasesFollowEachOtherAndEndInCompleted(t *testing.T) {
	b := newBench(t, 1)
	id := *b.mustStart(t).Id
	c := b.running(t)
	b.clock.Advance(2900 * time.Millisecond)
	c.record.End(types.StatusTypeSucceeded)
	b.clock.Advance(time.Second)
	c.record.Begin(types.BuildPhaseTypeBuild)
	c.record.Logs("/aws/codebuild/demo", "stream")
	c.record.Export([]types.ExportedEnvironmentVariable{{Name: aws.String("A"), Value: aws.String("1")}})
	b.clock.Advance(time.Second)
	c.finish <- types.StatusTypeSucceeded
	build := b.completed(t, id)
	provisioning, run, last := build.Phases[2], build.Phases[3], build.Phases[4]
	if *provisioning.DurationInSeconds != 2 || provisioning.PhaseStatus != types.StatusTypeSucceeded || *provisioning.Contexts[0].StatusCode != "" {
		t.Errorf("PROVISIONING = %+v", provisioning)
	}
	if !run.StartTime.Equal(*provisioning.EndTime) || *run.DurationInSeconds != 2 {
		t.Errorf("BUILD does not follow PROVISIONING: %+v", run)
	}
	want := types.BuildPhase{PhaseType: types.BuildPhaseTypeCompleted, StartTime: run.EndTime}
	if diff := cmp.Diff(want, last, cmpopts.IgnoreUnexported(want)); diff != "" {
		t.Error(diff)
	}
	if build.BuildStatus != types.StatusTypeSucceeded || !build.EndTime.Equal(*run.EndTime) || *build.CurrentPhase != "COMPLETED" {
		t.Errorf("build = %+v", build)
	}
	if *build.Logs.DeepLink != "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/$252Faws$252Fcodebuild$252Fdemo/log-events/stream" {
		t.Errorf("deep link = %s", *build.Logs.DeepLink)
	}
	if len(build.ExportedEnvironmentVariables) != 1 {
		t.Errorf("exported = %+v", build.ExportedEnvironmentVariables)
	}
}

func TestOverridesAreForOneBuildOnly(t *testing.T) {
	b := newBench(t, 1)
	p := project("demo")
	p.Source = &types.ProjectSource{Type: types.SourceTypeGithub, Location: aws.String("https://github.com/a/b.git")}
	b.put(t, p)
	build := b.mustStart(t, func(in *codebuild.StartBuildInput) {
		in.SourceTypeOverride = types.SourceTypeS3
		in.SourceLocationOverride = aws.String("bucket/source.zip")
		in.BuildspecOverride = aws.String(inline)
		in.ComputeTypeOverride = types.ComputeTypeBuildGeneral1Large
		in.ImageOverride = aws.String("aws/codebuild/standard:7.0")
		in.PrivilegedModeOverride = aws.Bool(true)
		in.TimeoutInMinutesOverride = aws.Int32(5)
		in.QueuedTimeoutInMinutesOverride = aws.Int32(6)
		in.ServiceRoleOverride = aws.String("builder")
		in.EnvironmentVariablesOverride = []types.EnvironmentVariable{variable("TAG", "a"), variable("CACHE", "inline")}
		in.LogsConfigOverride = &types.LogsConfig{CloudWatchLogs: &types.CloudWatchLogsConfig{
			Status: types.LogsConfigStatusTypeEnabled, GroupName: aws.String("group"), StreamName: aws.String("prefix")}}
	})
	wantSource := &types.ProjectSource{Type: types.SourceTypeS3, Location: aws.String("bucket/source.zip"), Buildspec: aws.String(inline)}
	if diff := cmp.Diff(wantSource, build.Source, ignoreSerde); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, v := range build.Environment.EnvironmentVariables {
		names = append(names, *v.Name+"="+*v.Value)
	}
	if want := []string{"REGISTRY=registry", "CACHE=inline", "TAG=a"}; !cmp.Equal(names, want) {
		t.Errorf("variables = %v", names)
	}
	if build.SourceVersion != nil || *build.TimeoutInMinutes != 5 || *build.QueuedTimeoutInMinutes != 6 || !*build.Environment.PrivilegedMode ||
		build.Environment.ComputeType != types.ComputeTypeBuildGeneral1Large || *build.Environment.Image != "aws/codebuild/standard:7.0" {
		t.Errorf("build = %+v", build)
	}
	group, stream, enabled := LogStream(build)
	if group != "group" || !strings.HasPrefix(stream, "prefix/") || !enabled {
		t.Errorf("log stream = %s %s %v", group, stream, enabled)
	}
	if stored, _ := b.project("demo"); *stored.TimeoutInMinutes != 60 || *stored.Source.Location != "https://github.com/a/b.git" {
		t.Errorf("the project was changed: %+v", stored)
	}
}

func TestWhatASourceTypeOverrideInherits(t *testing.T) {
	set := types.ProjectSource{
		Type: types.SourceTypeGithub, Location: aws.String("https://github.com/a/b.git"), Buildspec: aws.String(inline),
		GitCloneDepth: aws.Int32(1), GitSubmodulesConfig: &types.GitSubmodulesConfig{FetchSubmodules: aws.Bool(true)},
	}
	kind := func(kind types.SourceType, location string) func(*codebuild.StartBuildInput) {
		return func(in *codebuild.StartBuildInput) {
			if in.SourceTypeOverride = kind; location != "" {
				in.SourceLocationOverride = &location
			}
		}
	}
	bitbucket, s3, none := kind(types.SourceTypeBitbucket, "https://bitbucket.org/a/b"), kind(types.SourceTypeS3, "bucket/a.zip"), kind(types.SourceTypeNoSource, "")
	everything, nothing := newBench(t, 1), newBench(t, 1)
	nothing.Inheritance = InheritNothing
	for _, b := range []*bench{everything, nothing} {
		p := project("demo")
		p.Source, p.SourceVersion = &set, aws.String("main")
		b.put(t, p)
	}
	kept, dropped := everything.mustStart(t, bitbucket), nothing.mustStart(t, bitbucket)
	if *kept.SourceVersion != "main" || *kept.Source.GitCloneDepth != 1 || kept.Source.GitSubmodulesConfig == nil || *kept.Source.Location != "https://bitbucket.org/a/b" {
		t.Errorf("everything: %+v", kept.Source)
	}
	if dropped.SourceVersion != nil || dropped.Source.GitCloneDepth != nil || dropped.Source.GitSubmodulesConfig != nil || *dropped.Source.Buildspec != inline {
		t.Errorf("nothing: %+v", dropped.Source)
	}
	_, err := nothing.start(kind(types.SourceTypeGithub, ""))
	wantError(t, err, "InvalidInputException", "sourceLocationOverride is required")
	nothing.mustStart(t, s3)
	nothing.mustStart(t, none)
	_, err = everything.start(none)
	wantError(t, err, "InvalidInputException", "sourceVersion")
	versioned := project("demo")
	versioned.Source, versioned.SourceVersion = &types.ProjectSource{Type: set.Type, Location: set.Location, Buildspec: set.Buildspec}, aws.String("main")
	everything.put(t, versioned)
	if build := everything.mustStart(t, s3); *build.SourceVersion != "main" { // of which the object has no version
		t.Errorf("the object's version is %s", *build.SourceVersion)
	}
	for want, change := range map[string]func(*types.Project){
		"gitCloneDepth":       func(p *types.Project) { p.Source.GitSubmodulesConfig = nil },
		"gitSubmodulesConfig": func(p *types.Project) { p.Source.GitCloneDepth = nil },
	} {
		p, source := project("demo"), set
		p.Source = &source
		change(&p)
		everything.put(t, p)
		_, err := everything.start(s3)
		wantError(t, err, "InvalidInputException", want+"Override is not supported when the source type is S3")
	}
	p := project("demo")
	p.Source = &types.ProjectSource{Type: types.SourceTypeGithub, Location: set.Location, Buildspec: set.Buildspec}
	everything.put(t, p)
	if build := everything.mustStart(t, none); build.Source.Type != types.SourceTypeNoSource || *build.Source.Location != *set.Location {
		t.Errorf("a location that NO_SOURCE inherits: %+v", build.Source)
	}
}

// applied are the fields of StartBuild that reach the build; every other one
// must be refused by its name.
var applied = []string{
	"ProjectName", "SourceVersion", "EnvironmentVariablesOverride", "SourceTypeOverride", "SourceLocationOverride",
	"GitCloneDepthOverride", "GitSubmodulesConfigOverride", "BuildspecOverride", "InsecureSslOverride",
	"EnvironmentTypeOverride", "ImageOverride", "ComputeTypeOverride", "ServiceRoleOverride", "PrivilegedModeOverride",
	"TimeoutInMinutesOverride", "QueuedTimeoutInMinutesOverride", "EncryptionKeyOverride", "IdempotencyToken",
	"LogsConfigOverride", "ImagePullCredentialsTypeOverride", "AutoRetryLimitOverride",
	"ArtifactsOverride", "SecondaryArtifactsOverride", "SecondarySourcesOverride", "SecondarySourcesVersionOverride",
}

func TestEveryFieldIsAppliedOrRefusedByName(t *testing.T) {
	b := newBench(t, 1)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[codebuild.StartBuildInput]()) {
		name := field.Name
		if !field.IsExported() || slices.Contains(applied, name) {
			continue
		}
		_, err := b.start(func(in *codebuild.StartBuildInput) { fill(reflect.ValueOf(in).Elem().FieldByIndex(field.Index)) })
		wantError(t, err, "InvalidInputException", strings.ToLower(name[:1])+name[1:]+" is not supported by the local engine")
	}
}

// fill gives a field some value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32:
		v.SetInt(1)
	case reflect.String:
		v.SetString("x")
	}
}

func TestBadCallsAreRefused(t *testing.T) {
	b := newBench(t, 1)
	type in = codebuild.StartBuildInput
	git := func(location string) func(*in) {
		return func(in *in) {
			in.SourceTypeOverride, in.SourceLocationOverride = types.SourceTypeGithub, &location
		}
	}
	s3 := func(location string) func(*in) {
		return func(in *in) {
			in.SourceTypeOverride, in.SourceLocationOverride = types.SourceTypeS3, &location
		}
	}
	version := func(kind types.SourceType, version string) func(*in) {
		return func(in *in) {
			in.SourceTypeOverride, in.SourceLocationOverride, in.SourceVersion = kind, aws.String("https://git.example/a/b.git"), &version
		}
	}
	variables := func(v ...types.EnvironmentVariable) func(*in) {
		return func(in *in) { in.EnvironmentVariablesOverride = v }
	}
	typed := func(kind types.EnvironmentVariableType) func(*in) {
		v := variable("SECRET", "x")
		v.Type = kind
		return variables(v)
	}
	for name, c := range map[string]struct {
		edit func(*in)
		code string
		want string
	}{
		"no project":           {func(in *in) { in.ProjectName = nil }, "InvalidInputException", "'projectName'"},
		"unknown project":      {func(in *in) { in.ProjectName = aws.String("nope") }, "ResourceNotFoundException", "Project cannot be found: arn:aws:codebuild:us-east-1:000000000000:project/nope"},
		"a variable's name":    {variables(variable("a-b", "")), "InvalidInputException", `"a-b"`},
		"a reserved name":      {variables(variable("CODEBUILD_X", "")), "InvalidInputException", "CODEBUILD_X cannot start with CODEBUILD_"},
		"a name twice":         {variables(variable("A", ""), variable("A", "")), "InvalidInputException", "Duplicate environment variable name: A"},
		"a long value":         {variables(variable("A", strings.Repeat("é", 4097))), "InvalidInputException", "EnvironmentVariable should be at most 4096 characters"},
		"a NUL":                {variables(variable("A", "\x00")), "InvalidInputException", "NUL"},
		"no value":             {variables(types.EnvironmentVariable{Name: aws.String("A")}), "InvalidInputException", "needs a value"},
		"no such type":         {typed("VAULT"), "InvalidInputException", "VAULT"},
		"a variable's type":    {typed("X"), "InvalidInputException", "enum value set"},
		"a short timeout":      {func(in *in) { in.TimeoutInMinutesOverride = aws.Int32(4) }, "InvalidInputException", "Value '4' at 'timeoutInMinutesOverride' failed to satisfy constraint: Member must have value greater than or equal to 5"},
		"a long timeout":       {func(in *in) { in.TimeoutInMinutesOverride = aws.Int32(2161) }, "InvalidInputException", "less than or equal to 2160"},
		"a short queue":        {func(in *in) { in.QueuedTimeoutInMinutesOverride = aws.Int32(4) }, "InvalidInputException", "'queuedTimeoutInMinutesOverride'"},
		"a long queue":         {func(in *in) { in.QueuedTimeoutInMinutesOverride = aws.Int32(481) }, "InvalidInputException", "less than or equal to 480"},
		"a long buildspec":     {func(in *in) { in.BuildspecOverride = aws.String(inline + strings.Repeat("#", 25_600)) }, "InvalidInputException", "at most 25600"},
		"a buildspec's bucket": {func(in *in) { in.BuildspecOverride = aws.String("arn:aws:s3:::b") }, "InvalidInputException", "not of the form arn:aws:s3:::bucket/path/to/buildspec.yml"},
		"a buildspec in ECR":   {func(in *in) { in.BuildspecOverride = aws.String("arn:aws:ecr:::b/buildspec.yml") }, "InvalidInputException", "not of the form arn:aws:s3:::"},
		"no inline buildspec":  {func(in *in) { in.BuildspecOverride = aws.String("other.yml") }, "InvalidInputException", "must be an inline buildspec"},
		"an unknown compute":   {func(in *in) { in.ComputeTypeOverride = "HUGE" }, "InvalidInputException", "Value 'HUGE' at 'computeTypeOverride'"},
		"Lambda compute":       {func(in *in) { in.ComputeTypeOverride = types.ComputeTypeBuildLambda1gb }, "InvalidInputException", "computeTypeOverride BUILD_LAMBDA_1GB is not supported"},
		"Windows":              {func(in *in) { in.EnvironmentTypeOverride = types.EnvironmentTypeWindowsServer2022Container }, "InvalidInputException", "WINDOWS_SERVER_2022_CONTAINER is not supported"},
		"a pipeline":           {func(in *in) { in.SourceTypeOverride = types.SourceTypeCodepipeline }, "InvalidInputException", "CODEPIPELINE is not supported"},
		"a source type":        {func(in *in) { in.SourceTypeOverride = "SVN" }, "InvalidInputException", "'SVN' at 'sourceTypeOverride'"},
		"no location":          {git(""), "InvalidInputException", "sourceLocationOverride is required"},
		"an ssh location":      {git("git@github.com:a/b.git"), "InvalidInputException", "not an http or https URL"},
		"a file location":      {git("file:///etc"), "InvalidInputException", "not an http or https URL"},
		"an ext location":      {git("ext::sh -c id"), "InvalidInputException", "not an http or https URL"},
		"an option":            {git("--upload-pack=id"), "InvalidInputException", "not an http or https URL"},
		"a password":           {git("https://me:secret@github.com/a/b"), "InvalidInputException", "must not contain a password"},
		"a fragment":           {git("https://github.com/a/b#main"), "InvalidInputException", "give the ref as sourceVersion"},
		"a bucket only":        {s3("bucket"), "InvalidInputException", "bucket/path/to/source.zip"},
		"a folder's version":   {func(in *in) { s3("b/source/")(in); in.SourceVersion = aws.String("v") }, "InvalidInputException", "sourceVersion must be empty when the source is a folder in S3"},
		"a role":               {func(in *in) { in.ServiceRoleOverride = aws.String("nobody") }, "InvalidInputException", "sts:AssumeRole on arn:aws:iam::000000000000:role/nobody"},
		"a token":              {func(in *in) { in.IdempotencyToken = aws.String(strings.Repeat("x", 65)) }, "InvalidInputException", "at most 64"},
		"logs in S3": {func(in *in) {
			in.LogsConfigOverride = &types.LogsConfig{S3Logs: &types.S3LogsConfig{Status: types.LogsConfigStatusTypeEnabled}}
		}, "InvalidInputException", "logsConfigOverride.s3Logs is not supported"},
		"a location without source": {func(in *in) {
			in.SourceTypeOverride, in.SourceLocationOverride = types.SourceTypeNoSource, aws.String("b/k")
		}, "InvalidInputException", "sourceLocationOverride must be empty"},
		"a branch by its reference":   {version(types.SourceTypeGithub, "refs/heads/main"), "InvalidInputException", `"refs/heads/main": the forms that AWS documents for GITHUB`},
		"a tag by its reference":      {version(types.SourceTypeBitbucket, "refs/tags/v1"), "InvalidInputException", "a branch, a tag and a commit by their names"},
		"HEAD":                        {version(types.SourceTypeGithub, "HEAD"), "InvalidInputException", `"HEAD"`},
		"a merge request":             {version(types.SourceTypeGitlab, "refs/merge-requests/1/head"), "InvalidInputException", "GITLAB"},
		"a pull request of GitLab":    {version(types.SourceTypeGitlabSelfManaged, "pr/7"), "InvalidInputException", "only GitHub sources have pull requests"},
		"a commit of GitLab's branch": {version(types.SourceTypeGitlab, "refs/heads/main^{"+strings.Repeat("a", 40)+"}"), "InvalidInputException", "GITLAB"},
		"a short commit of a branch":  {version(types.SourceTypeGithub, "refs/heads/main^{abcdefa}"), "InvalidInputException", "GITHUB"},
		"a negative depth":            {func(in *in) { git("https://github.com/a/b")(in); in.GitCloneDepthOverride = aws.Int32(-1) }, "InvalidInputException", "greater than or equal to 0"},
		"a depth of an object":        {func(in *in) { s3("bucket/key.zip")(in); in.GitCloneDepthOverride = aws.Int32(1) }, "InvalidInputException", "gitCloneDepthOverride is not supported when the source type is S3"},
		"a depth of nothing":          {func(in *in) { in.GitCloneDepthOverride = aws.Int32(1) }, "InvalidInputException", "not supported when the source type is NO_SOURCE"},
		"submodules of an object": {func(in *in) {
			s3("bucket/key.zip")(in)
			in.GitSubmodulesConfigOverride = &types.GitSubmodulesConfig{FetchSubmodules: aws.Bool(true)}
		}, "InvalidInputException", "gitSubmodulesConfigOverride is not supported"},
		"a certificate of an object": {func(in *in) { s3("bucket/key.zip")(in); in.InsecureSslOverride = aws.Bool(true) }, "InvalidInputException", "insecureSslOverride is not supported"},
		"a version without source":   {func(in *in) { in.SourceVersion = aws.String("main") }, "InvalidInputException", "sourceVersion must be empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.start(c.edit)
			wantError(t, err, c.code, c.want)
		})
	}
	if list, _ := b.ListBuilds(root(), &codebuild.ListBuildsInput{}); len(list.Ids) != 0 {
		t.Errorf("a refused call started a build: %v", list.Ids)
	}
}

func TestProjectsThatTheEngineCannotRunAreRefused(t *testing.T) {
	b := newBench(t, 1)
	for want, edit := range map[string]func(*types.Project){
		"Project name":                            func(p *types.Project) { p.Name = aws.String("a b") },
		"source is required":                      func(p *types.Project) { p.Source = nil },
		"it has the VPC \"vpc-1\", 0 subnets and": func(p *types.Project) { p.VpcConfig = &types.VpcConfig{VpcId: aws.String("vpc-1")} },
		"it has the VPC \"\", 1 subnets and":      func(p *types.Project) { p.VpcConfig = &types.VpcConfig{Subnets: []string{"subnet-1"}} },
		"subnets has 17 members; at most 16": func(p *types.Project) {
			p.VpcConfig = &types.VpcConfig{VpcId: aws.String("vpc-1"), Subnets: make([]string, 17), SecurityGroupIds: []string{"sg-1"}}
		},
		"securityGroupIds has 6 members; at most 5": func(p *types.Project) {
			p.VpcConfig = &types.VpcConfig{VpcId: aws.String("vpc-1"), Subnets: []string{"subnet-1"}, SecurityGroupIds: make([]string, 6)}
		},
		"source.auth.type is not supported": func(p *types.Project) { p.Source.Auth = &types.SourceAuth{Type: types.SourceAuthTypeOauth} },
		"source.auth.resource \"mine\" is not": func(p *types.Project) {
			p.Source.Auth = &types.SourceAuth{Type: types.SourceAuthTypeCodeconnections, Resource: aws.String("mine")}
		},
		"cache is not supported":                  func(p *types.Project) { p.Cache = &types.ProjectCache{Type: types.CacheTypeLocal} },
		"artifacts.type CODEPIPELINE is not":      func(p *types.Project) { p.Artifacts.Type = types.ArtifactsTypeCodepipeline },
		"of the secondary source lib is":          func(p *types.Project) { p.SecondarySources = []types.ProjectSource{secondary("lib", "")} },
		"artifacts.location \"\" is not the name": func(p *types.Project) { p.Artifacts.Type = types.ArtifactsTypeS3 },
		"environment.dockerServer":                func(p *types.Project) { p.Environment.DockerServer = &types.DockerServer{} },
		"concurrentBuildLimit must be at least":   func(p *types.Project) { p.ConcurrentBuildLimit = aws.Int32(0) },
		"'timeoutInMinutes' failed":               func(p *types.Project) { p.TimeoutInMinutes = aws.Int32(1) },
		"environmentType LINUX_GPU_CONTAINER is":  func(p *types.Project) { p.Environment.Type = types.EnvironmentTypeLinuxGpuContainer },
	} {
		p := project("other")
		edit(&p)
		_, err := b.PutProject(p)
		wantError(t, err, "InvalidInputException", want)
	}
}

func TestATokenStartsOneBuildForFiveMinutes(t *testing.T) {
	b := newBench(t, 2)
	token := func(in *codebuild.StartBuildInput) { in.IdempotencyToken = aws.String("token") }
	ids := make([]string, 20)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			if build, err := b.start(token); err != nil {
				t.Error(err)
			} else {
				ids[i] = *build.Id
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two builds of one token: %v", ids)
		}
	}
	_, err := b.start(token, func(in *codebuild.StartBuildInput) {
		in.EnvironmentVariablesOverride = []types.EnvironmentVariable{variable("TAG", "other")}
	})
	wantError(t, err, "InvalidInputException", "Request parameter mismatch for idempotency token token")
	b.clock.Advance(tokenLife)
	if again := b.mustStart(t, token); *again.Id == ids[0] {
		t.Error("the token is still valid after 5 minutes")
	}
}

func TestARetriedBuildHasTheSettingsOfTheEarlierOne(t *testing.T) {
	b := newBench(t, 1)
	first := b.mustStart(t, func(in *codebuild.StartBuildInput) {
		in.EnvironmentVariablesOverride = []types.EnvironmentVariable{variable("TAG", "app:1")}
		in.TimeoutInMinutesOverride = aws.Int32(7)
	})
	retry := func(id *string, token string) (*types.Build, error) {
		in := &codebuild.RetryBuildInput{Id: id}
		if token != "" {
			in.IdempotencyToken = &token
		}
		out, err := b.RetryBuild(root(), in)
		if err != nil {
			return nil, err
		}
		return out.Build, nil
	}
	_, err := retry(first.Id, "")
	wantError(t, err, "InvalidInputException", "is in progress and cannot be retried")
	running := b.running(t)
	running.record.Export([]types.ExportedEnvironmentVariable{{Name: aws.String("A"), Value: aws.String("b")}})
	running.finish <- types.StatusTypeFailed
	b.completed(t, *first.Id)

	changed := project("demo")
	changed.TimeoutInMinutes = aws.Int32(99)
	_, err = b.PutProject(changed)
	if err != nil {
		t.Fatal(err)
	}
	second, err := retry(first.Arn, "token")
	if err != nil {
		t.Fatal(err)
	}
	if *second.Id == *first.Id || *second.BuildNumber != 2 || second.BuildComplete || second.BuildStatus != types.StatusTypeInProgress || len(second.Phases) != 2 || len(second.ExportedEnvironmentVariables) != 0 {
		t.Errorf("the retried build is %+v", second)
	}
	if diff := cmp.Diff(first.Environment, second.Environment, ignoreSerde); diff != "" || *second.TimeoutInMinutes != 7 {
		t.Errorf("its settings differ, timeout %d: %s", *second.TimeoutInMinutes, diff)
	}
	again, err := retry(first.Arn, "token")
	if err != nil || *again.Id != *second.Id {
		t.Errorf("the same token gives %v, %v", again, err)
	}
	_, err = retry(aws.String("demo:none"), "")
	wantError(t, err, "ResourceNotFoundException", "Build cannot be found")
	b.running(t).finish <- types.StatusTypeSucceeded
	if done := b.completed(t, *second.Id); done.BuildStatus != types.StatusTypeSucceeded {
		t.Errorf("the retried build ended as %s", done.BuildStatus)
	}
	_, err = retry(second.Id, "token")
	wantError(t, err, "InvalidInputException", "Request parameter mismatch")
}
