package local

import (
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation"
	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/ecr"
	"github.com/codebuild-flex/flexbuild/local/internal/iamapi"
	"github.com/codebuild-flex/flexbuild/local/internal/logs"
	"github.com/codebuild-flex/flexbuild/local/internal/secretsmanager"
	"github.com/codebuild-flex/flexbuild/local/internal/ssm"
	"github.com/codebuild-flex/flexbuild/local/internal/sts"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

// servicePackages are the packages that implement an AWS service. iam keeps the
// roles that iamapi serves, and needs no permissions of its own.
var servicePackages = []string{"cloudformation", "codebuild", "ecr", "iam", "iamapi", "logs", "s3", "secretsmanager", "ssm", "sts"}

// Each service has the same shape, so that who knows one knows all: doc.go says
// what it is, service.go has its options, its type and its constructor,
// permissions.go what callers need, and errors.go every error of its API.
func TestServicesHaveOneShape(t *testing.T) {
	for _, name := range servicePackages {
		t.Run(name, func(t *testing.T) {
			dir, files := filepath.Join("internal", name), []string{"service.go", "errors.go"}
			if name != "iam" {
				files = append(files, "doc.go", "permissions.go")
			}
			for _, file := range files {
				if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
					t.Error(err)
				}
			}
			checkConstructor(t, filepath.Join(dir, "service.go"))
			checkErrors(t, dir)
		})
	}
}

// optionTypes are the types of the options that several services have.
var optionTypes = map[string]string{"Store": "*store.Store", "Clock": "clockwork.Clock", "Region": "string", "Log": "*slog.Logger", "Dir": "string", "Host": "string"}

// named are the types that each have one name in all options.
var named = []string{"*store.Store", "clockwork.Clock", "*slog.Logger"}

func checkConstructor(t *testing.T, path string) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := func(node any) string {
		var b strings.Builder
		if err := printer.Fprint(&b, files, node); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	var order []string
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "New" {
				order = append(order, "New")
				if got := text(d.Type); got != "func(options Options) (*Service, error)" && got != "func(options Options) *Service" {
					t.Errorf("New is a %s", got)
				}
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				s, isType := spec.(*ast.TypeSpec)
				if !isType || s.Name.Name != "Options" && s.Name.Name != "Service" {
					continue
				}
				order = append(order, s.Name.Name)
				fields := s.Type.(*ast.StructType).Fields.List
				if s.Name.Name == "Service" && (len(fields[0].Names) > 0 || text(fields[0].Type) != "Options") {
					t.Error("Service does not begin with its Options")
				}
				for _, f := range fields {
					for _, field := range f.Names {
						want, known := optionTypes[field.Name]
						switch {
						case s.Name.Name != "Options":
						case known && text(f.Type) != want:
							t.Errorf("Options.%s is a %s, not a %s", field.Name, text(f.Type), want)
						case !known && slices.Contains(named, text(f.Type)):
							t.Errorf("Options.%s has another name than the same in other services", field.Name)
						}
					}
				}
			}
		}
	}
	if !slices.Equal(order, []string{"Options", "Service", "New"}) {
		t.Errorf("%s has %v; want Options, Service, New", path, order)
	}
}

// apiError matches what makes an error of an API.
var apiError = regexp.MustCompile(`&types\.\w*(Exception|NotFound|InvalidResourceId|Error)\{|smithy\.GenericAPIError\{`)

func checkErrors(t *testing.T, dir string) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "errors.go" {
			continue
		}
		if found := apiError.Find(text); found != nil {
			t.Errorf("%s makes an error of the API, %s…; errors.go is the place for these", path, found)
		}
	}
}

// A method with the signature of an operation of the SDK is in the list of its
// service's operations.
func TestEveryOperationIsListed(t *testing.T) {
	for name, service := range map[string]wire.Service{
		"cloudformation": &cloudformation.Service{}, "codebuild": &codebuild.Service{}, "ecr": &ecr.Service{}, "iamapi": &iamapi.Service{},
		"logs": &logs.Service{}, "secretsmanager": &secretsmanager.Service{}, "ssm": &ssm.Service{}, "sts": &sts.Service{},
	} {
		var listed, methods []string
		for _, op := range service.Operations() {
			listed = append(listed, op.Name)
		}
		for method := range reflect.TypeOf(service).Methods() {
			if in := method.Type; in.NumIn() == 3 && in.In(2).Kind() == reflect.Pointer && in.In(2).Elem().Name() == method.Name+"Input" {
				methods = append(methods, method.Name)
			}
		}
		if diff := cmp.Diff(methods, listed); diff != "" {
			t.Errorf("%s has methods (-) that are not its operations (+):\n%s", name, diff)
		}
	}
}
