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
		if o.ETag != "" {
			return failure("NotImplemented", "the local engine does not implement ETag of s3:DeleteObjects")
		}
	}
	type deleted struct {
		Key                   string
		VersionId             string `xml:",omitempty"`
		DeleteMarker          bool   `xml:",omitempty"`
		DeleteMarkerVersionId string `xml:",omitempty"`
	}
	type failed struct {
		Key           string
		VersionId     string `xml:",omitempty"`
		Code, Message string
	}
	answer := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
		Deleted []deleted
		Error   []failed
	}{}
	for _, o := range asked.Object {
		done := deleted{Key: o.Key, VersionId: o.VersionId}
		err := s.authorize(r.Context(), r.bucket, ofVersion("s3:DeleteObject", o.VersionId), o.Key)
		var refused smithy.APIError
		switch {
		case errors.As(err, &refused):
			answer.Error = append(answer.Error, failed{o.Key, o.VersionId, "AccessDenied", refused.ErrorMessage()})
			continue
		case err == nil:
			var version object
			if version, err = s.delete(r.bucket, o.Key, o.VersionId); version.Marker {
				done.DeleteMarker, done.DeleteMarkerVersionId = true, version.id()
			}
		}
		if err != nil {
			return err
		}
		if !asked.Quiet {
			answer.Deleted = append(answer.Deleted, done)
		}
	}
	return writeXML(w, answer)
}
