package secretsmanager

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// TargetPrefix is Secrets Manager's in AWS JSON.
const TargetPrefix = "secretsmanager"

// The staging labels that the service moves by itself.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

// A secret is one as it is kept, by its name.
type secret struct {
	Name        string
	ARN         string
	Description string
	KmsKeyID    string
	Created     time.Time
	Changed     time.Time
	Deleted     time.Time // when its deletion was asked for; zero if it was not
	Gone        time.Time // when it is deleted
	Versions    []version
	Tags        []types.Tag
}

// A version is one value of a secret, with the labels that lead to it.
type version struct {
	ID      string
	Text    *string
	Binary  []byte
	Stages  []string
	Created time.Time
}

// Options are the settings of a Service. All are required.
type Options struct {
	Store  *store.Store
	Clock  clockwork.Clock
	Region string
}

// A Service keeps secrets. It is safe for concurrent use.
type Service struct {
	Options
	secrets *store.Table[secret] // by name
}

// New returns the service whose state is in options.Store.
func New(options Options) (*Service, error) {
	s := &Service{Options: options}
	return s, store.OpenTable(s.Store, "secretsmanager.secrets", &s.secrets)
}

func (s *Service) prefix() string {
	return "arn:aws:secretsmanager:" + s.Region + ":" + iam.AccountID + ":secret:"
}

// newARN ends in six random characters, so that permissions for a secret do not
// hold for a later one of its name.
func (s *Service) newARN(name string) string {
	return s.prefix() + name + "-" + rand.Text()[:6]
}

// find returns the secret of a name, an ARN, or an ARN without its last six
// characters.
func (s *Service) find(id string) (secret, error) {
	name, isARN := strings.CutPrefix(id, s.prefix())
	found, ok, err := s.secrets.Get(name)
	if err == nil && !ok && isARN && len(name) > 7 {
		found, ok, err = s.secrets.Get(name[:len(name)-7])
		ok = ok && found.ARN == id
	}
	if err == nil && (!ok || found.gone(s.Clock.Now())) {
		err = resourceNotFound("Secrets Manager can't find the specified secret.")
	}
	return found, err
}

func (s secret) gone(now time.Time) bool { return !s.Gone.IsZero() && !now.Before(s.Gone) }

// usable fails for a secret that waits for its deletion.
func (s secret) usable() error {
	if s.Deleted.IsZero() {
		return nil
	}
	return invalidRequest("You can't perform this operation on the secret because it was marked for deletion.")
}

// put adds a version, or labels to the one of that id, and moves the labels to
// it.
func (s *secret) put(v version, stages []string) error {
	at := slices.IndexFunc(s.Versions, func(old version) bool { return old.ID == v.ID })
	if at >= 0 && !s.Versions[at].same(v) {
		return resourceExists("A resource with the ID you requested already exists: version %s has another value.", v.ID)
	}
	if at < 0 {
		s.Versions = append(s.Versions, v)
	}
	for _, stage := range stages {
		if former := s.move(stage, v.ID); stage == current && former != "" {
			s.move(previous, former)
		}
	}
	s.Versions = slices.DeleteFunc(s.Versions, func(v version) bool { return len(v.Stages) == 0 })
	return nil
}

func (v version) same(other version) bool {
	return aws.ToString(v.Text) == aws.ToString(other.Text) && slices.Equal(v.Binary, other.Binary)
}

// move gives a label to one version and takes it from the one that had it,
// whose id it returns.
func (s *secret) move(stage, to string) (from string) {
	for i := range s.Versions {
		v := &s.Versions[i]
		had := slices.Contains(v.Stages, stage)
		switch {
		case v.ID == to && !had:
			v.Stages = append(v.Stages, stage)
		case v.ID != to && had:
			from = v.ID
			v.Stages = slices.DeleteFunc(v.Stages, func(s string) bool { return s == stage })
		}
	}
	return from
}
