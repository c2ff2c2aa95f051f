// Package ecr is the local engine's container registry: Amazon ECR's API and,
// behind ECR's login, a registry that docker, BuildKit and every other client
// of the OCI distribution protocol can push to and pull from.
//
//	service, err := ecr.New(ecr.Options{Store: db, Dir: dir, Host: "127.0.0.1:4510", Region: "us-east-1"})
//	repository, err := service.AddRepository(ecr.Repository{Repository: types.Repository{RepositoryName: aws.String("app")}})
//	token, err := service.GetAuthorizationToken(ctx, nil)   // the caller's, for 12 hours
//	handler := wire.New(wire.Config{Registry: service, …}) // docker push 127.0.0.1:4510/app:1
//	images, err := service.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})
//
// The methods with the SDK's shape are the API's operations. Both sides look at
// one truth, the tables of the state file: repositories, images (manifests),
// tags and layers. A push is in there before it is answered, so that it
// survives the engine's death. The layers' bytes are files named by their
// digest. A layer belongs to the repositories it was pushed to, as on ECR, and
// cannot be read through another.
//
// The distribution protocol is written here rather than taken from
// go-containerregistry's pkg/registry, which keeps manifests in memory only,
// holds a whole layer in memory under one lock while it arrives (2.1 GB for a
// layer of 512 MiB), and reads it all again for each HEAD. That library's
// client is what the tests push and pull with.
//
// Not done: lifecycle policies are kept but never run, images are never scanned
// or replicated. Pull-through rules ask callers for the permissions of such a
// pull, and import nothing.
package ecr

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// Options say where the registry lives. All but Clock are required.
type Options struct {
	Store  *store.Store
	Dir    string // folder of the layers' bytes, created if missing
	Host   string // host:port that clients reach Handler at; repository URIs start with it
	Region string
	Clock  clockwork.Clock // default: the real one
}

// A Service is the registry. It is safe for concurrent use.
type Service struct {
	options      Options
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

// New returns the service whose state is in o.Store and o.Dir, and removes the
// layers that no image there refers to.
func New(o Options) (*Service, error) {
	if o.Clock == nil {
		o.Clock = clockwork.NewRealClock()
	}
	s := &Service{options: o}
	if err := errors.Join(
		open(o.Store, "ecr.repositories", &s.repositories),
		open(o.Store, "ecr.creation-templates", &s.templates),
		open(o.Store, "ecr.pull-through-rules", &s.rules),
		open(o.Store, "ecr.images", &s.images),
		open(o.Store, "ecr.tags", &s.tags),
		s.openTokens(),
	); err != nil {
		return nil, err
	}
	var err error
	if s.layers, err = openLayers(o.Store, o.Dir); err != nil {
		return nil, err
	}
	return s, s.sweep()
}

func open[T any](db *store.Store, name string, table **store.Table[T]) (err error) {
	*table, err = store.NewTable[T](db, name)
	return err
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

// ARN returns the ARN of the repository called name, whether it exists or not.
func (s *Service) ARN(name string) string { return s.arnIn(iam.AccountID, name) }

func (s *Service) arnIn(registry, name string) string {
	return fmt.Sprintf("arn:aws:ecr:%s:%s:repository/%s", s.options.Region, registry, name)
}

// Permissions returns the permissions that an operation's caller needs.
func (s *Service) Permissions(_ context.Context, _ string, input any) []iam.Permission {
	return iam.On(s.resources(input)...)
}

// resources names the repositories that a call of an operation is about, for
// its authorization.
func (s *Service) resources(input any) []string {
	v := reflect.Indirect(reflect.ValueOf(input))
	if v.Kind() != reflect.Struct {
		return []string{"*"}
	}
	var names []string
	if f := v.FieldByName("ResourceArn"); f.IsValid() {
		return []string{aws.ToString(f.Interface().(*string))}
	}
	registry := iam.AccountID
	if f := v.FieldByName("RegistryId"); f.IsValid() && !f.IsNil() {
		registry = *f.Interface().(*string)
	}
	if f := v.FieldByName("RepositoryName"); f.IsValid() {
		names = []string{aws.ToString(f.Interface().(*string))}
	} else if f := v.FieldByName("RepositoryNames"); f.IsValid() {
		names = f.Interface().([]string)
	}
	if len(names) == 0 && registry == iam.AccountID {
		return []string{"*"}
	}
	if len(names) == 0 {
		names = []string{"*"}
	}
	arns := make([]string, len(names))
	for i, name := range names {
		arns[i] = s.arnIn(registry, name)
	}
	return arns
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
