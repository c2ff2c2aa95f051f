package s3

import (
	"encoding/xml"
	"errors"
	"net/http"

	"github.com/aws/smithy-go"
)

// maxDeleted is how many keys one DeleteObjects may name.
const maxDeleted = 1000

// deleteObjects answers DeleteObjects. Each key needs s3:DeleteObject, and one
// that is not deleted is in the answer with the reason.
func (s *Service) deleteObjects(w http.ResponseWriter, r request) error {
	text, err := document(r.Request)
	if err != nil {
		return err
	}
	var asked struct {
		Quiet  bool
		Object []struct{ Key, VersionId, ETag string }
	}
	if err := xml.Unmarshal(text, &asked); err != nil || len(asked.Object) < 1 || len(asked.Object) > maxDeleted {
		return failure("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema: it must name 1 to %d objects", maxDeleted)
	}
	for _, o := range asked.Object {
		if o.VersionId != "" || o.ETag != "" {
			return failure("NotImplemented", "the local engine does not implement VersionId and ETag of s3:DeleteObjects: objects have one version")
		}
	}
	type deleted struct{ Key string }
	type failed struct{ Key, Code, Message string }
	answer := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
		Deleted []deleted
		Error   []failed
	}{}
	for _, o := range asked.Object {
		err := s.authorize(r.Context(), r.bucket, "s3:DeleteObject", o.Key)
		var refused smithy.APIError
		switch {
		case errors.As(err, &refused):
			answer.Error = append(answer.Error, failed{o.Key, "AccessDenied", refused.ErrorMessage()})
			continue
		case err == nil:
			err = s.remove(r.bucket, o.Key)
		}
		if err != nil {
			return err
		}
		if !asked.Quiet {
			answer.Deleted = append(answer.Deleted, deleted{o.Key})
		}
	}
	return writeXML(w, answer)
}
