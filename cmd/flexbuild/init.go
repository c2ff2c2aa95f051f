package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/internal/versions"
)

// cdkPackage is the version of the CDK's command that the tests use.
var cdkPackage = "aws-cdk@" + versions.Of("aws-cdk")

// startFiles are the files that init writes, with {{.Name}} in the place of
// names. No text/template fills them in: a program that has one keeps every
// method of the AWS SDK.
//
//go:embed start
var startFiles embed.FS

// start is the start of a set-up: the files that init writes, besides
// flexbuild.yaml, and the command that deploys them.
type start struct {
	files  []string // in startFiles, without .tmpl
	deploy string
}

// starts are the kinds of set-ups, by the argument of init.
var starts = map[string]start{
	"cdk":       {[]string{"cdk/main.go", "cdk/go.mod", "cdk/cdk.json"}, "go mod tidy && npx " + cdkPackage + " deploy"},
	"terraform": {[]string{"terraform/main.tf", templateFile}, "terraform init && terraform apply"},
	"template":  {[]string{templateFile}, "aws cloudformation deploy --stack-name {{.Stack}} --template-file " + templateFile + " --capabilities CAPABILITY_NAMED_IAM --parameter-overrides ProjectName={{.Stack}}"},
}

const templateFile = "template.json"

func newInit(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "init [KIND] [DIR]",
		Short: "Write the first files of a set-up: cdk, terraform or template",
		Long: `Write the files that deploy an image builder into a directory, the working
directory by default, and a flexbuild.yaml with which builds find it. The names
of the files go to stdout, and the next commands to stderr. If one of the files
exists, init writes none.

  template   the CloudFormation template, for any tool that deploys one (default)
  terraform  a Terraform file and the template that it deploys
  cdk        a CDK app in Go with the construct, for what the template does not
             offer

--stack names the stack, and the project and the repositories after it.`,
		Example: `  flexbuild init
  flexbuild init cdk images
  flexbuild init terraform --stack team-images`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 2 {
				return usagef("%s takes at most 2 arguments [KIND DIR], got %q", cmd.CommandPath(), args)
			}
			return nil
		},
		ValidArgs: []string{"cdk", "terraform", "template"},
		RunE: func(cmd *cobra.Command, args []string) error {
			args = append(args, []string{"template", "."}[len(args):]...)
			return initialize(cmd, t.stack, args[0], args[1])
		},
	}
}

// initialize writes the files of a kind of set-up into dir.
func initialize(cmd *cobra.Command, stack, kind, dir string) error {
	s, known := starts[kind]
	if !known {
		return usagef("init %q: give cdk, terraform or template", kind)
	}
	names, err := startNames(stack)
	if err != nil {
		return err
	}
	files, err := s.render(names)
	if err != nil {
		return err
	}
	if err := writeNew(cmd, dir, files); err != nil {
		return err
	}
	deploy := names.render(s.deploy)
	if dir != "." {
		deploy = "cd " + shellQuote(dir) + " && " + deploy
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "deploy it: %s\nthen build: flexbuild build DIR\n", deploy)
	return err
}

// names are what the files of a set-up have in the place of templates' fields.
type names struct {
	Stack, Repository string
	Version           string // of this module, "" if no proxy of modules has it
	CDK               string
}

// projectName is what the template's ProjectName can be.
var projectName = lazyregexp.New(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

func startNames(stack string) (names, error) {
	if len(stack) > 19 || !projectName().MatchString(stack) {
		return names{}, usagef("--stack %q: the project is named like the stack, so give at most 19 lower-case letters and digits, with single - between them, a letter first", stack)
	}
	n := names{Stack: stack, Repository: stack + "/app", CDK: cdkPackage}
	if stack == buildspec.StackName {
		n.Repository = "app"
	}
	if v := version(); strings.HasPrefix(v, "v") && !strings.Contains(v, "+") {
		n.Version = v
	}
	return n, nil
}

// render puts the names into a text.
func (n names) render(text string) string {
	require := ""
	if n.Version != "" {
		require = "\n\nrequire github.com/codebuild-flex/flexbuild " + n.Version
	}
	return strings.NewReplacer("{{.Stack}}", n.Stack, "{{.Repository}}", n.Repository, "{{.CDK}}", n.CDK, "{{.Require}}", require).Replace(text)
}

// newFile is a file that init writes.
type newFile struct{ name, text string }

func (s start) render(n names) (files []newFile, err error) {
	for _, path := range append(slices.Clone(s.files), settingsFile) {
		text := []byte(flexbuild.Template)
		if path != templateFile {
			if text, err = startFiles.ReadFile("start/" + path + ".tmpl"); err != nil {
				return nil, err
			}
			text = []byte(n.render(string(text)))
		}
		files = append(files, newFile{filepath.Base(path), string(text)})
	}
	return files, nil
}

// writeNew writes files into dir, none if one exists, and prints their names.
func writeNew(cmd *cobra.Command, dir string, files []newFile) error {
	if existing := existing(dir, files); len(existing) > 0 {
		return usagef("%s would be overwritten, so nothing was written: move what is there, or give another directory", strings.Join(existing, ", "))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return usagef("make the directory: %w", err)
	}
	for i, f := range files {
		name := filepath.Join(dir, f.name)
		if err := writeExclusively(name, f.text); err != nil {
			for _, written := range files[:i] {
				os.Remove(filepath.Join(dir, written.name))
			}
			return fmt.Errorf("write the start of a set-up: %w", err)
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), name); err != nil {
			return err
		}
	}
	return nil
}

// existing returns the names of files that dir has already, links that lead
// nowhere among them.
func existing(dir string, files []newFile) (names []string) {
	for _, f := range files {
		name := filepath.Join(dir, f.name)
		if _, err := os.Lstat(name); err == nil {
			names = append(names, name)
		}
	}
	return names
}

func writeExclusively(name, text string) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		os.Remove(name)
	}
	return err
}
