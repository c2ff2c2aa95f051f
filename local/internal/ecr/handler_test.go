package ecr

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	gcrtypes "github.com/google/go-containerregistry/pkg/v1/types"
)

var pushActions = []string{
	"ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage",
	"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage",
}

func TestLoginIsRequired(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	resp, err := http.Get(b.http.URL + "/v2/")
	b.check(err)
	resp.Body.Close()
	if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), `Basic realm="http://`) {
		t.Errorf("without a login: %s, %q", resp.Status, resp.Header.Get("WWW-Authenticate"))
	}
	if resp, body := b.do(&authn.Basic{Username: "AWS", Password: "guess"}, "GET", "/v2/", ""); resp.StatusCode != 400 || !strings.Contains(body, "Authorization Token is invalid") {
		t.Errorf("with a wrong password: %s %s", resp.Status, body)
	}
	auth := b.login(root())
	if resp, _ := b.do(auth, "GET", "/v2/", ""); resp.StatusCode != 200 {
		t.Errorf("with a login: %s", resp.Status)
	}
	b.clock.Advance(12*time.Hour + time.Second)
	if resp, body := b.do(auth, "GET", "/v2/", ""); resp.StatusCode != 403 || !strings.Contains(body, "expired") {
		t.Errorf("after 12 hours: %s %s", resp.Status, body)
	}
}

func TestLoginActsAsItsPrincipal(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	b.repository("other")
	img, _ := randomImage(t)
	auth := b.login(b.role(pushActions, b.ecr.ARN("app")))
	b.check(b.push(auth, "app:1", img))
	_, body := b.do(auth, "POST", "/v2/other/blobs/uploads/", "")
	if want := "User: arn:aws:sts::000000000000:assumed-role/build/s is not authorized to perform: ecr:InitiateLayerUpload on resource: arn:aws:ecr:us-east-1:000000000000:repository/other"; !strings.Contains(body, want) {
		t.Errorf("push elsewhere: %s, want %s", body, want)
	}

	reader := b.login(b.role([]string{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}, b.ecr.ARN("app")))
	if _, err := b.pull(reader, "app:1"); err != nil {
		t.Errorf("pull with permission to: %v", err)
	}
	if resp, body := b.do(reader, "POST", "/v2/app/blobs/uploads/", ""); resp.StatusCode != 403 || !strings.Contains(body, "DENIED") {
		t.Errorf("push as a reader: %s %s", resp.Status, body)
	}
}

func TestRepositoryMustExist(t *testing.T) {
	b := newBench(t)
	img, _ := randomImage(t)
	refused(t, b.push(b.login(root()), "nothing:1", img), 404, "NAME_UNKNOWN", "The repository with name 'nothing' does not exist in the registry with id '000000000000'")
}

func TestMissingImage(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	_, err := b.pull(b.login(root()), "app:1")
	refused(t, err, 404, "MANIFEST_UNKNOWN", "Requested image not found")
}

func TestPushCreatesRepositoryFromTemplate(t *testing.T) {
	b := newBench(t)
	b.check(b.ecr.PutRepositoryCreationTemplate(types.RepositoryCreationTemplate{
		Prefix: aws.String("team/"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush}, ImageTagMutability: types.ImageTagMutabilityImmutable,
	}))
	img, _ := randomImage(t)
	refused(t, b.push(b.login(b.role(pushActions, b.ecr.ARN("team/*"))), "team/a/b:1", img), 403, "DENIED", "ecr:CreateRepository")
	auth := b.login(b.role(append([]string{"ecr:CreateRepository"}, pushActions...), b.ecr.ARN("team/*"), b.ecr.ARN("elsewhere")))
	b.check(b.push(auth, "team/a/b:1", img))
	r, err := b.ecr.Repository("team/a/b")
	b.check(err)
	if r.ImageTagMutability != types.ImageTagMutabilityImmutable {
		t.Errorf("created with tags %s, want the template's", r.ImageTagMutability)
	}
	refused(t, b.push(auth, "elsewhere:1", img), 404, "NAME_UNKNOWN", "elsewhere")
}

