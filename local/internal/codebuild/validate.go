package codebuild

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// Limits of AWS's API model and, for the two lengths, of its documentation and
// error messages.
const (
	minTimeout, maxTimeout             = 5, 2160 // minutes
	minQueuedTimeout, maxQueuedTimeout = 5, 480  // minutes
	maxAutoRetries                     = 10
	maxVariable                        = 4096  // characters of a value
	maxToken                           = 64    // characters of an idempotency token
	maxSubnets, maxSecurityGroups      = 16, 5 // of a VPC's configuration
)

// reservedPrefix begins the names of variables that CodeBuild itself sets.
const reservedPrefix = "CODEBUILD_"

// validateCall checks what can be said of a call without its project.
func validateCall(in *codebuild.StartBuildInput) error {
	if aws.ToString(in.ProjectName) == "" {
		return constraint("projectName", "", "have length greater than or equal to 1")
	}
	if err := checkToken(in.IdempotencyToken); err != nil {
		return err
	}
	if in.SourceTypeOverride == types.SourceTypeNoSource && aws.ToString(in.SourceLocationOverride) != "" {
		return noLocation("sourceLocationOverride")
	}
	if err := refuse(unsupportedOverrides, in); err != nil {
		return err
	}
	return validateVariables(in.EnvironmentVariablesOverride)
}

func checkToken(token *string) error {
	if n := len(aws.ToString(token)); n > maxToken {
		return invalid("idempotencyToken has %d characters; at most %d are allowed", n, maxToken)
	}
	return nil
}

// validate checks a build that was composed from a project, or a project's own
// settings put into the shape of a build.
func (s *Service) validate(b storedBuild, field fieldNames) error {
	build := b.Build
	checks := []error{
		checkRange(field("timeoutInMinutes"), build.TimeoutInMinutes, minTimeout, maxTimeout),
		checkRange(field("queuedTimeoutInMinutes"), build.QueuedTimeoutInMinutes, minQueuedTimeout, maxQueuedTimeout),
		checkRange(field("autoRetryLimit"), autoRetryLimit(build), 0, maxAutoRetries),
		checkEnum(field("environmentType"), build.Environment.Type, types.EnvironmentType("").Values()),
		checkEnum(field("computeType"), build.Environment.ComputeType, types.ComputeType("").Values()),
		checkEnum(field("sourceType"), build.Source.Type, types.SourceType("").Values()),
		validateMachine(build.Environment, field),
		validateSources(build, field),
		validateArtifacts(b.Artifacts, field),
		s.validateRole(aws.ToString(build.ServiceRole)),
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

// fieldNames gives a setting the name that the caller knows it by.
type fieldNames func(setting string) string

func overrideNames(setting string) string { return setting + "Override" }

func validateVariables(variables []types.EnvironmentVariable) error {
	seen := map[string]bool{}
	for _, v := range variables {
		if err := validateVariable(v); err != nil {
			return err
		}
		if seen[*v.Name] {
			return invalid("Duplicate environment variable name: %s", *v.Name)
		}
		seen[*v.Name] = true
	}
	return nil
}

var variableName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

func validateVariable(v types.EnvironmentVariable) error {
	name, value := aws.ToString(v.Name), aws.ToString(v.Value)
	switch {
	case !variableName().MatchString(name):
		return invalid("Invalid environment variable name %q: use letters, digits and _, and no digit first", name)
	case strings.HasPrefix(name, reservedPrefix):
		return invalid("Environment variable name %s cannot start with %s", name, reservedPrefix)
	case v.Value == nil:
		return invalid("Environment variable %s needs a value", name)
	case utf8.RuneCountInString(value) > maxVariable: // AWS's words, seen in a user's report
		return invalid("EnvironmentVariable should be at most %d characters", maxVariable)
	case strings.ContainsRune(value, 0):
		return invalid("Environment variable %s has a NUL character, which no environment can hold", name)
	}
	if v.Type == "" {
		return nil
	}
	return checkEnum("type", v.Type, types.EnvironmentVariableType("").Values())
}

// machines are the environment types that the local engine stands for. Builds
// run natively, whichever of them the project is for: the agent says in the log
// what that means.
var machines = []types.EnvironmentType{types.EnvironmentTypeLinuxContainer, types.EnvironmentTypeArmContainer}

func validateMachine(e *types.ProjectEnvironment, field fieldNames) error {
	if !slices.Contains(machines, e.Type) {
		return invalid("%s %s is not supported by the local engine", field("environmentType"), e.Type)
	}
	if !strings.HasPrefix(string(e.ComputeType), "BUILD_GENERAL1_") {
		return invalid("%s %s is not supported by the local engine", field("computeType"), e.ComputeType)
	}
	return nil
}

// validateRole wants the role to exist. Whether it trusts CodeBuild is seen
// when the build assumes it.
func (s *Service) validateRole(arn string) error {
	role, found, err := s.IAM.Role(arn[strings.LastIndex(arn, "/")+1:])
	if err != nil {
		return err
	}
	if !found || role.ARN != arn {
		return invalid("CodeBuild is not authorized to perform: sts:AssumeRole on %s", arn)
	}
	return nil
}

// validateVPC wants all three parts, or none: an empty id removes a project's
// VPC.
func validateVPC(c *types.VpcConfig) error {
	switch {
	case c == nil, aws.ToString(c.VpcId) == "" && len(c.Subnets) == 0 && len(c.SecurityGroupIds) == 0:
		return nil
	case aws.ToString(c.VpcId) == "", len(c.Subnets) == 0, len(c.SecurityGroupIds) == 0:
		return invalid("Invalid vpcConfig: vpcId, subnets and securityGroupIds are needed together: it has the VPC %q, %d subnets and %d security groups",
			aws.ToString(c.VpcId), len(c.Subnets), len(c.SecurityGroupIds))
	case len(c.Subnets) > maxSubnets:
		return invalid("vpcConfig.subnets has %d members; at most %d are allowed", len(c.Subnets), maxSubnets)
	case len(c.SecurityGroupIds) > maxSecurityGroups:
		return invalid("vpcConfig.securityGroupIds has %d members; at most %d are allowed", len(c.SecurityGroupIds), maxSecurityGroups)
	}
	return nil
}

var connectionARN = lazyregexp.New(`^arn:aws:(codeconnections|codestar-connections):[a-z0-9-]+:[0-9]{12}:connection/.+$`)

func validateAuth(auth *types.SourceAuth) error {
	if auth != nil && !connectionARN().MatchString(aws.ToString(auth.Resource)) {
		return invalid("Invalid project source: source.auth.resource %q is not the ARN of a connection", aws.ToString(auth.Resource))
	}
	return nil
}
