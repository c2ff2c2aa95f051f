package agent

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// CredentialsPath is the path at which the engine must serve a [Credentials].
const CredentialsPath = "/_flexbuild/credentials/"

// The credentials of a role are valid for an hour and are replaced in their
// last quarter.
const (
	credentialsLife  = time.Hour
	credentialsRenew = 15 * time.Minute
)

// Credentials serves the role's credentials to each running build, as AWS's
// container credentials endpoint does: at a random path, and only to callers
// with the random token. The zero value is ready for use.
type Credentials struct {
	mu    sync.Mutex
	roles map[string]*role // by the last part of their path
}

// A role is the role of a build, with its current credentials.
type role struct {
	token  string
	clock  clockwork.Clock
	assume func() (iam.Session, error)

	mu      sync.Mutex
	current iam.Session
}

// session returns the role's credentials, new ones if the old ones expire soon.
func (r *role) session() (iam.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clock.Until(r.current.Credentials.Expires) > credentialsRenew {
		return r.current, nil
	}
	fresh, err := r.assume()
	if err == nil {
		r.current = fresh
	}
	return fresh, err
}

// add serves a role until remove is called. variables are the variables with
// which SDKs find it.
func (c *Credentials) add(r *role, endpoint string) (variables map[string]string, remove func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.roles == nil {
		c.roles = map[string]*role{}
	}
	id := rand.Text()
	r.token = rand.Text()
	c.roles[id] = r
	remove = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.roles, id)
	}
	return map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint + CredentialsPath + id,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN":  r.token,
	}, remove
}

// ServeHTTP answers a build's request for credentials.
func (c *Credentials) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	c.mu.Lock()
	r := c.roles[strings.TrimPrefix(request.URL.Path, CredentialsPath)]
	c.mu.Unlock()
	if r == nil {
		http.Error(w, "no running build has its credentials here", http.StatusNotFound)
		return
	}
	if subtle.ConstantTimeCompare([]byte(request.Header.Get("Authorization")), []byte(r.token)) != 1 {
		http.Error(w, "the Authorization header must be $AWS_CONTAINER_AUTHORIZATION_TOKEN", http.StatusForbidden)
		return
	}
	session, err := r.session()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{ // if that fails, the build reports it
		"AccessKeyId":     session.Credentials.AccessKeyID,
		"SecretAccessKey": session.Credentials.SecretAccessKey,
		"Token":           session.Credentials.SessionToken,
		"Expiration":      session.Credentials.Expires.UTC().Format(time.RFC3339),
	})
}
