package infra

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

func (b *imageBuilder) GrantStart(grantee awsiam.IGrantable, limits *StartLimits) awsiam.Grant {
	must(limits.validate(b.props.ComputeType))
	grant := b.GrantRead(grantee).
		Combine(grantTo(grantee, []*string{b.project.ProjectArn()},
			"codebuild:StartBuild", "codebuild:StopBuild"))
	if limits.mayUpload() {
		grant = grant.Combine(b.grantUpload(grantee, limits.uploadPrefix()))
		if key := b.props.EncryptionKey; key != nil {
			grant = grant.Combine(grantTo(grantee, []*string{key.KeyArn()}, "kms:Decrypt", "kms:GenerateDataKey"))
		}
	}
	for _, c := range b.denials(limits) {
		grant = grant.Combine(b.denyStart(grantee, c))
	}
	return grant
}

// denials returns the conditions under which a grantee with these limits may
// not start a build.
func (b *imageBuilder) denials(limits *StartLimits) []conditions {
	if limits != nil && or(limits.AllowOverrides, false) {
		return nil
	}
	return append(b.deniedOverrides(), b.deniedBy(limits)...)
}

// grantUpload lets the grantee upload what does not exist yet, and ask whether
// an upload exists whose digest it knows. Nobody can overwrite or delete an
// upload, or list those of others.
func (b *imageBuilder) grantUpload(grantee awsiam.IGrantable, prefix string) awsiam.Grant {
	digest := strings.Repeat("?", hex.EncodedLen(sha256.Size))
	put := grantIf(conditions{"Null": conditions{"s3:if-none-match": "false"}},
		grantee, []*string{b.sourceBucket.ArnForObjects(jsii.String(prefix + "*"))}, "s3:PutObject")
	return put.Combine(grantIf(conditions{"StringLike": conditions{"s3:prefix": prefix + digest + "/"}},
		grantee, []*string{b.sourceBucket.BucketArn()}, "s3:ListBucket"))
}

func (b *imageBuilder) GrantRead(grantee awsiam.IGrantable) awsiam.Grant {
	b.grantees = append(b.grantees, grantee)
	grant := grantTo(grantee, []*string{b.project.ProjectArn()},
		"codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject").
		Combine(grantTo(grantee, []*string{b.logGroup.LogGroupArn()},
			"logs:GetLogEvents", "logs:FilterLogEvents"))
	if b.stackARN != nil {
		grant = grant.Combine(grantTo(grantee, []*string{b.stackARN}, "cloudformation:DescribeStacks"))
	}
	if name := b.props.ParameterName; name != nil {
		// The name begins with the slash that comes after "parameter".
		grant = grant.Combine(grantTo(grantee, []*string{b.arn("ssm", "parameter", (*name)[1:])}, "ssm:GetParameter"))
	}
	return grant
}

func (b *imageBuilder) GrantPull(grantee awsiam.IGrantable) awsiam.Grant {
	if len(b.imageRepositories()) == 0 {
		panic(problem("GrantPull", "the imported builder %s has no repositories: give the RepositoryNames or the RepositoryPrefix of its attributes", *b.ToString()))
	}
	b.grantees = append(b.grantees, grantee)
	// ECR's login applies to the whole registry and has no narrower resource.
	return grantTo(grantee, []*string{jsii.String("*")}, "ecr:GetAuthorizationToken").
		Combine(grantTo(grantee, b.imageRepositories(), pullActions...))
}

func grantTo(grantee awsiam.IGrantable, resources []*string, actions ...string) awsiam.Grant {
	return grantIf(nil, grantee, resources, actions...)
}

func grantIf(c conditions, grantee awsiam.IGrantable, resources []*string, actions ...string) awsiam.Grant {
	options := &awsiam.GrantOnPrincipalOptions{Grantee: grantee, Actions: jsii.Strings(actions...), ResourceArns: &resources}
	if c != nil {
		operators := map[string]*map[string]any{}
		for operator, keys := range c {
			values := keys.(conditions)
			operators[operator] = &values
		}
		options.Conditions = &operators
	}
	return awsiam.Grant_AddToPrincipal(options)
}

