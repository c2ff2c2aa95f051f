package ecr

import (
	"net/http"
	"regexp"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// A call is one authenticated request of the distribution protocol to a
// repository that exists.
type call struct {
	w          http.ResponseWriter
	r          *http.Request
	repository Repository
	name       string // the repository's
	reference  string // tag, digest or upload id, by the kind of path
}

// A route is one verb of the distribution protocol: the paths it covers, the
// permission it needs on the repository, and what it does. path's first group
// is the repository's name, the second, if any, the reference.
type route struct {
	path    func() *regexp.Regexp
	methods []string
	action  string
	create  bool // a push may start with it, and create the repository
	pull    bool // a pull starts with it, and may import the image
	do      func(*Service, call) error
}

var (
	manifestPath  = lazyregexp.New(`^/v2/(.+)/manifests/([^/]+)$`)
	blobPath      = lazyregexp.New(`^/v2/(.+)/blobs/([^/]*:[^/]*)$`)
	uploadsPath   = lazyregexp.New(`^/v2/(.+)/blobs/uploads/?()$`)
	uploadPath    = lazyregexp.New(`^/v2/(.+)/blobs/uploads/([^/]+)$`)
	tagsPath      = lazyregexp.New(`^/v2/(.+)/tags/list()$`)
	referrersPath = lazyregexp.New(`^/v2/(.+)/referrers/([^/]+)$`)
)

// routes are what ECR's registry answers besides the catalog. Layers cannot be
// deleted: they go when no image refers to them.
var routes = []route{
	{path: manifestPath, methods: []string{"GET", "HEAD"}, action: "ecr:BatchGetImage", pull: true, do: (*Service).serveManifest},
	{path: manifestPath, methods: []string{"PUT"}, action: "ecr:PutImage", create: true, do: (*Service).pushManifest},
	{path: manifestPath, methods: []string{"DELETE"}, action: "ecr:BatchDeleteImage", do: (*Service).deleteManifest},
	{path: blobPath, methods: []string{"HEAD"}, action: "ecr:BatchCheckLayerAvailability", do: (*Service).serveBlob},
	{path: blobPath, methods: []string{"GET"}, action: "ecr:GetDownloadUrlForLayer", do: (*Service).serveBlob},
	{path: uploadsPath, methods: []string{"POST"}, action: "ecr:InitiateLayerUpload", create: true, do: (*Service).beginUpload},
	{path: uploadPath, methods: []string{"PATCH"}, action: "ecr:UploadLayerPart", do: (*Service).appendUpload},
	{path: uploadPath, methods: []string{"GET"}, action: "ecr:UploadLayerPart", do: (*Service).uploadStatus},
	{path: uploadPath, methods: []string{"DELETE"}, action: "ecr:UploadLayerPart", do: (*Service).dropUpload},
	{path: uploadPath, methods: []string{"PUT"}, action: "ecr:CompleteLayerUpload", do: (*Service).finishUpload},
	{path: tagsPath, methods: []string{"GET"}, action: "ecr:ListImages", do: (*Service).listTags},
	{path: referrersPath, methods: []string{"GET"}, action: "ecr:ListImageReferrers", do: (*Service).listReferrers},
}

// Authenticate implements wire.Registry. It returns whose login token a request
// carries. Clients log in with the tokens of GetAuthorizationToken.
func (s *Service) Authenticate(r *http.Request) (iam.Principal, error) {
	name, token, ok := r.BasicAuth()
	if !ok {
		return iam.Principal{}, errNoLogin
	}
	if name != user {
		return iam.Principal{}, errTokenInvalid
	}
	g, err := s.tokens.read(token, s.Clock.Now())
	return g.Principal, err
}

// Route implements wire.Registry. A request needs the permission that ECR asks
// for it, on the repository, and that to create the repository if a push does,
// or to import the image if a pull-through rule covers it.
func (s *Service) Route(r *http.Request) (needs []iam.Permission, serve func(http.ResponseWriter, *http.Request) error, err error) {
	if r.URL.Path == "/v2/" || r.URL.Path == "/v2" { // "is my login good?"
		return nil, func(http.ResponseWriter, *http.Request) error { return nil }, nil
	}
	if r.URL.Path == "/v2/_catalog" && r.Method == http.MethodGet {
		return []iam.Permission{{Action: "ecr:DescribeRepositories", Resource: "*"}}, s.serveCatalog, nil
	}
	rt, names, err := findRoute(r)
	if err != nil {
		return nil, nil, err
	}
	name := names[1]
	needs = []iam.Permission{{Action: rt.action, Resource: s.ARN(name)}}
	if rt.pull {
		imports, err := s.importNeeds(name)
		if err != nil {
			return nil, nil, err
		}
		needs = append(needs, imports...)
	}
	create := rt.create && s.createdOnPush(name)
	if create {
		needs = append(needs, iam.Permission{Action: "ecr:CreateRepository", Resource: s.ARN(name)})
	}
	return needs, func(w http.ResponseWriter, r *http.Request) error {
		repository, err := s.repositoryFor(name, create)
		if err != nil {
			return err
		}
		return rt.do(s, call{w: w, r: r, name: name, reference: names[2], repository: repository})
	}, nil
}

// findRoute returns the route of a request and the groups of its path.
func findRoute(r *http.Request) (route, []string, error) {
	known := false
	for _, rt := range routes {
		names := rt.path().FindStringSubmatch(r.URL.Path)
		if names == nil {
			continue
		}
		known = true
		for _, method := range rt.methods {
			if method == r.Method {
				return rt, names, nil
			}
		}
	}
	return route{}, nil, errUnsupported(r.Method, r.URL.Path, known)
}

// createdOnPush reports whether a push creates the repository called name.
func (s *Service) createdOnPush(name string) bool {
	if _, err := s.Repository(name); err == nil {
		return false
	}
	_, found, err := s.templateFor(name)
	return err == nil && found
}

func (s *Service) repositoryFor(name string, create bool) (Repository, error) {
	repository, err := s.Repository(name)
	if err != nil && create {
		return s.createOnPush(name, err)
	}
	return repository, err
}
