package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/local/localtest"
)

// Terraform creates, changes and destroys the stack with the lines of
// docs/deploying.md. It runs where terraform and its AWS provider are on the
// machine, because nothing here can install them: the provider is a program of
// hundreds of megabytes that only HashiCorp's registry has.
func TestTerraformDeploysTheTemplate(t *testing.T) {
	if testing.Short() {
		t.Skip("terraform looks at a stack every 10 seconds")
	}
	t.Parallel()
	e := localtest.New(t)
	tf := newTerraform(t, e)
	block := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindStringSubmatch(readFile(t, "docs/deploying.md"))
	if block == nil {
		t.Fatal("docs/deploying.md has no lines of Terraform")
	}
	lines := block[1] + "\noutput \"project\" { value = aws_cloudformation_stack.flexbuild.outputs.ProjectName }\n"
	writeFile(t, tf.dir+"/template.json", flexbuild.Template)

	writeFile(t, tf.dir+"/main.tf", lines)
	tf.run("init", "-plugin-dir="+tf.plugins)
	tf.run("apply", "-auto-approve")
	if got := strings.TrimSpace(tf.run("output", "-raw", "project")); got != "flexbuild" {
		t.Errorf("the output is %q", got)
	}
	wantProject(t, e, "BUILD_GENERAL1_LARGE 90")
	tf.run("plan", "-detailed-exitcode") // 0 if there is nothing to change

	writeFile(t, tf.dir+"/main.tf", strings.Replace(lines, "= 90", "= 45", 1))
	tf.run("apply", "-auto-approve")
	wantProject(t, e, "BUILD_GENERAL1_LARGE 45")
	tf.run("destroy", "-auto-approve")
	if out, err := codebuild.NewFromConfig(e.Config()).ListProjects(t.Context(), nil); err != nil || len(out.Projects) > 0 {
		t.Errorf("after the end there are the projects %q, %v", out.Projects, err)
	}
}

// Terraform deploys what init writes, with the project of the stack's name.
func TestTerraformDeploysWhatInitWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("terraform looks at a stack every 10 seconds")
	}
	t.Parallel()
	e := localtest.New(t)
	tf := newTerraform(t, e)
	if code := run(t.Context(), []string{"init", "terraform", tf.dir}); code != 0 {
		t.Fatalf("init ends with exit code %d", code)
	}
	tf.run("init", "-plugin-dir="+tf.plugins)
	tf.run("apply", "-auto-approve")
	wantProject(t, e, "BUILD_GENERAL1_SMALL 60")
	tf.run("plan", "-detailed-exitcode") // 0 if there is nothing to change
}

// Terraform creates, changes and destroys the resources of the article as they
// are written there: its role, the role's policy and its project. The article's
// build.json builds with them. Resources of the other services are beside them:
// a repository, buckets, a log group, a parameter and a secret. Terraform does
// not destroy a bucket with an object unless it is to force that.
func TestTerraformAppliesTheArticle(t *testing.T) {
	t.Parallel()
	e := localtest.New(t)
	tf := newTerraform(t, e)
	article := readFile(t, "examples/article/main.tf")
	writeFile(t, tf.dir+"/main.tf", article)
	writeFile(t, tf.dir+"/services.tf", services)
	tf.run("init", "-plugin-dir="+tf.plugins)
	tf.run("apply", "-auto-approve")
	tf.run("plan", "-detailed-exitcode") // 0 if there is nothing to change
	wantArticle(t, e, "codebuild-flex main 5 codebuild-flex 1")
	buildArticle(t, e)

	writeFile(t, tf.dir+"/main.tf", strings.NewReplacer(`build_timeout = "5"`, `build_timeout = "10"`, `"ecr:PutImage",`, `"ecr:PutImage", "ecr:TagResource",`,
		"  name = \"codebuild\"\n", "  name = \"codebuild\"\n  tags = { team = \"builds\" }\n").Replace(article))
	writeFile(t, tf.dir+"/services.tf", strings.NewReplacer("first", "second", "private modules", "all modules", "Docker Hub", "the Hub",
		`team = "builds"`, `owner = "images"`, `"MUTABLE"`, `"IMMUTABLE"`, "scan_on_push = true", "scan_on_push = false",
		"retention_in_days = 30", "retention_in_days = 0").Replace(services))
	tf.run("apply", "-auto-approve")
	tf.run("plan", "-detailed-exitcode")
	wantArticle(t, e, "codebuild-flex main 10 codebuild-flex 1")

	objects := s3.NewFromConfig(e.Config(), func(o *s3.Options) { o.UsePathStyle = true })
	for _, bucket := range []string{"team-uploads", "team-plain"} {
		if _, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("a key"), Body: strings.NewReader("text")}); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := tf.try("destroy", "-auto-approve"); err == nil || !strings.Contains(text, "BucketNotEmpty") {
		t.Errorf("the bucket with an object is destroyed: %v\n%s", err, text)
	}
	wantArticle(t, e, "")
	// The test made the repository, and the build its log group.
	wantNothingBut(t, e, "bucket team-plain", "group codebuild-flex", "repository test-ecr")
}

