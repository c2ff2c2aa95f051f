package ecr

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

func invalid(format string, args ...any) error {
	return &types.InvalidParameterException{Message: message(format, args)}
}

func invalidTag(format string, args ...any) error {
	return &types.InvalidTagParameterException{Message: message(format, args)}
}

func tooManyTags(format string, args ...any) error {
	return &types.TooManyTagsException{Message: message(format, args)}
}

func repositoryNotFound(format string, args ...any) error {
	return &types.RepositoryNotFoundException{Message: message(format, args)}
}

func repositoryAlreadyExists(format string, args ...any) error {
	return &types.RepositoryAlreadyExistsException{Message: message(format, args)}
}

func repositoryNotEmpty(format string, args ...any) error {
	return &types.RepositoryNotEmptyException{Message: message(format, args)}
}

func imageNotFound(format string, args ...any) error {
	return &types.ImageNotFoundException{Message: message(format, args)}
}

func imageDigestDoesNotMatch(format string, args ...any) error {
	return &types.ImageDigestDoesNotMatchException{Message: message(format, args)}
}

func imageTagAlreadyExists(format string, args ...any) error {
	return &types.ImageTagAlreadyExistsException{Message: message(format, args)}
}

func referencedImagesNotFound(format string, args ...any) error {
	return &types.ReferencedImagesNotFoundException{Message: message(format, args)}
}

func layersNotFound(format string, args ...any) error {
	return &types.LayersNotFoundException{Message: message(format, args)}
}

func layerInaccessible(format string, args ...any) error {
	return &types.LayerInaccessibleException{Message: message(format, args)}
}

func invalidLayer(format string, args ...any) error {
	return &types.InvalidLayerException{Message: message(format, args)}
}

// invalidLayerPart returns the error of a part that does not follow the last
// byte that was received.
func invalidLayerPart(last int64, format string, args ...any) error {
	return &types.InvalidLayerPartException{Message: message(format, args), LastValidByteReceived: &last}
}

func noIdentity() error {
	return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "the request carries no identity to log in as", Fault: smithy.FaultClient}
}

func uploadNotFound(repository, id string) error {
	return &types.UploadNotFoundException{Message: message(
		"Upload ID '%s' does not exist for registry with id '%s' and repository with name '%s'", []any{id, iam.AccountID, repository})}
}

// message formats the message of an error.
func message(format string, args []any) *string { return aws.String(fmt.Sprintf(format, args...)) }
