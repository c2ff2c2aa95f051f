package ecr

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/smithy-go"
)

// A protocolError is an error of the distribution protocol: an HTTP status and
// one of its codes.
type protocolError struct {
	status  int
	code    string
	message string
}

func (e *protocolError) Error() string { return e.message }

var errNoLogin = &protocolError{http.StatusUnauthorized, "UNAUTHORIZED", "no basic auth credentials"}

func errUnsupported(method, path string, known bool) error {
	if known {
		return &protocolError{http.StatusMethodNotAllowed, "UNSUPPORTED", fmt.Sprintf("the registry does not support %s of %s", method, path)}
	}
	return &protocolError{http.StatusNotFound, "UNSUPPORTED", fmt.Sprintf("the registry has nothing at %s", path)}
}

// inProtocol says the errors of APIs in the protocol's terms, by their code.
var inProtocol = map[string]protocolError{
	"AccessDeniedException":             {status: http.StatusForbidden, code: "DENIED"},
	"RepositoryNotFoundException":       {status: http.StatusNotFound, code: "NAME_UNKNOWN"},
	"ImageNotFoundException":            {status: http.StatusNotFound, code: "MANIFEST_UNKNOWN"},
	"ImageTagAlreadyExistsException":    {status: http.StatusBadRequest, code: "TAG_INVALID"},
	"ImageDigestDoesNotMatchException":  {status: http.StatusBadRequest, code: "DIGEST_INVALID"},
	"LayersNotFoundException":           {status: http.StatusBadRequest, code: "MANIFEST_BLOB_UNKNOWN"},
	"ReferencedImagesNotFoundException": {status: http.StatusBadRequest, code: "MANIFEST_BLOB_UNKNOWN"},
	"InvalidLayerException":             {status: http.StatusBadRequest, code: "DIGEST_INVALID"},
	"LayerInaccessibleException":        {status: http.StatusNotFound, code: "BLOB_UNKNOWN"},
	"InvalidLayerPartException":         {status: http.StatusRequestedRangeNotSatisfiable, code: "BLOB_UPLOAD_INVALID"},
	"UploadNotFoundException":           {status: http.StatusNotFound, code: "BLOB_UPLOAD_UNKNOWN"},
	"InvalidParameterException":         {status: http.StatusBadRequest, code: "MANIFEST_INVALID"},
	"ThrottlingException":               {status: http.StatusTooManyRequests, code: "TOOMANYREQUESTS"},
	"RequestTimeout":                    {status: http.StatusRequestTimeout, code: "BLOB_UPLOAD_INVALID"}, // of a body, from package wire
}

// toProtocol translates err; what it does not know is the server's own fault.
func toProtocol(err error) protocolError {
	var direct *protocolError
	var api smithy.APIError
	switch {
	case errors.As(err, &direct):
		return *direct
	case errors.Is(err, errTokenInvalid): // ECR calls a password that is no token a bad request
		return protocolError{http.StatusBadRequest, "DENIED", err.Error()}
	case errors.Is(err, errTokenExpired):
		return protocolError{http.StatusForbidden, "DENIED", err.Error()}
	case errors.As(err, &api):
		if e, known := inProtocol[api.ErrorCode()]; known {
			e.message = api.ErrorMessage()
			return e
		}
	}
	return protocolError{http.StatusInternalServerError, "UNKNOWN", err.Error()}
}

// WriteError implements wire.Registry.
func (s *Service) WriteError(w http.ResponseWriter, err error) {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	e := toProtocol(err)
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q,service=%q", "http://"+s.Host+"/", "ecr.amazonaws.com"))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(e.status)
	json.NewEncoder(w).Encode(map[string][]detail{"errors": {{e.code, e.message}}})
}
