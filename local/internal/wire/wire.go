// Package wire speaks AWS's wire protocols for Go types whose methods have the
// SDK's own shape.
//
//	handler := wire.New(wire.Config{
//		Region: "us-east-1",
//		IAM:    iamService,
//		JSON:   []wire.JSONService{{Name: "codebuild", TargetPrefix: "CodeBuild_20161006", Service: codebuildService}},
//		Query:  []wire.QueryService{{Name: "sts", Version: "2011-06-15", Namespace: "https://sts.amazonaws.com/doc/2011-06-15/", Service: stsService}},
//		S3:     s3Handler,
//	})
//
// A service lists its operations, which are methods such as
//
//	StartBuild(ctx context.Context, in *codebuild.StartBuildInput) (*codebuild.StartBuildOutput, error)
//
// The codecs of AWS JSON 1.1 (json.go) and AWS Query (query.go) map requests
// and responses by reflection over the SDK's structs. So what goes over the
// wire is what the SDK's types say, and an operation is added by writing its
// method. S3 and the registry have routes of their own behind the same door.
//
// That door is the same for all: the signature or login is verified (sigv4.go),
// the permissions that the service names are required, the method is called
// with a context that carries the principal, and errors come back in the
// protocol's own shape with AWS's codes (errors.go).
package wire

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/rate"
)

// MaxBody bounds the body of a JSON or Query request, in bytes.
const MaxBody = 8 << 20

// A Service is a service with operations. Op makes one of a method.
type Service interface{ Operations() []Operation }

// A JSONService is a service that speaks AWS JSON 1.1.
type JSONService struct {
	Name         string // as in credential scopes and IAM actions: "codebuild"
	TargetPrefix string // what X-Amz-Target starts with: "CodeBuild_20161006"
	Service      Service
}

// A QueryService is a service that speaks AWS Query.
type QueryService struct {
	Name      string // as in credential scopes and IAM actions: "cloudformation"
	Version   string // "2010-05-15"
	Namespace string // the XML namespace of its responses
	Service   Service
}

// A Guard is a service that names the permissions that a call needs. If it
// leaves the Action out, the action has the operation's name. If it leaves the
// Resource out, the resource is "*". Both hold for every call of a service that
// is not a Guard.
type Guard interface {
	Permissions(ctx context.Context, operation string, input any) []iam.Permission
}

// A RESTService is a service whose requests are routed by method and path.
type RESTService interface {
	// Route returns what a request needs, and what answers it.
	Route(r *http.Request) (needs []iam.Permission, serve func(http.ResponseWriter, *http.Request) error, err error)
}

// A Registry is the registry of container images. Its clients log in with the
// registry's own tokens.
type Registry interface {
	RESTService
	Authenticate(r *http.Request) (iam.Principal, error)
	WriteError(w http.ResponseWriter, err error)
}

// Config configures New. Region and IAM are required.
type Config struct {
	Region string // the one region served
	IAM    *iam.Service
	Clock  clockwork.Clock // the system's by default
	Log    *slog.Logger    // one debug line for each request; discarded by default
	JSON   []JSONService
	Query  []QueryService
	S3     RESTService

	Registry Registry // what is below /v2/

	// Rates are how many calls a second are answered, by action. Others are
	// throttled. What is not in it has no limit.
	Rates map[string]float64
}

// A service is the handler's view of a JSONService or QueryService.
type service struct {
	name       string
	version    string // Query only
	namespace  string // Query only
	implement  Service
	operations map[string]Operation

	constraints constraints // of inputs
}

// Handler is the front door of all services.
type Handler struct {
	region      string
	iam         *iam.Service
	clock       clockwork.Clock
	log         *slog.Logger
	bodyTimeout time.Duration

	json  map[string]service // by target prefix
	query map[string]service // by name
	s3    RESTService

	registry Registry

	rates   map[string]float64
	limiter rate.Limiter
}

// New returns the handler for the services of config.
func New(config Config) *Handler {
	h := &Handler{
		region:      config.Region,
		iam:         config.IAM,
		clock:       config.Clock,
		log:         cmp.Or(config.Log, slog.New(slog.DiscardHandler)),
		bodyTimeout: bodyTimeout,

		json:  map[string]service{},
		query: map[string]service{},
		s3:    config.S3,

		registry: config.Registry,

		rates: config.Rates,
	}
	if h.clock == nil {
		h.clock = clockwork.NewRealClock()
	}
	for _, s := range config.JSON {
		h.json[s.TargetPrefix] = service{name: s.Name, implement: s.Service, operations: byName(s.Service.Operations()), constraints: allConstraints()[s.Name]}
	}
	for _, s := range config.Query {
		h.query[s.Name] = service{name: s.Name, version: s.Version, namespace: s.Namespace, implement: s.Service, operations: byName(s.Service.Operations()), constraints: allConstraints()[s.Name]}
	}
	return h
}