func TestImmutableTags(t *testing.T) {
	b := newBench(t)
	b.repository("fixed", func(r *Repository) { r.ImageTagMutability = types.ImageTagMutabilityImmutable })
	b.repository("mostly", func(r *Repository) {
		r.ImageTagMutability = types.ImageTagMutabilityImmutableWithExclusion
		r.ImageTagMutabilityExclusionFilters = []types.ImageTagMutabilityExclusionFilter{{Filter: aws.String("latest*"), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard}}
	})
	auth := b.login(root())
	first, _ := randomImage(t)
	second, _ := randomImage(t)
	for _, tag := range []string{"fixed:1", "mostly:1", "mostly:latest-main"} {
		b.check(b.push(auth, tag, first))
	}
	refused(t, b.push(auth, "fixed:1", second), 400, "TAG_INVALID", "The image tag '1' already exists in the 'fixed' repository and cannot be overwritten because the tag is immutable.")
	refused(t, b.push(auth, "mostly:1", second), 400, "TAG_INVALID", "immutable")
	b.check(b.push(auth, "mostly:latest-main", second))
}

func TestTwoPushesOfOneTagKeepBothImages(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := b.login(root())
	var pushes sync.WaitGroup
	var digests []string
	for range 8 {
		img, digest := randomImage(t)
		digests = append(digests, digest)
		pushes.Go(func() {
			if err := b.push(auth, "app:1", img); err != nil {
				t.Error(err)
			}
		})
	}
	pushes.Wait()
	for _, digest := range digests {
		if _, err := b.pull(auth, "app@"+digest); err != nil {
			t.Errorf("pull %s: %v", digest, err)
		}
	}
	out, err := b.ecr.DescribeImages(root(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("1")}}})
	b.check(err)
	if !slices.Contains(digests, *out.ImageDetails[0].ImageDigest) {
		t.Errorf("the tag is on %s, which nobody pushed", *out.ImageDetails[0].ImageDigest)
	}
}

func TestIndexAndReferrers(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := remote.WithAuth(b.login(root()))
	index, err := random.Index(1000, 1, 2)
	b.check(err)
	ref, err := name.ParseReference(b.host + "/app:multi")
	b.check(err)
	b.check(remote.WriteIndex(ref, index, auth))
	subject, err := remote.Head(ref, auth)
	b.check(err)
	signature := mutate.Subject(mutate.MediaType(empty.Image, gcrtypes.OCIManifestSchema1), *subject)
	digest, err := signature.(v1.Image).Digest()
	b.check(err)
	b.check(remote.Write(ref.Context().Digest(digest.String()), signature.(v1.Image), auth))
	found, err := remote.Referrers(ref.Context().Digest(subject.Digest.String()), auth)
	b.check(err)
	if m, err := found.IndexManifest(); err != nil || len(m.Manifests) != 1 || m.Manifests[0].Digest != digest {
		t.Errorf("referrers %v, %v; want %s", m, err, digest)
	}
	tags, err := remote.List(ref.Context(), auth)
	b.check(err)
	if !slices.Equal(tags, []string{"multi"}) {
		t.Errorf("tags %v", tags)
	}
}

func TestManifestNeedsItsLayers(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	b.repository("other")
	auth := b.login(root())
	img, digest := randomImage(t)
	b.check(b.push(auth, "other:1", img)) // in another repository, the layers do not count
	ref, err := name.ParseReference(b.host + "/app:1")
	b.check(err)
	err = remote.Put(ref, img, remote.WithAuth(auth))
	refused(t, err, 400, "MANIFEST_BLOB_UNKNOWN", "do not exist")
	if _, err := b.ecr.DescribeImages(root(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageDigest: &digest}}}); !errors.As(err, new(*types.ImageNotFoundException)) {
		t.Errorf("a refused image is described: %v", err)
	}
}

// do sends one request of the distribution protocol and returns the answer
// without its body, and the body.
func (b *bench) do(auth authn.Authenticator, method, url, body string, header ...string) (*http.Response, string) {
	b.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = b.http.URL + url
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	b.check(err)
	login := must(auth.Authorization())
	req.SetBasicAuth(login.Username, login.Password)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	b.check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	b.check(err)
	return resp, string(text)
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(h[:])
}

