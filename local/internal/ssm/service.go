package ssm

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// TargetPrefix is Systems Manager's in AWS JSON.
const TargetPrefix = "AmazonSSM"

// A parameter is one as it is kept, by its name.
type parameter struct {
	Type        types.ParameterType
	Value       string
	Version     int64
	Modified    time.Time
	DataType    string
	Description string
	Pattern     string // of values; "" for any
	Tier        types.ParameterTier
	KeyID       string // of a SecureString; "" for AWS's own key
	User        string // the ARN of who changed it last
	Tags        map[string]string
}

// Options are the settings of a Service. All are required.
type Options struct {
	Store  *store.Store
	Clock  clockwork.Clock
	Region string
}

// A Service keeps parameters. It is safe for concurrent use.
type Service struct {
	Options
	parameters *store.Table[parameter] // by name
}

// New returns the service whose state is in options.Store.
func New(options Options) (*Service, error) {
	s := &Service{Options: options}
	return s, store.OpenTable(s.Store, "ssm.parameters", &s.parameters)
}

// ARN is a parameter's; the slash in front of a name with a path is not
// repeated.
func (s *Service) ARN(name string) string {
	return "arn:aws:ssm:" + s.Region + ":" + iam.AccountID + ":parameter/" + strings.TrimPrefix(name, "/")
}

// nameOf is the name in a reference, which may be an ARN and may end in a
// version or label.
func (s *Service) nameOf(reference string) string {
	name, _ := s.split(reference)
	return name
}

// split takes the version or label off a reference.
func (s *Service) split(reference string) (name, selector string) {
	if path, isARN := strings.CutPrefix(reference, s.ARN("")); isARN {
		reference = path
		if strings.Contains(path, "/") {
			reference = "/" + path // only names with a path have more than one part
		}
	}
	name, selector, _ = strings.Cut(reference, ":")
	return name, selector
}