// buildArticle starts the article's build.json with its command, in a
// repository like the article's, and waits for the image.
func buildArticle(t *testing.T, e *localtest.Engine) {
	t.Helper()
	server, _ := serveRepositories(t)
	dir := t.TempDir()
	writeFile(t, dir+"/build.json", strings.NewReplacer("<region>", "us-east-1", "<account-id>", "000000000000",
		"https://github.com/jasonstitt/test-ecr2", server+"/test-ecr2").Replace(readFile(t, "examples/article/build.json")))
	images := ecr.NewFromConfig(e.Config())
	if _, err := images.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("test-ecr")}); err != nil {
		t.Fatal(err)
	}

	cli := exec.Command(installAWSCLI(t)+"/aws", "codebuild", "start-build", "--cli-input-json", "file://build.json", "--query", "build.id", "--output", "text")
	cli.Dir, cli.Env = dir, append(os.Environ(), e.Endpoint().Env()...)
	id, err := cli.Output()
	if err != nil {
		t.Fatalf("start-build: %v", err)
	}
	if build := ended(t, e, strings.TrimSpace(string(id))); build.BuildStatus != "SUCCEEDED" || *build.Logs.GroupName != "codebuild-flex" {
		t.Errorf("the build is %s, with its log in %s:\n%s", build.BuildStatus, *build.Logs.GroupName, logOf(t, e, build))
	}
	image, err := images.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("test-ecr")})
	if err != nil || len(image.ImageDetails) != 1 || !slices.Equal(image.ImageDetails[0].ImageTags, []string{"latest"}) {
		t.Errorf("the images are %+v, %v", image, err)
	}
}

// ended returns a build when it has ended.
func ended(t *testing.T, e *localtest.Engine, id string) types.Build {
	t.Helper()
	for {
		out, err := codebuild.NewFromConfig(e.Config()).BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{id}})
		if err != nil || len(out.Builds) != 1 {
			t.Fatalf("build %q: %+v, %v", id, out, err)
		}
		if out.Builds[0].BuildComplete {
			return out.Builds[0]
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// logOf returns a build's log.
func logOf(t *testing.T, e *localtest.Engine, build types.Build) string {
	t.Helper()
	out, err := cloudwatchlogs.NewFromConfig(e.Config()).GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: build.Logs.GroupName, LogStreamName: build.Logs.StreamName, StartFromHead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, event := range out.Events {
		text.WriteString(*event.Message)
	}
	return text.String()
}

// services are resources of the other services that the engine has, as
// Terraform configurations use them beside a project of CodeBuild.
const services = `
resource "aws_ecr_repository" "app" {
  name                 = "team/app"
  image_tag_mutability = "MUTABLE"
  force_delete         = true
  tags                 = { team = "builds" }
  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_s3_bucket" "uploads" {
  bucket        = "team-uploads"
  force_destroy = true
  tags          = { team = "builds" }
}

resource "aws_s3_bucket" "plain" {
  bucket = "team-plain"
}

resource "aws_cloudwatch_log_group" "builds" {
  name              = "/team/builds"
  retention_in_days = 30
  tags              = { team = "builds" }
}

resource "aws_ssm_parameter" "token" {
  name        = "/team/token"
  description = "for private modules"
  type        = "SecureString"
  value       = "first"
  tags        = { team = "builds" }
}

resource "aws_secretsmanager_secret" "login" {
  name                    = "team/login"
  description             = "Docker Hub"
  recovery_window_in_days = 0
  tags                    = { team = "builds" }
}

resource "aws_secretsmanager_secret_version" "login" {
  secret_id     = aws_secretsmanager_secret.login.id
  secret_string = jsonencode({ username = "builder", password = "first" })
}
`

// wantNothingBut compares the resources of the other services and the roles
// with those that are wanted, each a kind and a name.
func wantNothingBut(t *testing.T, e *localtest.Engine, want ...string) {
	t.Helper()
	repositories, err1 := ecr.NewFromConfig(e.Config()).DescribeRepositories(t.Context(), nil)
	parameters, err2 := ssm.NewFromConfig(e.Config()).DescribeParameters(t.Context(), nil)
	secrets, err3 := secretsmanager.NewFromConfig(e.Config()).ListSecrets(t.Context(), nil)
	groups, err4 := cloudwatchlogs.NewFromConfig(e.Config()).DescribeLogGroups(t.Context(), nil)
	buckets, err5 := s3.NewFromConfig(e.Config()).ListBuckets(t.Context(), nil)
	roles, err6 := iam.NewFromConfig(e.Config()).ListRoles(t.Context(), nil)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range buckets.Buckets {
		got = append(got, "bucket "+*b.Name)
	}
	for _, g := range groups.LogGroups {
		got = append(got, "group "+*g.LogGroupName)
	}
	for _, p := range parameters.Parameters {
		got = append(got, "parameter "+*p.Name)
	}
	for _, r := range repositories.Repositories {
		got = append(got, "repository "+*r.RepositoryName)
	}
	for _, r := range roles.Roles {
		got = append(got, "role "+*r.RoleName)
	}
	for _, s := range secrets.SecretList {
		got = append(got, "secret "+*s.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("after the end there are %q, want %q", got, want)
	}
}

// wantArticle compares the article's project, "" for none, with one line.
func wantArticle(t *testing.T, e *localtest.Engine, want string) {
	t.Helper()
	out, err := codebuild.NewFromConfig(e.Config()).BatchGetProjects(t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{"codebuild-flex"}})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, p := range out.Projects {
		got = fmt.Sprint(*p.Name, " ", *p.SourceVersion, " ", *p.TimeoutInMinutes, " ", *p.LogsConfig.CloudWatchLogs.GroupName, " ", *p.Source.GitCloneDepth)
	}
	if got != want {
		t.Errorf("the project is %q, want %q", got, want)
	}
}

func wantProject(t *testing.T, e *localtest.Engine, want string) {
	t.Helper()
	out, err := codebuild.NewFromConfig(e.Config()).BatchGetProjects(t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{"flexbuild"}})
	if err != nil || len(out.Projects) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	project := out.Projects[0]
	if got := fmt.Sprint(project.Environment.ComputeType, " ", *project.TimeoutInMinutes); got != want {
		t.Errorf("the project has %s, want %s", got, want)
	}
}

