package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// Request describes what to build and how to name it. Source and Tags are
// required. The zero value of every other field is its default. The fields mean
// the same as the flags of docker build.
type Request struct {
	// Source holds the Dockerfile and the build context.
	Source Source
	// Tags are the names to push, each repository[:tag]. The tag defaults to
	// latest. A name may begin with the stack's registry; any other registry is
	// refused. The first name is that of Result.ImageURI. All repositories must
	// be among those that the stack allows.
	Tags []string

	// Dockerfile is the path of the Dockerfile, relative to the context. The
	// default is Dockerfile. For a [Dir] it may be an absolute path.
	Dockerfile string
	// Target is the stage to build. The default is the last one.
	Target string
	// BuildArgs are the values of ARG instructions. They are visible in the
	// image's history, so do not put secrets there.
	BuildArgs map[string]string
	// Secrets maps the ids that RUN --mount=type=secret,id=… reads to where the
	// secrets are kept in AWS. An id has letters, digits and _ . -. A value is
	// the name or ARN of a secret in Secrets Manager, optionally followed by
	// :json-key:version-stage:version-id, or the path of a parameter in Systems
	// Manager, which begins with a slash. A secret whose name begins with a
	// slash is named by its ARN. The construct's AllowSecret and AllowParameter
	// let builds read them.
	Secrets map[string]string
	// Labels are labels of the image.
	Labels map[string]string
	// Platforms has at most one os/arch[/variant]. The default is the platform
	// of the build machine. An architecture alone and other names of one
	// (x86_64, aarch64) are accepted as docker accepts them. linux/arm64 is
	// built on an ARM machine if the stack has an ArmImage.
	Platforms []string

	// Cache determines where layers are kept between builds. The default is
	// [buildspec.CacheRegistry].
	Cache buildspec.CacheMode
	// Pull looks for newer versions of the base images.
	Pull bool
	// NoCache runs every step again.
	NoCache bool

	// Provenance adds a provenance attestation. The default is none. With an
	// attestation, the pushed image is an OCI index that has a new digest in
	// each build, which AWS Lambda refuses.
	Provenance buildspec.Provenance
	// SBOM adds a list of the software in the image as an attestation.
	SBOM bool

	// Size is the size of the build machine. The default is the project's,
	// which is small unless the stack says otherwise.
	Size Size
	// Timeout limits how long the build may run: 5 minutes to 36 hours, rounded
	// up to whole minutes. The default is the project's.
	Timeout time.Duration
	// QueueTimeout limits how long the build may wait for a machine: 5 minutes
	// to 8 hours, rounded up to whole minutes. The default is the project's.
	QueueTimeout time.Duration

	// Metadata are labels that the caller gives the build, such as a team or a
	// job. [Client.List] can select builds by them. They are not labels of the
	// image. Everybody who may see the build sees them, so do not put secrets
	// there. All of them together, form-encoded, may have 4,096 characters.
	Metadata map[string]string

	// IdempotencyToken identifies the request. A repeated Start of the same
	// request with the same token, within 5 minutes, returns the same build. A
	// different request with the token is refused. It has at most 64
	// characters. The default is a new token for each Start.
	IdempotencyToken string
}

// Size is a size of the build machine. CodeBuild's pricing page says what each
// size has and costs.
type Size string

const (
	Small   Size = "small"
	Medium  Size = "medium"
	Large   Size = "large"
	XLarge  Size = "xlarge"
	XXLarge Size = "2xlarge"
)

// computeTypes are CodeBuild's names for the sizes.
var computeTypes = map[Size]string{
	"":      "",
	Small:   "BUILD_GENERAL1_SMALL",
	Medium:  "BUILD_GENERAL1_MEDIUM",
	Large:   "BUILD_GENERAL1_LARGE",
	XLarge:  "BUILD_GENERAL1_XLARGE",
	XXLarge: "BUILD_GENERAL1_2XLARGE",
}

// Bounds of StartBuild's timeouts, from its API reference.
var (
	timeoutBounds      = bounds{5 * time.Minute, 36 * time.Hour}
	queueTimeoutBounds = bounds{5 * time.Minute, 8 * time.Hour}
)

type bounds struct{ min, max time.Duration }

// params converts the request to the contract's parameters.
func (r Request) params(source prepared) buildspec.Params {
	p := buildspec.Params{
		Tags:       r.Tags,
		Context:    source.context,
		Dockerfile: source.dockerfile,
		Target:     r.Target,
		BuildArgs:  r.BuildArgs,
		Secrets:    r.Secrets,
		Labels:     r.Labels,
		Platforms:  r.Platforms,
		Cache:      r.Cache,
		Pull:       r.Pull,
		NoCache:    r.NoCache,
		Provenance: r.Provenance,
		SBOM:       r.SBOM,

		SourceSHA256: source.sha256,
		GitChecksum:  source.checksum,

		RequestID: r.requestID(),
		Metadata:  r.Metadata,
	}
	if source.sourceType == Clone {
		p.GitURL, p.GitRef, p.GitToken = source.location, source.ref, source.token
	}
	return p
}

// requestID returns the idempotency token in the form in which the build
// carries it: the token itself, or its hash if it has other characters.
func (r Request) requestID() string {
	if requestIDForm().MatchString(r.IdempotencyToken) || r.IdempotencyToken == "" {
		return r.IdempotencyToken
	}
	return hashOf(r.IdempotencyToken)
}

var requestIDForm = lazyregexp.New(`^[A-Za-z0-9_-]{1,64}$`)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// validate reports everything that is wrong with the request.
func (r Request) validate(stack Stack, source prepared) error {
	p := r.params(source)
	p.GitURL, p.GitRef = source.location, source.ref // also if CodeBuild downloads it
	problems := errors.Join(
		p.Validate(),
		checkSize(r.Size),
		checkToken(r.IdempotencyToken),
		timeoutBounds.check("timeout", r.Timeout),
		queueTimeoutBounds.check("queue timeout", r.QueueTimeout),
	)
	if problems != nil {
		return fmt.Errorf("%w: %w", ErrInvalidRequest, problems)
	}
	return stack.allows(r.Tags)
}

// maxToken is the limit of StartBuild, from its API reference.
const maxToken = 64

func checkToken(token string) error {
	if n := len(token); n > maxToken {
		return fmt.Errorf("idempotency token of %d characters: it may have at most %d: use a hash of it", n, maxToken)
	}
	return nil
}

func checkSize(size Size) error {
	if _, ok := computeTypes[size]; ok {
		return nil
	}
	return fmt.Errorf("size %q: use one of %v", size, []Size{Small, Medium, Large, XLarge, XXLarge})
}

func (b bounds) check(name string, value time.Duration) error {
	if value == 0 || b.min <= value && value <= b.max {
		return nil
	}
	return fmt.Errorf("%s %v: it must be between %v and %v", name, value, b.min, b.max)
}

// minutes returns nil for zero, which leaves the project's own value.
func minutes(d time.Duration) *int32 {
	if d == 0 {
		return nil
	}
	whole := int32(math.Ceil(d.Minutes()))
	return &whole
}

// repositoryOf returns a tag's repository.
func repositoryOf(tag string) string {
	repository, _, _ := strings.Cut(tag, ":")
	return repository
}