func TestUploadInParts(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := b.login(root())
	resp, _ := b.do(auth, "POST", "/v2/app/blobs/uploads/?mount="+sum("x")+"&from=other", "")
	at := resp.Header.Get("Location")
	if resp.StatusCode != 202 || at == "" {
		t.Fatalf("POST with a mount: %s, Location %q", resp.Status, at)
	}
	steps := []struct {
		method, contentRange, body string
		status                     int
		received                   string
	}{
		{"PATCH", "0-4", "hello", 202, "0-4"},
		{"PATCH", "0-4", "hello", 416, ""},
		{"GET", "", "", 204, "0-4"},
		{"PATCH", "5-9", ", wor", 202, "0-9"},
	}
	for _, s := range steps {
		resp, body := b.do(auth, s.method, at, s.body, "Content-Range", s.contentRange)
		if resp.StatusCode != s.status || resp.Header.Get("Range") != s.received {
			t.Errorf("%s %q: %s, range %q, want %d %q: %s", s.method, s.contentRange, resp.Status, resp.Header.Get("Range"), s.status, s.received, body)
		}
	}
	if resp, body := b.do(auth, "PUT", at+"?digest="+sum("hello, world"), "ld"); resp.StatusCode != 201 {
		t.Fatalf("PUT: %s %s", resp.Status, body)
	}
	blob := "/v2/app/blobs/" + sum("hello, world")
	for header, want := range map[string]string{"": "hello, world", "bytes=7-11": "world", "bytes=7-": "world"} {
		if _, body := b.do(auth, "GET", blob, "", "Range", header); body != want {
			t.Errorf("GET with Range %q: %q, want %q", header, body, want)
		}
	}
	if resp, _ := b.do(auth, "HEAD", blob, ""); resp.StatusCode != 200 || resp.ContentLength != 12 {
		t.Errorf("HEAD: %s, %d bytes", resp.Status, resp.ContentLength)
	}
}

func TestUploadInOneRequest(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := b.login(root())
	if resp, body := b.do(auth, "POST", "/v2/app/blobs/uploads/?digest="+sum("hello"), "hello"); resp.StatusCode != 201 {
		t.Errorf("POST: %s %s", resp.Status, body)
	}
	if _, body := b.do(auth, "GET", "/v2/app/blobs/"+sum("hello"), ""); body != "hello" {
		t.Errorf("GET: %s", body)
	}
	if resp, body := b.do(auth, "POST", "/v2/app/blobs/uploads/?digest="+sum("hello"), "bye"); resp.StatusCode != 400 || !strings.Contains(body, "DIGEST_INVALID") {
		t.Errorf("POST of something else: %s %s", resp.Status, body)
	}
}

func TestUploadWithAnotherDigest(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := b.login(root())
	resp, _ := b.do(auth, "POST", "/v2/app/blobs/uploads/", "")
	resp, body := b.do(auth, "PUT", resp.Header.Get("Location")+"?digest="+sum("expected"), "sent")
	if resp.StatusCode != 400 || !strings.Contains(body, "DIGEST_INVALID") {
		t.Errorf("%s %s", resp.Status, body)
	}
	if resp, _ := b.do(auth, "HEAD", "/v2/app/blobs/"+sum("expected"), ""); resp.StatusCode != 404 {
		t.Errorf("HEAD of the refused layer: %s", resp.Status)
	}
}

func TestRefusedRequests(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := b.login(root())
	cases := []struct {
		method, path, body, contentType string
		status                          int
		says                            string
	}{
		{"DELETE", "/v2/app/manifests/1", "", "", 404, "MANIFEST_UNKNOWN"},
		{"DELETE", "/v2/app/manifests/" + sum("x"), "", "", 404, "MANIFEST_UNKNOWN"},
		{"DELETE", "/v2/app/blobs/" + sum("x"), "", "", 405, "does not support DELETE"},
		{"GET", "/v2/app/tags/list?n=1001", "", "", 405, "'Member must have value less than or equal to 1000'"},
		{"GET", "/v2/_catalog?n=1001", "", "", 405, "'Member must have value less than or equal to 1000'"},
		{"POST", "/v2/_catalog", "", "", 404, "UNSUPPORTED"},
		{"PUT", "/v2/app/manifests/1", "{}", "text/plain", 400, "text/plain"},
		{"PUT", "/v2/app/manifests/1", "{", string(gcrtypes.OCIManifestSchema1), 400, "JSON"},
		{"PUT", "/v2/app/manifests/-bad", `{"schemaVersion":2,"config":{"digest":"` + sum("") + `"}}`, string(gcrtypes.OCIManifestSchema1), 400, "-bad"},
		{"PUT", "/v2/app/manifests/" + sum("x"), `{"schemaVersion":2,"config":{"digest":"` + sum("") + `"}}`, string(gcrtypes.OCIManifestSchema1), 400, "DIGEST_INVALID"},
		{"PUT", "/v2/app/manifests/1", `{"schemaVersion":2,"manifests":[{"mediaType":"` + string(gcrtypes.OCILayer) + `","digest":"d"}]}`, string(gcrtypes.OCIImageIndex), 400, "image-manifest=true"},
		{"PATCH", "/v2/app/blobs/uploads/unknown", "x", "", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"GET", "/v2/app/blobs/../../x", "", "", 404, "UNSUPPORTED"},
		{"GET", "/v2/app/blobs/sha256:..%2f..%2fstate.db", "", "", 404, "UNSUPPORTED"},
	}
	for _, c := range cases {
		resp, body := b.do(auth, c.method, c.path, c.body, "Content-Type", c.contentType)
		if resp.StatusCode != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %s %s, want %d with %q", c.method, c.path, resp.Status, body, c.status, c.says)
		}
	}
}

