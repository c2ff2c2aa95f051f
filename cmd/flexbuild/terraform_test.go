package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
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
// are written there: its role, the role's policy and its project.
func TestTerraformAppliesTheArticle(t *testing.T) {
	t.Parallel()
	e := localtest.New(t)
	tf := newTerraform(t, e)
	article := readFile(t, "examples/article/main.tf")
	writeFile(t, tf.dir+"/main.tf", article)
	tf.run("init", "-plugin-dir="+tf.plugins)
	tf.run("apply", "-auto-approve")
	tf.run("plan", "-detailed-exitcode") // 0 if there is nothing to change
	wantArticle(t, e, "codebuild-flex main 5 codebuild-flex 1")

	changed := strings.NewReplacer(`build_timeout = "5"`, `build_timeout = "10"`, `"ecr:PutImage",`, `"ecr:PutImage", "ecr:TagResource",`,
		"  name = \"codebuild\"\n", "  name = \"codebuild\"\n  tags = { team = \"builds\" }\n").Replace(article)
	writeFile(t, tf.dir+"/main.tf", changed)
	tf.run("apply", "-auto-approve")
	tf.run("plan", "-detailed-exitcode")
	wantArticle(t, e, "codebuild-flex main 10 codebuild-flex 1")

	tf.run("destroy", "-auto-approve")
	wantArticle(t, e, "")
	if out, err := iam.NewFromConfig(e.Config()).ListRoles(t.Context(), nil); err != nil || len(out.Roles) > 0 {
		t.Errorf("after the end there are the roles %+v, %v", out, err)
	}
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

// Terraform creates and destroys a repository, and creates, changes and
// destroys a parameter and a secret.
func TestTerraformAppliesOtherServices(t *testing.T) {
	t.Parallel()
	e := localtest.New(t)
	tf := newTerraform(t, e)
	writeFile(t, tf.dir+"/main.tf", services)
	tf.run("init", "-plugin-dir="+tf.plugins)
	tf.run("apply", "-auto-approve")
	tf.run("plan", "-detailed-exitcode") // 0 if there is nothing to change

	changed := strings.NewReplacer("first", "second", "private modules", "all modules", "Docker Hub", "the Hub",
		"\"SecureString\"\n  value       = \"first\"\n  tags        = { team = \"builds\" }",
		"\"SecureString\"\n  value       = \"second\"\n  tags        = { owner = \"images\" }").Replace(services)
	writeFile(t, tf.dir+"/main.tf", changed)
	tf.run("apply", "-auto-approve")
	tf.run("plan", "-detailed-exitcode")

	tf.run("destroy", "-auto-approve")
	if out, err := ecr.NewFromConfig(e.Config()).DescribeRepositories(t.Context(), nil); err != nil || len(out.Repositories) > 0 {
		t.Errorf("after the end there are the repositories %+v, %v", out, err)
	}
	if out, err := ssm.NewFromConfig(e.Config()).DescribeParameters(t.Context(), nil); err != nil || len(out.Parameters) > 0 {
		t.Errorf("after the end there are the parameters %+v, %v", out, err)
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
	if args[0] != "output" {
		args = append(args, "-input=false")
	}
	cmd := exec.Command(tf.path, append(args, "-no-color")...)
	cmd.Dir = tf.dir
	cmd.Env = append(tf.engineAndNothing, "HOME="+tf.home, "PATH="+os.Getenv("PATH"), "CHECKPOINT_DISABLE=1")
	text, err := cmd.CombinedOutput()
	if err != nil {
		tf.t.Fatalf("terraform %q: %v\n%s", args, err, text)
	}
	return string(text)
}