// deniedKeys are IAM's condition keys of the overrides with which a caller of
// StartBuild could run something else than the buildspec with the role, use
// another image, or send the results elsewhere. The size, the timeouts, the
// source and ARM machines are left to the caller.
var deniedKeys = []string{
	"codebuild:artifacts",
	"codebuild:autoRetryLimit",
	"codebuild:cache",
	"codebuild:encryptionKey",
	"codebuild:environment.certificate",
	"codebuild:environment.fleet.fleetArn",
	"codebuild:environment.image",
	"codebuild:environment.imagePullCredentialsType",
	"codebuild:environment.privilegedMode",
	"codebuild:environment.registryCredential",
	"codebuild:environment.type",
	"codebuild:logsConfig",
	"codebuild:secondaryArtifacts",
	"codebuild:secondarySources",
	"codebuild:serviceRole",
	"codebuild:source.auth.resource",
	"codebuild:source.auth.type",
	"codebuild:source.buildStatusConfig.context",
	"codebuild:source.buildStatusConfig.targetUrl",
	"codebuild:source.buildspec",
	"codebuild:source.insecureSsl",
}

// deniedOverrides returns conditions for each key. They are separate
// statements, because a statement applies only if all of its keys are present.
func (b *imageBuilder) deniedOverrides() []conditions {
	var all []conditions
	for _, key := range deniedKeys {
		c := conditions{"Null": conditions{key: "false"}}
		if value := b.allowedOverride(key); value != "" {
			c["StringNotEquals"] = conditions{key: value}
		}
		all = append(all, c)
	}
	return append(all, conditions{
		"ForAnyValue:StringNotLike": conditions{
			"codebuild:environment.environmentVariables.name": append(callersVariables(), buildspec.SecretPrefix+"*"),
		},
	})
}

// allowedOverride returns the only value that a denied key may have: a build
// for ARM names its image and its machine.
func (b *imageBuilder) allowedOverride(key string) string {
	image := or(b.props.ArmImage, "")
	switch {
	case key == "codebuild:environment.image":
		return image
	case key == "codebuild:environment.type" && image != "":
		return "ARM_CONTAINER"
	}
	return ""
}

// denyStart denies the grantee to start builds under conditions. A Grant of the
// CDK allows something until its statement's effect is changed to Deny.
func (b *imageBuilder) denyStart(grantee awsiam.IGrantable, c conditions) awsiam.Grant {
	grant := grantIf(c, grantee, []*string{b.project.ProjectArn()}, "codebuild:StartBuild")
	for _, statement := range *grant.PrincipalStatements() {
		statement.SetEffect(awsiam.Effect_DENY)
	}
	return grant
}

// callersParams has every field set that callers may set, so its environment
// has exactly the variables that callers may send. All others are the stack's.
// With a REGISTRY of the caller's, for example, builds would send the role's
// login to any host.
var callersParams = buildspec.Params{
	Tags: []string{"x"}, Region: "x", Account: "x",
	Context: "x", Dockerfile: "x", Target: "x",
	BuildArgs: map[string]string{"x": "x"}, Labels: map[string]string{"x": "x"}, Platforms: []string{"x"},
	Cache: buildspec.CacheNone, Secrets: map[string]string{"x": "x"}, Pull: true, NoCache: true, GitURL: "x", GitRef: "x", GitToken: "x",
	Provenance: buildspec.ProvenanceMax, SBOM: true, SourceSHA256: "x", GitChecksum: "x",
	RequestID: "x", Metadata: map[string]string{"x": "x"},
}

func callersVariables() []string {
	var names []string
	for _, variable := range callersParams.Environment() {
		if !strings.HasPrefix(variable.Name, buildspec.SecretPrefix) {
			names = append(names, variable.Name)
		}
	}
	return names
}
