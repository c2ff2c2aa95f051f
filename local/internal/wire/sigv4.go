package wire

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// maxSkew is the largest difference between a request's date and the engine's
// clock. maxSkewS3 is the same for S3. Both limits are AWS's ("Signature
// expired: … (… - 5 min.)", and S3's RequestTimeTooSkewed).
const (
	maxSkew   = 5 * time.Minute
	maxSkewS3 = 15 * time.Minute
)

// maxExpires is how long a presigned request may be valid: AWS's seven days.
const maxExpires = 7 * 24 * time.Hour

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
)

// An authorization is a parsed Authorization header, "AWS4-HMAC-SHA256
// Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b,
// Signature=…", with X-Amz-Date and X-Amz-Security-Token. A presigned request
// has the same values in its query.
type authorization struct {
	accessKeyID, date, region, service string
	signedHeaders                      []string
	signature                          string
	signed                             string // when, in timeFormat
	token                              string // of a session; "" for none
	presigned                          bool
	expires                            time.Duration // of a presigned request
}

func isPresigned(r *http.Request) bool { return r.URL.Query().Has("X-Amz-Signature") }

func parseAuthorization(r *http.Request) (authorization, error) {
	header := r.Header.Get("Authorization")
	if isPresigned(r) {
		return parsePresigned(r.URL.Query())
	}
	if query := r.URL.Query(); query.Has("AWSAccessKeyId") && query.Has("Signature") {
		return authorization{}, clientError("InvalidRequest", "The authorization mechanism you have provided is not supported. Please use %s: this request is presigned by version 2", algorithm)
	}
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok && header != "" {
		return authorization{}, clientError("IncompleteSignatureException", "the Authorization header must begin with %q", algorithm)
	}
	if !ok {
		return authorization{}, clientError("MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" || fields["SignedHeaders"] == "" || fields["Signature"] == "" {
		return authorization{}, clientError("IncompleteSignatureException", "the Authorization header needs Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders and Signature")
	}
	return authorization{
		accessKeyID: scope[0], date: scope[1], region: scope[2], service: scope[3],
		signedHeaders: strings.Split(fields["SignedHeaders"], ";"), signature: fields["Signature"],
		signed: r.Header.Get("X-Amz-Date"), token: r.Header.Get("X-Amz-Security-Token"),
	}, nil
}

func parsePresigned(query url.Values) (authorization, error) {
	scope := strings.Split(query.Get("X-Amz-Credential"), "/")
	seconds, err := strconv.Atoi(query.Get("X-Amz-Expires"))
	switch {
	case query.Get("X-Amz-Algorithm") != algorithm:
		err = fmt.Errorf("X-Amz-Algorithm is %q, which must be %q", query.Get("X-Amz-Algorithm"), algorithm)
	case len(scope) != 5 || scope[4] != "aws4_request":
		err = fmt.Errorf("X-Amz-Credential is %q, which must be KEY/DATE/REGION/SERVICE/aws4_request", query.Get("X-Amz-Credential"))
	case err != nil || seconds < 1 || seconds > int(maxExpires/time.Second):
		err = fmt.Errorf("X-Amz-Expires is %q, which must be 1 to %d seconds", query.Get("X-Amz-Expires"), int(maxExpires/time.Second))
	}
	if err != nil {
		return authorization{}, clientError("AuthorizationQueryParametersError", "%v", err)
	}
	return authorization{
		accessKeyID: scope[0], date: scope[1], region: scope[2], service: scope[3],
		signedHeaders: strings.Split(query.Get("X-Amz-SignedHeaders"), ";"), signature: query.Get("X-Amz-Signature"),
		signed: query.Get("X-Amz-Date"), token: query.Get("X-Amz-Security-Token"),
		presigned: true, expires: time.Duration(seconds) * time.Second,
	}, nil
}

// scopeOf returns the service that a request was signed for, or "".
func scopeOf(r *http.Request) string {
	a, err := parseAuthorization(r)
	if err != nil {
		return ""
	}
	return a.service
}

// authenticate verifies the signature of a request for service, and returns the
// request's context with its principal. payloadHash is the SHA-256 of the
// payload in hex, or one of S3's words for an unsigned payload.
func (h *Handler) authenticate(r *http.Request, service, payloadHash string) (context.Context, error) {
	c, err := h.claimOf(r, service)
	if err != nil {
		return nil, err
	}
	if err := checkSignature(r, c.authorization, c.credentials, payloadHash); err != nil {
		return nil, err
	}
	return iam.WithPrincipal(r.Context(), c.principal), nil
}

// A claim is the identity that a request claims, before its signature is
// verified.
type claim struct {
	authorization authorization
	credentials   iam.Credentials
	principal     iam.Principal
}

// identify looks up the access key of a request.
func (h *Handler) identify(r *http.Request) (claim, error) {
	a, err := parseAuthorization(r)
	if err != nil {
		return claim{}, err
	}
	credentials, principal, known := h.iam.Credentials(a.accessKeyID)
	if !known {
		return claim{}, clientError("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	return claim{authorization: a, credentials: credentials, principal: principal}, nil
}

// claimOf returns the claimed identity of a request for service. It checks
// everything except the signature itself, because that needs the body.
func (h *Handler) claimOf(r *http.Request, service string) (claim, error) {
	c, err := h.identify(r)
	if err != nil {
		return c, err
	}
	if err := h.checkScope(c.authorization, service); err != nil {
		return c, err
	}
	if err := h.checkTimes(c.authorization, c.credentials); err != nil {
		return c, err
	}
	return c, checkHeaders(r, c.authorization, c.credentials)
}

// globalRegion is the region for which clients sign requests to IAM, because
// IAM has no regions.
const globalRegion = "us-east-1"

func (h *Handler) checkScope(a authorization, service string) error {
	if a.region != h.region && !(service == "iam" && a.region == globalRegion) {
		return clientError(misScoped, "Credential should be scoped to a valid region: the local engine serves %s, and the request was signed for %s", h.region, a.region)
	}
	if a.service != service {
		return clientError(misScoped, "Credential should be scoped to correct service: '%s', and the request was signed for '%s'", service, a.service)
	}
	return nil
}

func (h *Handler) checkTimes(a authorization, credentials iam.Credentials) error {
	signed, err := time.Parse(timeFormat, a.signed)
	if err != nil || !strings.HasPrefix(a.signed, a.date) {
		return clientError("IncompleteSignatureException", "X-Amz-Date is %q, which must be of the form %s and on the day of the credential scope, %s", a.signed, timeFormat, a.date)
	}
	now := h.clock.Now()
	most := maxSkew
	if a.service == "s3" {
		most = maxSkewS3
	}
	age := now.Sub(signed)
	if a.presigned && age > a.expires {
		return clientError("AccessDeniedException", "Request has expired: it was signed at %s for %s, and the engine's clock says %s", a.signed, a.expires, now.UTC().Format(timeFormat))
	}
	if age < -most || age > most && !a.presigned {
		return clientError(skewed, "Signature expired: %s is %s away from the engine's clock, %s; at most %s is allowed", a.signed, age.Abs().Round(time.Second), now.UTC().Format(timeFormat), most)
	}
	if !credentials.Expires.IsZero() && now.After(credentials.Expires) {
		return clientError("ExpiredTokenException", "The security token included in the request is expired")
	}
	return nil
}

// signatureForm matches a SHA-256 in hex.
var signatureForm = lazyregexp.New(`^[0-9a-f]{64}$`)

// checkHeaders checks the session's token, the form of the signature, and that
// the signature covers every header that must be signed.
func checkHeaders(r *http.Request, a authorization, credentials iam.Credentials) error {
	if !equalSecrets(a.token, credentials.SessionToken) {
		return clientError("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if name := unsignedHeader(r, a); name != "" {
		return clientError("InvalidSignatureException", "the header %s is in the request and was not signed", name)
	}
	if !signatureForm().MatchString(a.signature) {
		return clientError("IncompleteSignatureException", "the Signature must be 64 hexadecimal digits")
	}
	return nil
}

// checkSignature signs the request again with the engine's copy of the secret,
// and compares the signatures.
func checkSignature(r *http.Request, a authorization, credentials iam.Credentials, payloadHash string) error {
	want, err := sign(r, a, credentials, payloadHash)
	if err != nil {
		return err
	}
	if !equalSecrets(want.signature, a.signature) {
		return clientError("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	return nil
}

// sign signs a request as its client should have done.
func sign(r *http.Request, a authorization, credentials iam.Credentials, payloadHash string) (authorization, error) {
	again := signedPart(r, a)
	signed, err := time.Parse(timeFormat, a.signed)
	if err != nil {
		return a, err
	}
	key := aws.Credentials{AccessKeyID: credentials.AccessKeyID, SecretAccessKey: credentials.SecretAccessKey}
	signer := v4.NewSigner(func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = a.service == "s3" // S3 signs the path as it is sent; every other service signs it escaped once more
		o.DisableHeaderHoisting = true
	})
	if a.presigned {
		key.SessionToken = credentials.SessionToken
		address, _, err := signer.PresignHTTP(r.Context(), key, again, payloadHash, a.service, a.region, signed)
		if err == nil {
			again.URL, err = url.Parse(address)
		}
		if err != nil {
			return a, err
		}
	} else if err := signer.SignHTTP(r.Context(), key, again, payloadHash, a.service, a.region, signed); err != nil {
		return a, err
	}
	return parseAuthorization(again)
}

// signedPart returns a request with the signed parts of r only: its method, its
// URL and the headers that a names.
func signedPart(r *http.Request, a authorization) *http.Request {
	again := &http.Request{Method: r.Method, Host: r.Host, Header: http.Header{}}
	again.URL = &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	for _, name := range a.signedHeaders {
		name = http.CanonicalHeaderKey(name)
		if values, ok := r.Header[name]; ok {
			again.Header[name] = slices.Clone(values)
		}
	}
	if query := again.URL.Query(); a.presigned {
		query.Del("X-Amz-Signature")
		again.URL.RawQuery = query.Encode()
	}
	if slices.Contains(a.signedHeaders, "content-length") {
		again.ContentLength = r.ContentLength
	}
	return again
}

// unsignedHeader returns a header that must be signed and is not, or "". AWS
// demands a signature over the host and every x-amz- header.
func unsignedHeader(r *http.Request, a authorization) string {
	if !slices.Contains(a.signedHeaders, "host") {
		return "host"
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(a.signedHeaders, name) {
			return name
		}
	}
	return ""
}

func equalSecrets(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// hashOf returns the SHA-256 of data in hex.
func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
