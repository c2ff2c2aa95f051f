package iam

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// A Role is an IAM role with its policies.
type Role struct {
	Name            string
	Path            string // "/" by default
	ARN             string // filled in by PutRole
	ID              string // "AROA…", filled in by PutRole
	Description     string
	TrustPolicy     json.RawMessage            // the AssumeRolePolicyDocument
	Policies        map[string]json.RawMessage // inline policies by name
	ManagedPolicies []string                   // ARNs of those in managed.go
	Tags            map[string]string
	Created         time.Time // filled in by PutRole
}

// RoleARN is the ARN of the role called name under path.
func RoleARN(path, name string) string {
	return "arn:aws:iam::" + AccountID + ":role/" + strings.TrimPrefix(path, "/") + name
}

// A Session is temporary credentials with the principal that they belong to.
type Session struct {
	Credentials Credentials
	Principal   Principal
}

// Options are the settings of a Service. All are required.
type Options struct {
	Store *store.Store
	Clock clockwork.Clock
}

// A Service keeps roles and credentials. It is safe for concurrent use.
type Service struct {
	Options
	observer atomic.Pointer[func(Call)] // nil for none
	roles    *store.Table[Role]
	root     *store.Table[Credentials]
	sessions *store.Table[Session]
}

// New returns the service whose state is in options.Store.
func New(options Options) (*Service, error) {
	s := &Service{Options: options}
	return s, errors.Join(
		store.OpenTable(s.Store, "iam.roles", &s.roles),
		store.OpenTable(s.Store, "iam.root", &s.root),
		store.OpenTable(s.Store, "iam.sessions", &s.sessions),
	)
}

// RootCredentials returns the account's own access key, which is made at random
// the first time.
func (s *Service) RootCredentials() (Credentials, error) {
	return s.root.Update("root", func(c Credentials, found bool) (Credentials, error) {
		if found {
			return c, nil
		}
		return Credentials{AccessKeyID: newID("AKIA"), SecretAccessKey: rand.Text() + rand.Text()}, nil
	})
}

// PutRole creates a role, or replaces the role of that name. The inline
// policies of an existing role are kept if the new one has none. A policy
// document that cannot be parsed is refused as MalformedPolicyDocument.
func (s *Service) PutRole(role Role) error {
	if err := role.check(); err != nil {
		return err
	}
	if role.Path == "" {
		role.Path = "/"
	}
	role.ARN = RoleARN(role.Path, role.Name)
	_, err := s.roles.Update(role.Name, func(old Role, found bool) (Role, error) {
		role.ID, role.Created = old.ID, old.Created
		if !found {
			role.ID, role.Created = newID("AROA"), s.now()
		}
		if role.Policies == nil {
			role.Policies = old.Policies
		}
		return role, nil
	})
	return err
}

// now is the time as IAM's dates have it, in whole seconds.
func (s *Service) now() time.Time { return s.Clock.Now().UTC().Truncate(time.Second) }

// CreateRole creates a role and returns it with what PutRole fills in. It fails
// with EntityAlreadyExists if there is a role of that name.
func (s *Service) CreateRole(role Role) (Role, error) {
	if err := role.check(); err != nil {
		return Role{}, err
	}
	return s.roles.Update(role.Name, func(_ Role, found bool) (Role, error) {
		if found {
			return Role{}, failure("EntityAlreadyExists", "Role with name %s already exists.", role.Name)
		}
		role.ARN, role.ID, role.Created = RoleARN(role.Path, role.Name), newID("AROA"), s.now()
		return role, nil
	})
}

// ChangeRole changes a role by the function. It fails with NoSuchEntity when
// there is no such role. The function must not use the service.
func (s *Service) ChangeRole(name string, change func(*Role) error) error {
	_, err := s.roles.Update(name, func(role Role, found bool) (Role, error) {
		if !found {
			return role, failure("NoSuchEntity", "The role with name %s cannot be found.", name)
		}
		err := change(&role)
		return role, err
	})
	return err
}

// Roles returns all roles by name.
func (s *Service) Roles() ([]Role, error) {
	entries, err := s.roles.List("")
	roles := make([]Role, len(entries))
	for i, e := range entries {
		roles[i] = e.Value
	}
	return roles, err
}

func (r Role) check() error {
	if r.Name == "" {
		return failure("ValidationError", "a role needs a name")
	}
	if _, err := parsePolicy(r.TrustPolicy); err != nil {
		return failure("MalformedPolicyDocument", "trust policy of role %s: %v", r.Name, err)
	}
	for name, document := range r.Policies {
		if _, err := parsePolicy(document); err != nil {
			return failure("MalformedPolicyDocument", "policy %s of role %s: %v", name, r.Name, err)
		}
	}
	for _, arn := range r.ManagedPolicies {
		if err := CheckManagedPolicy(arn); err != nil {
			return err
		}
	}
	return nil
}

// Role returns the role called name, and whether there is one.
func (s *Service) Role(name string) (Role, bool, error) { return s.roles.Get(name) }

// DeleteRole removes a role with its policies. Its sessions may do nothing from
// then on.
func (s *Service) DeleteRole(name string) error { return s.roles.Delete(name) }

// PutRolePolicy adds or replaces an inline policy. It fails with NoSuchEntity
// when there is no such role.
func (s *Service) PutRolePolicy(roleName, policyName string, document json.RawMessage) error {
	if _, err := parsePolicy(document); err != nil {
		return failure("MalformedPolicyDocument", "policy %s of role %s: %v", policyName, roleName, err)
	}
	return s.changePolicies(roleName, func(policies map[string]json.RawMessage) { policies[policyName] = document })
}

// DeleteRolePolicy removes an inline policy. It fails with NoSuchEntity when
// there is no such role.
func (s *Service) DeleteRolePolicy(roleName, policyName string) error {
	return s.changePolicies(roleName, func(policies map[string]json.RawMessage) { delete(policies, policyName) })
}

func (s *Service) changePolicies(roleName string, change func(map[string]json.RawMessage)) error {
	return s.ChangeRole(roleName, func(role *Role) error {
		if role.Policies == nil {
			role.Policies = map[string]json.RawMessage{}
		}
		change(role.Policies)
		return nil
	})
}

// expiredSessionsStay is how long expired sessions are kept, so that the answer
// is "expired" and not "unknown".
const expiredSessionsStay = 24 * time.Hour

func (s *Service) dropExpiredSessions() error {
	entries, err := s.sessions.List("")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if s.Clock.Since(e.Value.Credentials.Expires) < expiredSessionsStay {
			continue
		}
		if err := s.sessions.Delete(e.Key); err != nil {
			return err
		}
	}
	return nil
}

// Credentials returns the credentials with the given access key id, and their
// principal. It returns expired ones too: the caller compares Expires with the
// time.
func (s *Service) Credentials(accessKeyID string) (Credentials, Principal, bool) {
	root, found, err := s.root.Get("root")
	if err == nil && found && subtle.ConstantTimeCompare([]byte(root.AccessKeyID), []byte(accessKeyID)) == 1 {
		return root, Root(), true
	}
	session, found, err := s.sessions.Get(accessKeyID)
	return session.Credentials, session.Principal, err == nil && found
}

// newID returns an id in IAM's form: a prefix for the kind, and 16 characters.
func newID(prefix string) string { return prefix + rand.Text()[:16] }
