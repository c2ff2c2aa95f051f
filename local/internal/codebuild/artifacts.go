package codebuild

import (
	"cmp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// artifactsOf returns the definitions of what a build stores in S3, the primary
// one first. It is empty for a build that stores nothing.
func artifactsOf(project types.Project, in *codebuild.StartBuildInput) []types.ProjectArtifacts {
	all := append([]types.ProjectArtifacts{*override(project.Artifacts, in.ArtifactsOverride)},
		overrideList(project.SecondaryArtifacts, in.SecondaryArtifactsOverride)...)
	if len(all) == 1 && all[0].Type == types.ArtifactsTypeNoArtifacts && !aws.ToBool(all[0].EncryptionDisabled) {
		return nil
	}
	return all
}

var bucketName = lazyregexp.New(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// validateArtifacts checks the definitions of a build's artifacts.
func validateArtifacts(all []types.ProjectArtifacts, field fieldNames) error {
	if n := len(all) - 1; n > maxSecondary {
		return invalid("Invalid project artifacts: there are %d secondary artifacts; at most %d are allowed", n, maxSecondary)
	}
	seen := map[string]bool{}
	for i, a := range all {
		name := field("artifacts")
		if i > 0 {
			name = field("secondaryArtifacts")
			if err := checkIdentifier(a.ArtifactIdentifier); err != nil {
				return err
			}
			if id := *a.ArtifactIdentifier; seen[id] {
				return invalid("Invalid project artifacts: two secondary artifacts have the identifier %s", id)
			}
			seen[*a.ArtifactIdentifier] = true
		}
		if err := validateArtifact(a, name, i > 0); err != nil {
			return err
		}
	}
	return nil
}

func validateArtifact(a types.ProjectArtifacts, name string, secondary bool) error {
	switch {
	case a.Type == types.ArtifactsTypeCodepipeline:
		return invalid("%s.type CODEPIPELINE is not supported by the local engine, which has no pipelines: use S3 or NO_ARTIFACTS", name)
	case a.Type != types.ArtifactsTypeS3 && aws.ToBool(a.EncryptionDisabled):
		return invalid("Invalid project artifacts: %s.encryptionDisabled needs the type S3", name)
	case a.Type != types.ArtifactsTypeS3 && secondary:
		return invalid("Invalid project artifacts: %s.type must be S3, not %q", name, a.Type)
	case a.Type == types.ArtifactsTypeNoArtifacts:
		return nil // the rest is ignored then, as the API reference says
	case !bucketName().MatchString(aws.ToString(a.Location)):
		return invalid("Invalid project artifacts: %s.location %q is not the name of a bucket: what lies in front of the name of the artifact belongs into path", name, aws.ToString(a.Location))
	case a.BucketOwnerAccess != "" && a.BucketOwnerAccess != types.BucketOwnerAccessNone:
		return invalid("%s.bucketOwnerAccess %s is not supported by the local engine, which has one account", name, a.BucketOwnerAccess)
	case aws.ToString(a.Name) == "/" && a.Packaging == types.ArtifactPackagingZip:
		return invalid("%s.name / with the packaging ZIP is not supported by the local engine: it is not known how CodeBuild names the object then", name)
	}
	for _, err := range []error{
		checkEnum(name+".type", a.Type, types.ArtifactsType("").Values()),
		checkEnum(name+".namespaceType", a.NamespaceType, types.ArtifactNamespace("").Values()),
		checkEnum(name+".packaging", a.Packaging, types.ArtifactPackaging("").Values()),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// ArtifactKey returns the key of an artifact: the object of a ZIP file, or what
// stands in front of the paths of files. It is "" for the root of the bucket.
// prefix stands in front of the id of the build if the artifact has one. name
// is the artifact's name, or "" for the one in its definition, whose default is
// the name of the project. Source: ProjectArtifacts of the API reference, and
// s3-prefix of the buildspec reference.
func ArtifactKey(a types.ProjectArtifacts, build types.Build, prefix, name string) string {
	parts := []string{aws.ToString(a.Path)}
	if a.NamespaceType == types.ArtifactNamespaceBuildId {
		_, uuid, _ := strings.Cut(*build.Id, ":")
		parts = append(parts, prefix, uuid)
	}
	parts = append(parts, cmp.Or(name, aws.ToString(a.Name), *build.ProjectName))
	for i, part := range parts {
		parts[i] = strings.Trim(part, "/")
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "/")
}

// ArtifactARN returns where an artifact is, as BatchGetBuilds reports it.
func ArtifactARN(a types.ProjectArtifacts, key string) string {
	return "arn:aws:s3:::" + *a.Location + "/" + key
}

// announce adds to a build where its artifacts will be.
func (b *storedBuild) announce() {
	b.Build.Artifacts, b.Build.SecondaryArtifacts = &types.BuildArtifacts{Location: aws.String("")}, []types.BuildArtifacts{}
	for i, a := range b.Artifacts {
		if a.Type != types.ArtifactsTypeS3 {
			continue
		}
		announced := types.BuildArtifacts{
			ArtifactIdentifier: a.ArtifactIdentifier, Location: aws.String(ArtifactARN(a, ArtifactKey(a, b.Build, "", ""))),
			EncryptionDisabled: aws.Bool(aws.ToBool(a.EncryptionDisabled)), OverrideArtifactName: aws.Bool(aws.ToBool(a.OverrideArtifactName)),
		}
		if i == 0 {
			b.Build.Artifacts = &announced
		} else {
			b.Build.SecondaryArtifacts = append(b.Build.SecondaryArtifacts, announced)
		}
	}
}

// Artifacts returns the definitions of the build's artifacts, the primary one
// first. It is empty for a build that stores nothing.
func (r *Record) Artifacts() []types.ProjectArtifacts { return r.artifacts }

// Stored sets where an artifact is, given its place in Artifacts. The sums are
// those of a ZIP file in hexadecimal digits, and otherwise "".
func (r *Record) Stored(place int, location, md5, sha256 string) {
	r.change(func(b *types.Build) {
		at := *b.Artifacts
		if place > 0 {
			at = b.SecondaryArtifacts[place-1]
		}
		at.Location = &location
		if sha256 != "" {
			at.Md5sum, at.Sha256sum = &md5, &sha256
		}
		if place == 0 {
			b.Artifacts = &at
			return
		}
		b.SecondaryArtifacts = slices.Clone(b.SecondaryArtifacts)
		b.SecondaryArtifacts[place-1] = at
	})
}
