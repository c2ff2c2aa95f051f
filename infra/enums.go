package infra

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
)

func (p *ImageBuilderProps) validateEnums() error {
	sizes := computeTypes
	if p.Fleet != nil {
		sizes = fleetComputeTypes
	}
	errs := []error{
		checkEnum("ImageTagMutability", p.ImageTagMutability, tagMutabilities...),
		checkEnum("RepositoryRemovalPolicy", p.RepositoryRemovalPolicy, removalPolicies...),
		checkEnum("ComputeType", p.ComputeType, sizes...),
		checkEnum("DockerServerComputeType", p.DockerServerComputeType, dockerServerComputeTypes...),
		checkEnum("LogRetention", p.LogRetention, retentionDays...),
		checkEnum("LogRemovalPolicy", p.LogRemovalPolicy, removalPolicies...),
	}
	for i, mode := range or(p.LocalCacheModes, nil) {
		errs = append(errs, checkEnum(fmt.Sprintf("LocalCacheModes[%d]", i), mode, localCacheModes...))
	}
	return errors.Join(errs...)
}

// checkEnum accepts the zero value, which means the default. For an unknown
// value, the CDK would print a stack trace of JavaScript.
func checkEnum[T ~string](prop string, value T, known ...T) error {
	if value == "" || slices.Contains(known, value) {
		return nil
	}
	return problem(prop, "%q: use one of %s", value, join(known))
}

func join[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return strings.Join(texts, ", ")
}

var (
	// Lambda compute is missing because it runs no Docker.
	computeTypes = []awscodebuild.ComputeType{
		awscodebuild.ComputeType_SMALL, awscodebuild.ComputeType_MEDIUM, awscodebuild.ComputeType_LARGE,
		awscodebuild.ComputeType_X_LARGE, awscodebuild.ComputeType_X2_LARGE,
	}
	fleetComputeTypes = append(slices.Clone(computeTypes),
		awscodebuild.ComputeType_ATTRIBUTE_BASED, awscodebuild.ComputeType_CUSTOM_INSTANCE_TYPE)
	dockerServerComputeTypes = []awscodebuild.DockerServerComputeType{
		awscodebuild.DockerServerComputeType_SMALL, awscodebuild.DockerServerComputeType_MEDIUM, awscodebuild.DockerServerComputeType_LARGE,
		awscodebuild.DockerServerComputeType_X_LARGE, awscodebuild.DockerServerComputeType_X2_LARGE,
	}
	// CUSTOM is missing because it caches folders that a buildspec names, and
	// this buildspec names none.
	localCacheModes = []awscodebuild.LocalCacheMode{awscodebuild.LocalCacheMode_SOURCE, awscodebuild.LocalCacheMode_DOCKER_LAYER}
	tagMutabilities = []awsecr.TagMutability{
		awsecr.TagMutability_MUTABLE, awsecr.TagMutability_IMMUTABLE,
		awsecr.TagMutability_IMMUTABLE_WITH_EXCLUSION, awsecr.TagMutability_MUTABLE_WITH_EXCLUSION,
	}
	// SNAPSHOT is missing because neither ECR nor CloudWatch Logs has
	// snapshots.
	removalPolicies = []awscdk.RemovalPolicy{
		awscdk.RemovalPolicy_DESTROY, awscdk.RemovalPolicy_RETAIN, awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE,
	}
	retentionDays = []awslogs.RetentionDays{
		awslogs.RetentionDays_ONE_DAY, awslogs.RetentionDays_THREE_DAYS, awslogs.RetentionDays_FIVE_DAYS,
		awslogs.RetentionDays_ONE_WEEK, awslogs.RetentionDays_TWO_WEEKS, awslogs.RetentionDays_ONE_MONTH,
		awslogs.RetentionDays_TWO_MONTHS, awslogs.RetentionDays_THREE_MONTHS, awslogs.RetentionDays_FOUR_MONTHS,
		awslogs.RetentionDays_FIVE_MONTHS, awslogs.RetentionDays_SIX_MONTHS, awslogs.RetentionDays_ONE_YEAR,
		awslogs.RetentionDays_THIRTEEN_MONTHS, awslogs.RetentionDays_EIGHTEEN_MONTHS, awslogs.RetentionDays_TWO_YEARS,
		awslogs.RetentionDays_THREE_YEARS, awslogs.RetentionDays_FIVE_YEARS, awslogs.RetentionDays_SIX_YEARS,
		awslogs.RetentionDays_SEVEN_YEARS, awslogs.RetentionDays_EIGHT_YEARS, awslogs.RetentionDays_NINE_YEARS,
		awslogs.RetentionDays_TEN_YEARS, awslogs.RetentionDays_INFINITE,
	}
)
