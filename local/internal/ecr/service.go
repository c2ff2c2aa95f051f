package ecr

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/paging"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// TargetPrefix is ECR's in AWS JSON.
const TargetPrefix = "AmazonEC2ContainerRegistry_V20150921"

// Options are the settings of a Service. All are required.
type Options struct {
	Store  *store.Store
	Clock  clockwork.Clock
	Region string
	Dir    string // folder of the layers' bytes, created if missing
	Host   string // host:port that clients reach the registry at; repository URIs start with it
}

// A Service is the registry. It is safe for concurrent use.
type Service struct {
	Options
	repositories *store.Table[Repository]                       // by name
	templates    *store.Table[types.RepositoryCreationTemplate] // by prefix
	rules        *store.Table[pullThroughRule]                  // by prefix
	images       *store.Table[image]                            // by name@digest
	tags         *store.Table[string]                           // name:tag → digest
	layers       *layerStore
	tokens       tokenSigner

	// writing is held while manifests, tags or repositories change, whose
	// checks and writes span several tables.
	writing sync.Mutex
}

// New returns the service whose state is in options.Store and options.Dir. It
// removes the layers that no image there refers to.
func New(options Options) (*Service, error) {
	s := &Service{Options: options}
	if err := errors.Join(
		store.OpenTable(s.Store, "ecr.repositories", &s.repositories),
		store.OpenTable(s.Store, "ecr.creation-templates", &s.templates),
		store.OpenTable(s.Store, "ecr.pull-through-rules", &s.rules),
		store.OpenTable(s.Store, "ecr.images", &s.images),
		store.OpenTable(s.Store, "ecr.tags", &s.tags),
		s.openTokens(),
	); err != nil {
		return nil, err
	}
	var err error
	if s.layers, err = openLayers(s.Store, s.Dir); err != nil {
		return nil, err
	}
	return s, s.sweep()
}

// sweep frees the disk space of layers that no image refers to. Only at the
// start is that safe without more ado: no push is under way whose manifest is
// yet to come.
func (s *Service) sweep() error {
	images, err := s.images.List("")
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, e := range images {
		m, err := parseManifest(e.Value.MediaType, e.Value.Manifest)
		if err != nil {
			return fmt.Errorf("image %s in the state file: %w", e.Key, err)
		}
		for _, layer := range m.blobs() {
			used[e.Value.Repository+"@"+layer.Digest] = true
		}
	}
	return s.layers.keepOnly(used)
}

// HostOnAWS returns the name that the account's registry has on AWS.
func HostOnAWS(region string) string {
	return iam.AccountID + ".dkr.ecr." + region + ".amazonaws.com"
}

// ARN returns the ARN of the repository called name, whether it exists or not.
func (s *Service) ARN(name string) string { return s.arnIn(iam.AccountID, name) }

func (s *Service) arnIn(registry, name string) string {
	return fmt.Sprintf("arn:aws:ecr:%s:%s:repository/%s", s.Region, registry, name)
}

// maxPage is the number of results in a page unless the caller asks for
// another, as in ECR's API.
const maxPage = 100

// pageOf returns a page of items, as paging.Page does.
func pageOf[T any](items []T, key func(T) string, maxResults *int32, token *string) ([]T, *string, error) {
	size := int(aws.ToInt32(cmp.Or(maxResults, aws.Int32(maxPage))))
	if size < 1 || size > 1000 {
		return nil, nil, invalid("Invalid parameter at 'maxResults': %d is not between 1 and 1000", size)
	}
	page, next, err := paging.Page(items, key, token, size)
	if errors.Is(err, paging.ErrToken) {
		err = invalid("Invalid parameter at 'nextToken': %q is not a token of this service", *token)
	}
	return page, next, err
}

// makeDirs creates folders that only the engine's user may enter.
func makeDirs(parent string, names ...string) error {
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(parent, name), 0o700); err != nil {
			return err
		}
	}
	return nil
}
