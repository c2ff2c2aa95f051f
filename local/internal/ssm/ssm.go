// Package ssm is the part of AWS Systems Manager that the local engine has: the
// Parameter Store.
//
//	service, err := ssm.New(db, clock, "us-east-1")
//	_, err = service.PutParameter(ctx, &sdk.PutParameterInput{Name: aws.String("/team/token"), Type: types.ParameterTypeString, …})
//	out, err := service.GetParameters(ctx, &sdk.GetParametersInput{Names: []string{"/team/token"}})
//
// A parameter has one version, the latest. There is no KMS: a SecureString lies
// in the state directory, which its owner alone can read, and is given to those
// only who ask for it decrypted.
package ssm

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
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

// A Service keeps parameters. It is safe for concurrent use.
type Service struct {
	clock      clockwork.Clock
	region     string
	parameters *store.Table[parameter]
}

// New returns the service whose state is in db.
func New(db *store.Store, clock clockwork.Clock, region string) (*Service, error) {
	parameters, err := store.NewTable[parameter](db, "ssm.parameters")
	return &Service{clock: clock, region: region, parameters: parameters}, err
}

// ARN is a parameter's; the slash in front of a name with a path is not
// repeated.
func (s *Service) ARN(name string) string {
	return "arn:aws:ssm:" + s.region + ":" + iam.AccountID + ":parameter/" + strings.TrimPrefix(name, "/")
}

// Permissions returns the permissions that an operation's caller needs.
func (s *Service) Permissions(_ context.Context, _ string, input any) []iam.Permission {
	return append(iam.On(s.resources(input)...), s.needsOfKeys(input)...)
}

// needsOfKeys returns what the caller must be able to do with the KMS keys of
// the SecureStrings that an operation writes, or reads in plain text (Systems
// Manager user guide, "AWS KMS encryption for AWS Systems Manager Parameter
// Store SecureString parameters").
func (s *Service) needsOfKeys(input any) (needs []iam.Permission) {
	var names []string
	switch in := input.(type) {
	case *sdk.PutParameterInput:
		return iam.UseKey("Encrypt", aws.ToString(in.KeyId), "ssm", s.region)
	case *sdk.GetParameterInput:
		if aws.ToBool(in.WithDecryption) {
			names = []string{aws.ToString(in.Name)}
		}
	case *sdk.GetParametersInput:
		if aws.ToBool(in.WithDecryption) {
			names = in.Names
		}
	}
	for _, name := range names {
		if p, found, err := s.parameters.Get(s.nameOf(name)); err == nil && found {
			needs = append(needs, iam.UseKey("Decrypt", p.KeyID, "ssm", s.region)...)
		}
	}
	return needs
}

// resources are the parameters that a call touches.
func (s *Service) resources(input any) []string {
	switch in := input.(type) {
	case *sdk.PutParameterInput:
		return []string{s.ARN(aws.ToString(in.Name))}
	case *sdk.DeleteParameterInput:
		return []string{s.ARN(s.nameOf(aws.ToString(in.Name)))}
	case *sdk.GetParameterInput:
		return []string{s.ARN(s.nameOf(aws.ToString(in.Name)))}
	case *sdk.GetParametersByPathInput:
		return []string{s.ARN(aws.ToString(in.Path))}
	case *sdk.ListTagsForResourceInput:
		return []string{s.ARN(s.nameOf(aws.ToString(in.ResourceId)))}
	case *sdk.AddTagsToResourceInput:
		return []string{s.ARN(s.nameOf(aws.ToString(in.ResourceId)))}
	case *sdk.RemoveTagsFromResourceInput:
		return []string{s.ARN(s.nameOf(aws.ToString(in.ResourceId)))}
	case *sdk.GetParametersInput:
		var arns []string
		for _, name := range in.Names {
			arns = append(arns, s.ARN(s.nameOf(name)))
		}
		return arns
	}
	return nil
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

func invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationException", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}
