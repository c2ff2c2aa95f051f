package ecr

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

// A bench is a registry that serves real HTTP, with a clock to turn.
type bench struct {
	t     *testing.T
	dir   string
	db    *store.Store
	clock *clockwork.FakeClock
	iam   *iam.Service
	ecr   *Service
	host  string
	http  *httptest.Server
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), clock: clockwork.NewFakeClock()}
	b.start()
	t.Cleanup(b.stop)
	return b
}

// start opens the state of b.dir, as the engine does when it starts.
func (b *bench) start() {
	b.t.Helper()
	var handler http.Handler
	b.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	b.host = strings.TrimPrefix(b.http.URL, "http://")
	db, err := store.Open(filepath.Join(b.dir, "state.db"))
	b.check(err)
	b.db = db
	b.iam, err = iam.New(iam.Options{Store: db, Clock: b.clock})
	b.check(err)
	b.ecr, err = New(Options{Store: db, Dir: filepath.Join(b.dir, "registry"), Host: b.host, Region: "us-east-1", Clock: b.clock})
	b.check(err)
	handler = wire.New(wire.Config{Region: "us-east-1", IAM: b.iam, Clock: b.clock, Registry: b.ecr})
}

func (b *bench) stop() {
	b.http.Close()
	b.db.Close()
}

func (b *bench) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) repository(name string, change ...func(*Repository)) {
	b.t.Helper()
	r := Repository{Repository: types.Repository{RepositoryName: &name}}
	for _, f := range change {
		f(&r)
	}
	_, err := b.ecr.AddRepository(r)
	b.check(err)
}

func root() context.Context { return iam.WithPrincipal(context.Background(), iam.Root()) }

// role returns the context of a role's session whose only policy has the given
// statement.
func (b *bench) role(actions []string, resources ...string) context.Context {
	b.t.Helper()
	statement, _ := json.Marshal(map[string]any{"Statement": map[string]any{"Effect": "Allow", "Action": actions, "Resource": resources}})
	trust := `{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"codebuild.amazonaws.com"}}}`
	b.check(b.iam.PutRole(iam.Role{Name: "build", TrustPolicy: json.RawMessage(trust)}))
	b.check(b.iam.PutRolePolicy("build", "all", statement))
	return iam.WithPrincipal(context.Background(), iam.Principal{ARN: "arn:aws:sts::000000000000:assumed-role/build/s", AccountID: iam.AccountID, RoleName: "build", Session: "s"})
}

// login returns what the AWS CLI's get-login-password gives to docker login.
func (b *bench) login(ctx context.Context) authn.Authenticator {
	b.t.Helper()
	out, err := b.ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	b.check(err)
	text, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	b.check(err)
	user, password, _ := strings.Cut(string(text), ":")
	return &authn.Basic{Username: user, Password: password}
}

func (b *bench) push(auth authn.Authenticator, reference string, img v1.Image) error {
	b.t.Helper()
	ref, err := name.ParseReference(b.host + "/" + reference)
	b.check(err)
	return remote.Write(ref, img, remote.WithAuth(auth), remote.WithRetryStatusCodes())
}

func (b *bench) pull(auth authn.Authenticator, reference string) (v1.Image, error) {
	b.t.Helper()
	ref, err := name.ParseReference(b.host + "/" + reference)
	b.check(err)
	return remote.Image(ref, remote.WithAuth(auth))
}

func randomImage(t *testing.T) (v1.Image, string) {
	t.Helper()
	img, err := random.Image(5000, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return img, digest.String()
}

// refused checks the status and the protocol's code and message of a registry's
// refusal.
func refused(t *testing.T, err error, status int, code, message string) {
	t.Helper()
	var te *transport.Error
	if !errors.As(err, &te) {
		t.Fatalf("error is %v, want a registry's refusal %d %s", err, status, code)
	}
	if te.StatusCode != status || len(te.Errors) != 1 || string(te.Errors[0].Code) != code || !strings.Contains(te.Errors[0].Message, message) {
		t.Errorf("refused with %d %v, want %d %s %q", te.StatusCode, te.Errors, status, code, message)
	}
}

func TestPushedImageIsInTheAPIAndCanBePulled(t *testing.T) {
	b := newBench(t)
	b.repository("team/app")
	auth := b.login(root())
	img, digest := randomImage(t)
	b.check(b.push(auth, "team/app:1", img))

	out, err := b.ecr.DescribeImages(root(), &ecr.DescribeImagesInput{RepositoryName: aws.String("team/app")})
	b.check(err)
	if len(out.ImageDetails) != 1 {
		t.Fatalf("%d images, want 1", len(out.ImageDetails))
	}
	d := out.ImageDetails[0]
	if *d.ImageDigest != digest || fmt.Sprint(d.ImageTags) != "[1]" || *d.ImageSizeInBytes < 10000 || !d.ImagePushedAt.Equal(b.clock.Now().Truncate(1e6)) {
		t.Errorf("described as %s %v, %d bytes, pushed %v", *d.ImageDigest, d.ImageTags, *d.ImageSizeInBytes, d.ImagePushedAt)
	}
	pulled, err := b.pull(auth, "team/app@"+digest)
	b.check(err)
	for i, layer := range must(pulled.Layers()) {
		if _, err := layer.Uncompressed(); err != nil {
			t.Errorf("layer %d: %v", i, err)
		}
	}
	manifest, err := b.ecr.BatchGetImage(root(), &ecr.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("1")}, {ImageTag: aws.String("2")}}})
	b.check(err)
	if len(manifest.Images) != 1 || *manifest.Images[0].ImageManifest != string(must(img.RawManifest())) {
		t.Errorf("BatchGetImage returns another manifest than was pushed")
	}
	if len(manifest.Failures) != 1 || manifest.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound {
		t.Errorf("failures %v, want one ImageNotFound", manifest.Failures)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestStateSurvivesARestart(t *testing.T) {
	b := newBench(t)
	b.repository("app", func(r *Repository) {
		r.LifecyclePolicyText = expirePushed
		r.ImageTagMutability = types.ImageTagMutabilityImmutable
	})
	auth := b.login(root())
	img, digest := randomImage(t)
	b.check(b.push(auth, "app:1", img))
	_, err := b.ecr.layers.begin("app") // an upload that will never end
	b.check(err)

	b.stop()
	b.start()

	if _, err := b.pull(auth, "app:1"); err != nil { // the login too survives
		t.Errorf("pull after a restart: %v", err)
	}
	r, err := b.ecr.Repository("app")
	b.check(err)
	if r.LifecyclePolicyText != expirePushed || *r.RepositoryUri != b.host+"/app" {
		t.Errorf("repository after a restart: %q at %s", r.LifecyclePolicyText, *r.RepositoryUri)
	}
	if files := must(filepath.Glob(filepath.Join(b.dir, "registry", "uploads", "*"))); len(files) > 0 {
		t.Errorf("unfinished uploads stay: %v", files)
	}
	other, _ := randomImage(t)
	refused(t, b.push(auth, "app:1", other), 400, "TAG_INVALID", "cannot be overwritten")

	_, err = b.ecr.BatchDeleteImage(root(), &ecr.BatchDeleteImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageDigest: &digest}}})
	b.check(err)
	b.stop()
	b.start()
	if files := must(filepath.Glob(filepath.Join(b.dir, "registry", "sha256", "*"))); len(files) > 0 {
		t.Errorf("%d layers stay that no image refers to", len(files))
	}
}
