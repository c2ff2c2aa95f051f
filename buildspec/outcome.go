package buildspec

import (
	"fmt"
	"regexp"
	"strings"
)

// Names of the variables that a build exports.
const (
	varContract     = "CONTRACT"
	varImageURI     = "IMAGE_URI"
	varImageDigest  = "IMAGE_DIGEST"
	varSourceCommit = "SOURCE_COMMIT"
)

// Outcome is what a build that succeeded says about its image.
type Outcome struct {
	ImageURI     string // registry/repository@sha256:…, which always means this very image
	ImageDigest  string // sha256:… of the image's manifest, or of its index
	SourceCommit string // the commit that was built; empty where the source is not git
	Contract     string // the [Version] the build ran with
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ParseOutcome reads the variables that a build exported. It fails when they
// do not name an image: such a build has not done its job, whatever its status.
func ParseOutcome(exported map[string]string) (Outcome, error) {
	o := Outcome{
		ImageURI:     exported[varImageURI],
		ImageDigest:  exported[varImageDigest],
		SourceCommit: exported[varSourceCommit],
		Contract:     exported[varContract],
	}
	if !digestForm.MatchString(o.ImageDigest) || !strings.HasSuffix(o.ImageURI, "@"+o.ImageDigest) {
		return Outcome{}, fmt.Errorf("the build exported no image: %s=%q %s=%q: does its project run flexbuild's buildspec?",
			varImageURI, clip(o.ImageURI), varImageDigest, clip(o.ImageDigest))
	}
	return o, nil
}

// Exit statuses of the build's script, after sysexits.h.
const (
	ExitParameter = 64 // a variable's value is wrong
	ExitSource    = 66 // the source, its ref, the context or the Dockerfile is not there
	ExitRegistry  = 69 // the registry refuses the login or cannot take the tags, or there is no builder
	ExitNoDigest  = 70 // the image was built, but its digest is not known
	ExitScript    = 71 // the script itself failed at a command, such as on a full disk
)

// exitBuild is docker buildx's own: the Dockerfile, a step of it or the push failed.
const exitBuild = 1

// Bash's own, for a command that cannot be run.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

// ExitReason says in words what an exit status of the build's script means. The
// status is known from the build itself, without its log.
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