func TestManifestsAreDeletedByTagAndByDigest(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := b.login(root())
	img, digest := randomImage(t)
	other, otherDigest := randomImage(t)
	for _, ref := range []string{"app:1", "app:2"} {
		b.check(b.push(auth, ref, img))
	}
	b.check(b.push(auth, "app:3", other))
	remove := func(reference string) error {
		ref, err := name.ParseReference(b.host+"/"+reference, name.Insecure)
		b.check(err)
		return remote.Delete(ref, remote.WithAuth(auth))
	}
	left := func(want ...string) {
		t.Helper()
		out, err := b.ecr.ListImages(root(), &ecr.ListImagesInput{RepositoryName: aws.String("app")})
		b.check(err)
		got := []string{}
		for _, id := range out.ImageIds {
			got = append(got, *id.ImageDigest+" "+aws.ToString(id.ImageTag))
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("left are %q, want %q", got, want)
		}
	}
	b.check(remove("app:1"))
	left(digest+" 2", otherDigest+" 3")
	b.check(remove("app:2")) // the image goes with its last tag
	left(otherDigest + " 3")
	b.check(remove("app@" + otherDigest))
	left()

	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})
	ref, err := name.ParseReference(b.host+"/app:index", name.Insecure)
	b.check(err)
	b.check(remote.WriteIndex(ref, index, remote.WithAuth(auth)))
	refused(t, remove("app@"+digest), 400, "DENIED", "Requested image referenced by manifest list")
	b.check(remove("app:index"))
	b.check(remove("app@" + digest))
	left()

	pusher := b.login(b.role(pushActions, b.ecr.ARN("app")))
	b.check(b.push(pusher, "app:1", img))
	if resp, body := b.do(pusher, "DELETE", "/v2/app/manifests/1", ""); resp.StatusCode != 403 || !strings.Contains(body, "ecr:BatchDeleteImage on resource") {
		t.Errorf("deleted by one who may push: %s %s", resp.Status, body)
	}
}

func TestTheCatalogListsRepositoriesByPages(t *testing.T) {
	b := newBench(t)
	want := []string{"a/b", "app", "zz"}
	for _, name := range want {
		b.repository(name)
	}
	auth := b.login(root())
	registry, err := name.NewRegistry(b.host, name.Insecure)
	b.check(err)
	got, err := remote.Catalog(t.Context(), registry, remote.WithAuth(auth), remote.WithPageSize(2))
	b.check(err)
	if !slices.Equal(got, want) {
		t.Errorf("the catalog is %q, want %q", got, want)
	}
	resp, body := b.do(auth, "GET", "/v2/_catalog?n=2", "")
	if link := resp.Header.Get("Link"); link != `</v2/_catalog?last=app&n=2>; rel="next"` || !strings.Contains(body, `["a/b","app"]`) {
		t.Errorf("the first page is %s and links to %s", body, link)
	}
	if resp, body := b.do(b.login(b.role(pushActions, "*")), "GET", "/v2/_catalog", ""); resp.StatusCode != 403 || !strings.Contains(body, "ecr:DescribeRepositories") {
		t.Errorf("the catalog for one who may push: %s %s", resp.Status, body)
	}
}
