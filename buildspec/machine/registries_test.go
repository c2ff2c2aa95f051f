package machine

import (
	"cmp"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// The hosts that machines know.
const (
	ecr            = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	ecrPublic      = "public.ecr.aws"
	mirror         = "mirror.gcr.io"
	dockerHub      = "registry-1.docker.io"
	dockerHubLogin = "auth.docker.io"
)

const (
	ecrPassword       = "password-of-ecr"
	ecrPublicPassword = "password-of-ecr-public"
)

var hosts = []string{ecr, ecrPublic, mirror, dockerHub, dockerHubLogin}

// registryServer is a registry: what it holds, and what guards it from clients.
type registryServer struct{ images, guarded http.Handler }

// newOutside makes the registries, without images.
func newOutside() *outside {
	o := &outside{registries: map[string]*registryServer{}, asked: map[string]bool{}, failures: map[string]failure{}}
	guards := map[string]func(http.Handler) http.Handler{
		ecr: basicAuth, ecrPublic: o.bearerAuth, dockerHub: tooManyRequests, dockerHubLogin: tooManyRequests,
	}
	for _, host := range hosts {
		images := perRepository(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		o.registries[host] = &registryServer{images, images}
		if guard := guards[host]; guard != nil {
			o.registries[host].guarded = guard(images)
		}
	}
	return o
}

var (
	blobPath   = regexp.MustCompile(`^/v2/(.+)/blobs/(sha256:[0-9a-f]{64})$`)
	uploadPath = regexp.MustCompile(`^/v2/(.+)/blobs/uploads/`)
)

// perRepository has a registry keep blobs for each repository, as ECR does: a
// blob that one repository has is pushed to another one in full.
func perRepository(images http.Handler) http.Handler {
	var pushed sync.Map // by repository and digest
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if blob := blobPath.FindStringSubmatch(r.URL.Path); blob != nil {
			if _, ok := pushed.Load(blob[1] + "@" + blob[2]); !ok {
				http.Error(w, `{"errors":[{"code":"BLOB_UNKNOWN","message":"Unknown blob"}]}`, http.StatusNotFound)
				return
			}
		} else if upload := uploadPath.FindStringSubmatch(r.URL.Path); upload != nil {
			if digest := query.Get("digest"); digest != "" {
				pushed.Store(upload[1]+"@"+digest, true)
			}
			query.Del("mount")
			query.Del("from")
			r.URL.RawQuery = query.Encode()
		}
		images.ServeHTTP(w, r)
	})
}

func (o *outside) serveRegistries(w http.ResponseWriter, r *http.Request) {
	o.record(r.Host)
	if to, ok := o.registries[r.Host]; ok {
		to.guarded.ServeHTTP(w, r)
		return
	}
	http.Error(w, "no such registry", http.StatusMisdirectedRequest)
}

// tooManyRequests answers as Docker Hub does to an address over its limit.
func tooManyRequests(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		io.WriteString(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"}]}`)
	})
}

// basicAuth guards as ECR does.
func basicAuth(images http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "AWS" || password != ecrPassword {
			refuse(w, `Basic realm="https://`+ecr+`/",service="ecr.amazonaws.com"`)
			return
		}
		images.ServeHTTP(w, r)
	})
}

// bearerAuth guards as ECR Public does: everybody may pull, with a token.
func (o *outside) bearerAuth(images http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token/" {
			if r.Method != http.MethodGet { // OAuth 2, which clients try first
				http.Error(w, "get a token", http.StatusMethodNotAllowed)
				return
			}
			user, password, given := r.BasicAuth()
			if given && (user != "AWS" || password != ecrPublicPassword) {
				http.Error(w, "wrong password", http.StatusForbidden)
				return
			}
			fmt.Fprintf(w, `{"token": "token-of-%s"}`, user)
			return
		}
		user, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer token-of-")
		if !ok {
			refuse(w, `Bearer realm="https://`+ecrPublic+`/token/",service="`+ecrPublic+`",scope="aws"`)
			return
		}
		o.record(r.Host + " as " + cmp.Or(user, "nobody"))
		images.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, challenge string) {
	w.Header().Set("Www-Authenticate", challenge)
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"Not Authorized"}]}`, http.StatusUnauthorized)
}

// reference returns a server of a registry without its guard, and image's name
// in it.
func (o *outside) reference(t testing.TB, host, image string) name.Reference {
	t.Helper()
	server := httptest.NewServer(o.registries[host].images)
	t.Cleanup(server.Close)
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/" + image)
	must(t, err)
	return ref
}

// publish puts an image into a registry.
func (o *outside) publish(t testing.TB, host, name string, image v1.Image) {
	t.Helper()
	must(t, remote.Write(o.reference(t, host, name), image))
}

// published returns what a registry has under a name.
func (o *outside) published(t testing.TB, host, name string) *remote.Descriptor {
	t.Helper()
	d, err := remote.Get(o.reference(t, host, name))
	must(t, err)
	return d
}

// publishBases publishes what builds start from, under prefixes: official
// images at one registry, others at another one.
func (o *outside) publishBases(t testing.TB, official, officialPrefix, others, othersPrefix string) {
	t.Helper()
	config := v1.Config{Env: []string{"PATH=/bin"}}
	o.publish(t, official, officialPrefix+"library/alpine:latest", newImage(t, shell(t), config))
	o.publish(t, others, othersPrefix+"acme/tool:1", newImage(t, map[string]string{"/tool": "of acme"}, config))
	frontend := map[string]string{}
	withLibraries(t, frontend, "/bin/dockerfile-frontend", program(t, "dockerfile-frontend"))
	o.publish(t, others, othersPrefix+"docker/dockerfile:1", newImage(t, frontend, v1.Config{
		Entrypoint: []string{"/bin/dockerfile-frontend"},
		Labels:     map[string]string{"moby.buildkit.frontend.network.none": "true"},
	}))
}

// publishBuildKit publishes BuildKit's own image.
func (o *outside) publishBuildKit(t testing.TB, host, name string) {
	t.Helper()
	o.publish(t, host, name, buildKitImage(t))
}
