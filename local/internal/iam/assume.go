package iam

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// An Assumption is a request to act as a role, by a service or by a principal
// of the account.
type Assumption struct {
	RoleARN    string
	Session    string // the session's name, which shows in the principal's ARN
	Service    string // the service principal that asks, such as CodeBuild
	SourceARN  string // the resource on whose behalf it asks: what the trust policy sees as aws:SourceArn
	Principal  Principal
	ExternalID string            // what the trust policy sees as sts:ExternalId
	Tags       map[string]string // of the session: what policies see as aws:PrincipalTag
	Transitive []string          // keys of the tags that the sessions begun with this one have too
	TTL        time.Duration
}

// AssumeRole returns a session of a role if the role's trust policy permits it,
// and an AccessDeniedException otherwise. A session with tags needs
// sts:TagSession in the trust policy in addition to sts:AssumeRole.
func (s *Service) AssumeRole(a Assumption) (Session, error) {
	role, err := s.roleByARN(a.RoleARN)
	if err != nil {
		return Session{}, err
	}
	if key := a.overridden(); key != "" {
		return Session{}, failure("ValidationError", "the tag %s is the caller's own and transitive: the session has it already, with its value", key)
	}
	trust, err := parsePolicy(role.TrustPolicy)
	if err != nil {
		return Session{}, fmt.Errorf("trust policy of role %s: %w", role.Name, err)
	}
	asker, err := s.asker(a)
	if err != nil {
		return Session{}, err
	}
	for _, action := range a.Actions() {
		if !trust.trusts(action, asker.included, asker.keys) {
			return Session{}, failure("AccessDeniedException",
				"%s is not authorized to perform: %s on %s%s: the role's trust policy does not allow it", asker.name, action, a.RoleARN, asker.on)
		}
	}
	return s.newSession(role, a)
}

// Actions returns the actions that both the trust policy and the caller's own
// policies must allow.
func (a Assumption) Actions() []string {
	if len(a.sessionTags()) > 0 {
		return []string{"sts:AssumeRole", "sts:TagSession"}
	}
	return []string{"sts:AssumeRole"}
}

// sessionTags returns the tags of the new session: the given ones, and those
// that the caller's session passes on.
func (a Assumption) sessionTags() map[string]string {
	tags := map[string]string{}
	maps.Copy(tags, a.Tags)
	for _, key := range a.Principal.Transitive {
		tags[key] = a.Principal.Tags[key]
	}
	return tags
}

// overridden returns the key of a given tag that the caller's session already
// passes on, or "".
func (a Assumption) overridden() string {
	for key := range a.Tags {
		if slices.ContainsFunc(a.Principal.Transitive, func(own string) bool { return strings.EqualFold(own, key) }) {
			return key
		}
	}
	return ""
}

// RequestKeys returns the condition keys of the request to assume the role.
func (a Assumption) RequestKeys() Keys {
	keys := Keys{
		"sts:ExternalId": oneUnlessEmpty(a.ExternalID), "sts:RoleSessionName": oneUnlessEmpty(a.Session),
		"sts:TransitiveTagKeys": a.Transitive, "aws:TagKeys": slices.Sorted(maps.Keys(a.Tags)), "aws:RequestTag/*": nil,
	}
	for key, value := range a.Tags {
		keys["aws:RequestTag/"+key] = []string{value}
	}
	return keys
}

func oneUnlessEmpty(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// asker is the caller that wants to assume a role, as the role's trust policy
// sees it.
type asker struct {
	name, on string
	included func(principals) bool
	keys     Keys
}

func (s *Service) asker(a Assumption) (asker, error) {
	keys := a.RequestKeys()
	if a.Service != "" {
		keys["aws:SourceArn"], keys["aws:SourceAccount"] = []string{a.SourceARN}, []string{AccountID}
		return asker{
			name: a.Service, on: " for " + a.SourceARN, keys: keys,
			included: func(p principals) bool { return p.includesService(a.Service) },
		}, nil
	}
	role, _, err := s.Role(a.Principal.RoleName)
	maps.Copy(keys, a.Principal.keys(role))
	return asker{
		name: "User: " + a.Principal.ARN, keys: keys,
		included: func(p principals) bool { return p.includesPrincipal(a.Principal, role) },
	}, err
}

func (s *Service) roleByARN(arn string) (Role, error) {
	role, found, err := s.Role(arn[strings.LastIndex(arn, "/")+1:])
	if err != nil {
		return role, err
	}
	if !found || role.ARN != arn {
		return role, failure("NoSuchEntity", "The role %s cannot be found.", arn)
	}
	return role, nil
}

func (s *Service) newSession(role Role, a Assumption) (Session, error) {
	if err := s.dropExpiredSessions(); err != nil {
		return Session{}, err
	}
	c := Credentials{
		AccessKeyID:     newID("ASIA"),
		SecretAccessKey: rand.Text() + rand.Text(),
		SessionToken:    rand.Text() + rand.Text() + rand.Text() + rand.Text(),
		Expires:         s.Clock.Now().Add(a.TTL).UTC().Truncate(time.Second),
	}
	session := Session{c, Principal{
		ARN:        fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", AccountID, role.Name, a.Session),
		AccountID:  AccountID,
		UserID:     role.ID + ":" + a.Session,
		RoleName:   role.Name,
		Session:    a.Session,
		Tags:       a.sessionTags(),
		Transitive: slices.Concat(a.Principal.Transitive, a.Transitive),
	}}
	return session, s.sessions.Put(c.AccessKeyID, session)
}
