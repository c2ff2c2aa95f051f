package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// Request says what to build and how to name it. Source and Tags are required;
// the zero value of every other field means the default that its comment names.
// The meanings are those of docker build.
type Request struct {
	// Source holds the Dockerfile and the build context.
	Source Source
	// Tags are the names to push, each repository[:tag]; the stack's own registry
	// before it changes nothing, another is refused. The tag defaults to latest.
	// The first tag's repository is that of Result.ImageURI. All must be
	// repositories the stack allows.
	Tags []string

	// Dockerfile is relative to the context; default Dockerfile. For a [Dir] it
	// may be an absolute path too.
	Dockerfile string
	// Target is the stage to build; default the last one.
	Target string
	// BuildArgs are ARG values. Not for secrets: the image's history shows them.
	BuildArgs map[string]string
	// Secrets are what RUN --mount=type=secret,id=… reads, by id: letters, digits and
	// _ . -. Each is kept in AWS: a secret of Secrets Manager by its name or ARN, and
	// where that is not enough :json-key:version-stage:version-id (by its ARN if its
	// name begins with a slash); or a parameter of Systems Manager by its path, which
	// begins with a slash. The construct's AllowSecret and AllowParameter let builds
	// read them.
	Secrets map[string]string
	// Labels of the image.
	Labels map[string]string
	// Platforms is at most one os/arch[/variant]; default the build machine's. Other
	// names of an architecture (x86_64, aarch64), and one alone, are taken as docker
	// takes them. The machine is an ARM one for linux/arm64, where the stack has an
	// ArmImage.
	Platforms []string

	// Cache says where layers are kept between builds; default
	// [buildspec.CacheRegistry].
	Cache buildspec.CacheMode
	// Pull looks for newer versions of the base images.
	Pull bool
	// NoCache runs every step again.
	NoCache bool

	// Provenance of the image; default none. With any, or with an SBOM, the pushed
	// image is an OCI index with a new digest each time, which AWS Lambda refuses.
	Provenance buildspec.Provenance
	// SBOM attaches a list of the software in the image.
	SBOM bool

	// Size of the build machine; default the project's, which is small unless
	// the stack says otherwise.
	Size Size
	// Timeout bounds the build's run, in whole minutes (rounded up): 5 minutes
	// to 36 hours. Default: the project's.
	Timeout time.Duration
	// QueueTimeout bounds the wait for a machine, in whole minutes (rounded up):
	// 5 minutes to 8 hours. Default: the project's.
	QueueTimeout time.Duration

	// Metadata are the caller's own labels of the build, such as a team or a job,
	// by which [Client.List] finds it again. They are not labels of the image.
	// Everybody who may see the build sees them, so they are not for secrets. All
	// together, form-encoded, they may have 4,096 characters.
	Metadata map[string]string

	// IdempotencyToken makes a repeated Start of the same request, within 5
	// minutes, return the same build; a different request with the token is
	// refused. At most 64 characters. Default: a new one each time.
	IdempotencyToken string
}

// Size is a size of a Linux build machine. What each has and costs is on the
// CodeBuild pricing page.
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

// params puts the request into the contract's terms.
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

// requestID is what the build carries of the idempotency token: the token itself,
// or a hash of one that has other characters.
func (r Request) requestID() string {
	if requestIDForm.MatchString(r.IdempotencyToken) || r.IdempotencyToken == "" {
		return r.IdempotencyToken
	}
	return hashOf(r.IdempotencyToken)
}

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// validate reports everything that is wrong with the request.
func (r Request) validate(stack Stack, source prepared) error {
	p := r.params(source)
	p.GitURL, p.GitRef = source.location, source.ref // whoever downloads it
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

// maxToken is StartBuild's limit, of which its API says so.
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

// minutes is nil for zero: the project's own value.
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