// A terraform runs in a folder and a home of its own, against an engine.
type terraform struct {
	t                *testing.T
	path             string
	plugins          string // a mirror of providers
	dir              string
	home             string
	engineAndNothing []string // settings that lead to the engine
}

func newTerraform(t *testing.T, e *localtest.Engine) terraform {
	t.Helper()
	path, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not on this machine: the Terraform of docs/deploying.md was not run")
	}
	plugins := providerMirror()
	if plugins == "" {
		t.Skipf("no mirror of providers on this machine has hashicorp/aws for %s_%s: the Terraform of docs/deploying.md was not run", runtime.GOOS, runtime.GOARCH)
	}
	return terraform{t, path, plugins, t.TempDir(), t.TempDir(), e.Endpoint().Env()}
}

// providerMirror returns a folder of providers that has the AWS provider for
// this machine, "" if there is none: one of those in which Terraform itself
// looks, or a package's under /opt.
func providerMirror() string {
	home, _ := os.UserHomeDir()
	for _, mirror := range []string{
		home + "/.terraform.d/plugins", home + "/.local/share/terraform/plugins",
		"/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/*",
	} {
		found, _ := filepath.Glob(mirror + "/*/hashicorp/aws/*/" + runtime.GOOS + "_" + runtime.GOARCH)
		if len(found) > 0 {
			return filepath.Join(found[0], "../../../../..")
		}
	}
	return ""
}

// run runs a subcommand and returns what it prints.
func (tf terraform) run(args ...string) string {
	tf.t.Helper()
	text, err := tf.try(args...)
	if err != nil {
		tf.t.Fatalf("terraform %q: %v\n%s", args, err, text)
	}
	return text
}

// try is run of a subcommand that may fail.
func (tf terraform) try(args ...string) (string, error) {
	if args[0] != "output" {
		args = append(args, "-input=false")
	}
	cmd := exec.Command(tf.path, append(args, "-no-color")...)
	cmd.Dir = tf.dir
	cmd.Env = append(tf.engineAndNothing, "HOME="+tf.home, "PATH="+os.Getenv("PATH"), "CHECKPOINT_DISABLE=1")
	text, err := cmd.CombinedOutput()
	return string(text), err
}