// A protocol encodes calls and their responses.
type protocol interface {
	// serve answers a request. The body has been read, unless the protocol streams
	// it.
	serve(r *http.Request, w *response) error
	// fail writes an error in the protocol's shape.
	fail(w *response, r *http.Request, err error)
}

// A response is a ResponseWriter that has its request's id and records whether
// a response was begun.
type response struct {
	http.ResponseWriter
	requestID string
	status    int
}

func (w *response) WriteHeader(status int) {
	if status != http.StatusContinue {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(data []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(data)
}

// ReadFrom lets the connection copy files by sendfile.
func (w *response) ReadFrom(from io.Reader) (int64, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return io.Copy(w.ResponseWriter, from)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := h.clock.Now()
	answer := &response{ResponseWriter: w, requestID: uuid.NewString()}
	w.Header().Set("Date", began.UTC().Format(http.TimeFormat)) // what clients correct their clocks by
	p := h.protocolOf(r)
	h.limitBody(answer, r)
	err := h.serve(p, r, answer)
	if err != nil && answer.status == 0 {
		p.fail(answer, r, err)
	}
	h.log.Debug("request", "method", r.Method, "path", r.URL.Path, "target", r.Header.Get("X-Amz-Target"),
		"status", answer.status, "duration", h.clock.Since(began), "error", err)
}

// serve calls the protocol. A panic in a service becomes an internal failure of
// this request only.
func (h *Handler) serve(p protocol, r *http.Request, w *response) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			h.log.Error("panic", "path", r.URL.Path, "problem", problem, "stack", string(debug.Stack()))
			err = fmt.Errorf("the local engine failed inside: %v", problem)
		}
	}()
	return p.serve(r, w)
}

func (h *Handler) protocolOf(r *http.Request) protocol {
	if path := r.URL.Path; h.registry != nil && (path == "/v2" || strings.HasPrefix(path, "/v2/")) { // no bucket has a name that short
		return registryProtocol{h}
	}
	if r.Header.Get("X-Amz-Target") != "" {
		return jsonProtocol{h}
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if (r.Method == http.MethodPost && kind == "application/x-www-form-urlencoded") || r.URL.Query().Has("Action") {
		return queryProtocol{h}
	}
	return restProtocol{h}
}

// call authorizes and runs one operation whose input has been decoded.
func (h *Handler) call(ctx context.Context, s service, op Operation, input any) (any, error) {
	if err := h.throttle(s.name + ":" + op.Name); err != nil {
		return nil, err
	}
	if err := h.iam.Authorize(ctx, s.permissions(ctx, op.Name, input)...); err != nil {
		return nil, err
	}
	return op.Call(ctx, input)
}

// permissions returns the permissions that the caller of an operation needs.
func (s service) permissions(ctx context.Context, operation string, input any) []iam.Permission {
	var needs []iam.Permission
	if guard, ok := s.implement.(Guard); ok {
		needs = guard.Permissions(ctx, operation, input)
	}
	if len(needs) == 0 {
		needs = []iam.Permission{{}}
	}
	for i := range needs {
		needs[i].Action = cmp.Or(needs[i].Action, s.name+":"+operation)
		needs[i].Resource = cmp.Or(needs[i].Resource, "*")
	}
	return needs
}

// pass answers a request if the principal of its context has the permissions
// that the request needs. The service streams the body.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, s RESTService) error {
	if r.Body != http.NoBody {
		r.Body = &stream{r.Body, http.NewResponseController(w), h.bodyTimeout}
	}
	needs, serve, err := s.Route(r)
	if err != nil {
		return err
	}
	if len(needs) > 0 {
		if err := h.throttle(needs[0].Action); err != nil {
			return err
		}
	}
	if err := h.iam.Authorize(r.Context(), needs...); err != nil {
		return err
	}
	return serve(w, r)
}

// throttle returns an error for a call above the rate of its action.
func (h *Handler) throttle(action string) error {
	if h.limiter.Allow(action, h.rates[action], h.clock.Now()) {
		return nil
	}
	return clientError("ThrottlingException", "Rate exceeded")
}
