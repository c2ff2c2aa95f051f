package infra

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// Context returns the value of a context key of the CDK, or nil.
type Context func(key string) any

// StackName returns the name of the default stack: the context value "stack",
// or [buildspec.StackName].
func (c Context) StackName() string {
	return c.text("stack", buildspec.StackName)
}

// Props are the default stack's props, changed by what -c says:
//
//	project       ProjectName, and the names that derive from it; default: the stack's name
//	repositories  Repositories, separated by commas; default: app, and PROJECT/app
//	              for a project that is not called flexbuild
//	prefix        RepositoryPrefix
//	immutable     true: ImageTagMutability IMMUTABLE
//	size          ComputeType: small, medium, large, xlarge or 2xlarge
//	untagged      UntaggedImageExpiry, in days
//	timeout       Timeout, in minutes
//	concurrency   ConcurrentBuildLimit
//	mirrors       DockerHubMirrors, separated by commas; empty: none
//
// The error names every value that is wrong.
func (c Context) Props() (*ImageBuilderProps, error) {
	project := c.text("project", c.StackName())
	props := &ImageBuilderProps{
		ProjectName:      jsii.String(project),
		Repositories:     jsii.Strings(buildspec.SplitNames(c.text("repositories", defaultRepository(project)))...),
		RepositoryPrefix: jsii.String(c.text("prefix", repositoryNameOf(project)+"/")),
	}
	if c("mirrors") != nil {
		props.DockerHubMirrors = jsii.Strings(buildspec.SplitNames(c.text("mirrors", ""))...)
	}
	err := errors.Join(
		c.immutable(props),
		c.size(props),
		c.duration("untagged", days, &props.UntaggedImageExpiry),
		c.duration("timeout", minutes, &props.Timeout),
		c.number("concurrency", &props.ConcurrentBuildLimit),
	)
	return props, errors.Join(err, props.Validate())
}

// defaultRepository returns the name of a default stack's repository. It
// follows the project, because two default stacks in one account cannot create
// the same one.
func defaultRepository(project string) string {
	if project == buildspec.StackName {
		return "app"
	}
	return repositoryNameOf(project) + "/app"
}

// text is the value of key as on the command line: cdk.json can have lists,
// numbers and booleans too.
func (c Context) text(key, otherwise string) string {
	switch value := c(key).(type) {
	case nil:
		return otherwise
	case []any:
		parts := make([]string, len(value))
		for i, part := range value {
			parts[i] = fmt.Sprint(part)
		}
		return strings.Join(parts, ",")
	default:
		return fmt.Sprint(value)
	}
}

func (c Context) immutable(props *ImageBuilderProps) error {
	text := c.text("immutable", "false")
	on, err := strconv.ParseBool(text)
	if err != nil {
		return contextProblem("immutable", text, "true or false")
	}
	if on {
		props.ImageTagMutability = awsecr.TagMutability_IMMUTABLE
	}
	return nil
}

var sizes = map[string]awscodebuild.ComputeType{
	"small":   awscodebuild.ComputeType_SMALL,
	"medium":  awscodebuild.ComputeType_MEDIUM,
	"large":   awscodebuild.ComputeType_LARGE,
	"xlarge":  awscodebuild.ComputeType_X_LARGE,
	"2xlarge": awscodebuild.ComputeType_X2_LARGE,
}

func (c Context) size(props *ImageBuilderProps) error {
	text := c.text("size", "small")
	compute, ok := sizes[text]
	if !ok {
		return contextProblem("size", text, strings.Join(slices.Sorted(maps.Keys(sizes)), ", "))
	}
	props.ComputeType = compute
	return nil
}

func (c Context) number(key string, prop **float64) error {
	text := c.text(key, "")
	if text == "" {
		return nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return contextProblem(key, text, "a number")
	}
	*prop = &number
	return nil
}

func (c Context) duration(key string, u unit, prop *awscdk.Duration) error {
	var number *float64
	if err := c.number(key, &number); err != nil || number == nil {
		return err
	}
	if !(*number > 0) { // the CDK knows no others
		return contextProblem(key, c.text(key, ""), "a number of "+u.name+" above 0")
	}
	*prop = u.of(*number)
	return nil
}

func contextProblem(key, text, want string) error {
	return fmt.Errorf("context value %s: %q: give %s", key, text, want)
}
