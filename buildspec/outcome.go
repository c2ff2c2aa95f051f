package buildspec

import (
	"fmt"
	"strings"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// These are the names of the variables that a build exports.
const (
	varContract     = "CONTRACT"
	varImageURI     = "IMAGE_URI"
	varImageDigest  = "IMAGE_DIGEST"
	varSourceCommit = "SOURCE_COMMIT"
)

// Outcome is what a successful build reports about its image.
type Outcome struct {
	ImageURI     string // registry/repository@sha256:…, which names exactly this image
	ImageDigest  string // sha256:… of the image's manifest, or of its index
	SourceCommit string // the commit that was built; empty if the source is not a repository
	Contract     string // the [Version] with which the build ran
}

var digestForm = lazyregexp.New(`^sha256:[0-9a-f]{64}$`)

// ParseOutcome parses the variables that a build exported. It returns an error
// if they do not name an image, because such a build has failed whatever its
// status is.
func ParseOutcome(exported map[string]string) (Outcome, error) {
	o := Outcome{
		ImageURI:     exported[varImageURI],
		ImageDigest:  exported[varImageDigest],
		SourceCommit: exported[varSourceCommit],
		Contract:     exported[varContract],
	}
	if !digestForm().MatchString(o.ImageDigest) || !strings.HasSuffix(o.ImageURI, "@"+o.ImageDigest) {
		return Outcome{}, fmt.Errorf("the build exported no image: %s=%q %s=%q: does its project run flexbuild's buildspec?",
			varImageURI, clip(o.ImageURI), varImageDigest, clip(o.ImageDigest))
	}
	return o, nil
}

// Exported returns the variables that a build with this outcome exports.
func (o Outcome) Exported() map[string]string {
	return map[string]string{
		varImageURI:     o.ImageURI,
		varImageDigest:  o.ImageDigest,
		varSourceCommit: o.SourceCommit,
		varContract:     o.Contract,
	}
}

// These are the exit statuses of the build's script, after sysexits.h.
const (
	ExitParameter = 64 // a variable's value is wrong
	ExitSource    = 66 // the source, its ref, the context or the Dockerfile does not exist
	ExitRegistry  = 69 // the registry refuses the login or cannot take the tags, or there is no builder
	ExitNoDigest  = 70 // the image was built, and its digest is not known
	ExitScript    = 71 // a command of the script itself failed, such as on a full disk
)

// exitBuild is the exit status of docker buildx: the Dockerfile, a step or the
// push failed.
const exitBuild = 1

// These are bash's exit statuses for a command that cannot be run.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// ExitReason returns the meaning of an exit status of the build's script.
// CodeBuild reports the status, so it is known without the log.
func ExitReason(status int) string {
	switch status {
	case ExitParameter:
		return "a build parameter is not valid"
	case ExitSource:
		return "the source cannot be had, or lacks the ref, context or Dockerfile that was asked for"
	case ExitRegistry:
		return "the registry refused the login or does not take the tags, or there is no builder for the build"
	case ExitNoDigest:
		return "the builder reported no image digest"
	case ExitScript:
		return "a command of the build's script failed: the log says which"
	case exitBuild:
		return "docker buildx build failed"
	case exitNotExecutable, exitNotFound:
		return fmt.Sprintf("the build's script could not be run (exit status %d): the build's image lacks bash or docker, or the log says what", status)
	}
	return fmt.Sprintf("the build's script ended with exit status %d", status)
}
