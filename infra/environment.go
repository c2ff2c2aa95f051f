package infra

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

var (
	variableForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	variableTypes = []awscodebuild.BuildEnvironmentVariableType{
		awscodebuild.BuildEnvironmentVariableType_PLAINTEXT,
		awscodebuild.BuildEnvironmentVariableType_PARAMETER_STORE,
		awscodebuild.BuildEnvironmentVariableType_SECRETS_MANAGER,
	}
)

// validateVariables leaves it to the CDK to find a secret in a plain value:
// only it knows its tokens.
func (p *ImageBuilderProps) validateVariables() error {
	given := or(p.EnvironmentVariables, nil)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		prop := fmt.Sprintf("EnvironmentVariables[%q]", name)
		variable := given[name]
		switch {
		case !variableForm.MatchString(name):
			errs = append(errs, problem(prop, "no name of a variable: write letters, digits and _, the first no digit"))
		case strings.HasPrefix(name, "CODEBUILD_"):
			errs = append(errs, problem(prop, "CodeBuild reserves names that begin with CODEBUILD_: give another name"))
		case isContract(name):
			errs = append(errs, problem(prop, "the contract has a variable of that name (docs/contract.md): give another name"))
		case variable == nil || variable.Value == nil:
			errs = append(errs, problem(prop, "it has no value: give one"))
		default:
			errs = append(errs, checkEnum(prop+".Type", variable.Type, variableTypes...))
		}
	}
	return errors.Join(errs...)
}

// isContract reports whether a caller or the construct says something by a
// variable of that name.
func isContract(name string) bool {
	all := callersParams
	all.Registry, all.CacheRepository = "x", "x"
	for _, variable := range all.Environment() {
		if variable.Name == name {
			return true
		}
	}
	return strings.HasPrefix(name, buildspec.SecretPrefix) || slices.Contains([]string{
		buildspec.VarMirrors, buildspec.VarBaseRegistries, buildspec.VarCreateOnPush, buildspec.VarCacheExpiry, buildspec.VarBuilder,
	}, name)
}

// allowVariables lets builds read what their variables name. The CDK knows the
// forms that such a name can have; CodeBuild reads it with the builds' role.
func (b *imageBuilder) allowVariables() {
	awscodebuild.Project_SerializeEnvVariables(b.props.EnvironmentVariables, jsii.Bool(true), b.policy)
}
