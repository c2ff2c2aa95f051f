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
	}
	if key := b.props.EncryptionKey; key != nil {
		grant = grant.Combine(grantTo(grantee, []*string{key.KeyArn()}, "kms:Decrypt", "kms:GenerateDataKey"))
	}
	for _, statement := range append(b.deniedOverrides(), b.deniedBy(limits)...) {
		grantee.GrantPrincipal().AddToPrincipalPolicy(statement)
	}
	return grant
}

// grantUpload lets the grantee upload what is not there, and ask whether an upload
// whose digest it knows is there. Nobody can overwrite or remove an upload, nor
// list those of others.
func (b *imageBuilder) grantUpload(grantee awsiam.IGrantable, prefix string) awsiam.Grant {
	digest := strings.Repeat("?", hex.EncodedLen(sha256.Size))
	put := grantIf(grantee, b.sourceBucket.ArnForObjects(jsii.String(prefix+"*")), "s3:PutObject",
		"Null", map[string]any{"s3:if-none-match": "false"})
	return put.Combine(grantIf(grantee, b.sourceBucket.BucketArn(), "s3:ListBucket",
		"StringLike", map[string]any{"s3:prefix": prefix + digest + "/"}))
}

func grantIf(grantee awsiam.IGrantable, resource *string, action, operator string, condition map[string]any) awsiam.Grant {
	return awsiam.Grant_AddToPrincipal(&awsiam.GrantOnPrincipalOptions{
		Grantee:      grantee,
		Actions:      jsii.Strings(action),
		ResourceArns: &[]*string{resource},
		Conditions:   &map[string]*map[string]any{operator: &condition},
	})
}

func (b *imageBuilder) GrantRead(grantee awsiam.IGrantable) awsiam.Grant {
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
	// ECR's login is for the whole registry: AWS knows no narrower resource.
	return grantTo(grantee, []*string{jsii.String("*")}, "ecr:GetAuthorizationToken").
		Combine(grantTo(grantee, b.imageRepositories(), pullActions...))
}

func grantTo(grantee awsiam.IGrantable, resources []*string, actions ...string) awsiam.Grant {
	return awsiam.Grant_AddToPrincipal(&awsiam.GrantOnPrincipalOptions{
		Grantee:      grantee,
		Actions:      jsii.Strings(actions...),
		ResourceArns: &resources,
	})
}

// deniedKeys are IAM's condition keys for what a caller of StartBuild could
// override to run something else than the buildspec with the role, in another
// image, or to send its results elsewhere. Size, timeouts and the source stay
// open, and the way to ARM.
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

// deniedOverrides has a statement a key: the keys of one statement must all be
// there for it to apply.
func (b *imageBuilder) deniedOverrides() []awsiam.PolicyStatement {
	var all []awsiam.PolicyStatement
	for _, key := range deniedKeys {
		condition := map[string]any{"Null": map[string]any{key: "false"}}
		if value := b.allowedOverride(key); value != "" {
			condition["StringNotEquals"] = map[string]any{key: value}
		}
		all = append(all, b.denyStart(condition))
	}
	return append(all, b.denyStart(map[string]any{
		"ForAnyValue:StringNotLike": map[string]any{
			"codebuild:environment.environmentVariables.name": append(callersVariables(), buildspec.SecretPrefix+"*"),
		},
	}))
}

// allowedOverride is the one value that a denied key may have: a build for ARM
// names its image and its machine.
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

func (b *imageBuilder) denyStart(condition map[string]any) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Effect:     awsiam.Effect_DENY,
		Actions:    jsii.Strings("codebuild:StartBuild"),
		Resources:  &[]*string{b.project.ProjectArn()},
		Conditions: &condition,
	})
}

// callersParams has every field set that is a caller's business, so that its
// environment has those variables. The rest is the stack's: with a REGISTRY of
// the caller's, builds would send the role's login to whatever host it names.
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
