package ecr

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// serveBlob answers GET, ranges included, and HEAD of a layer or a config.
func (s *Service) serveBlob(c call) error {
	file, found, err := s.layers.open(c.name, c.reference)
	if err != nil {
		return err
	}
	if !found {
		return layerInaccessible("Layer '%s' is not in the repository with name '%s'", c.reference, c.name)
	}
	defer file.Close()
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Docker-Content-Digest", c.reference)
	http.ServeContent(c.w, c.r, "", time.Time{}, file)
	return nil
}

// beginUpload answers POST, which may bring the whole layer. Like ECR by
// default, it mounts no layer of another repository: the client sends it.
func (s *Service) beginUpload(c call) error {
	u, err := s.layers.begin(c.name)
	if err != nil {
		return err
	}
	if c.r.URL.Query().Has("digest") {
		err := s.finish(c, u)
		if err != nil {
			s.layers.drop(u) // nobody knows its id
		}
		return err
	}
	return c.accept(u.id, 0, http.StatusAccepted)
}

// appendUpload answers PATCH.
func (s *Service) appendUpload(c call) error {
	u, err := s.layers.upload(c.name, c.reference)
	if err != nil {
		return err
	}
	start, err := partStart(c.r.Header.Get("Content-Range"))
	if err != nil {
		return err
	}
	size, err := u.append(start, c.r.Body)
	if err != nil {
		return err
	}
	return c.accept(u.id, size, http.StatusAccepted)
}

// partStart reads the offset of a part from a "first-last" header; it is -1
// when the client leaves it out.
func partStart(contentRange string) (int64, error) {
	if contentRange == "" {
		return -1, nil
	}
	var first, last int64
	if _, err := fmt.Sscanf(contentRange, "%d-%d", &first, &last); err != nil || first < 0 {
		return 0, &protocolError{http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", fmt.Sprintf("Content-Range %q is not first-last", contentRange)}
	}
	return first, nil
}

// uploadStatus answers GET: where to go on.
func (s *Service) uploadStatus(c call) error {
	u, err := s.layers.upload(c.name, c.reference)
	if err != nil {
		return err
	}
	return c.accept(u.id, u.length(), http.StatusNoContent)
}

// finishUpload answers PUT, which may bring the last part, or all of it.
func (s *Service) finishUpload(c call) error {
	u, err := s.layers.upload(c.name, c.reference)
	if err != nil {
		return err
	}
	return s.finish(c, u)
}

func (s *Service) finish(c call, u *upload) error {
	digest := c.r.URL.Query().Get("digest")
	if !digestName().MatchString(digest) {
		return &protocolError{http.StatusBadRequest, "DIGEST_INVALID", fmt.Sprintf("%q is not a sha256 digest", digest)}
	}
	start, err := partStart(c.r.Header.Get("Content-Range"))
	if err != nil {
		return err
	}
	if _, err := u.append(start, c.r.Body); err != nil {
		return err
	}
	if err := s.layers.finish(u, digest); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/v2/"+c.name+"/blobs/"+digest)
	c.w.Header().Set("Docker-Content-Digest", digest)
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

// dropUpload answers DELETE.
func (s *Service) dropUpload(c call) error {
	u, err := s.layers.upload(c.name, c.reference)
	if err != nil {
		return err
	}
	if err := s.layers.drop(u); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// accept answers with the place where an upload goes on and how much of it has
// arrived.
func (c call) accept(id string, size int64, status int) error {
	header := c.w.Header()
	header.Set("Location", "/v2/"+c.name+"/blobs/uploads/"+id)
	header.Set("Docker-Upload-Uuid", id)
	header.Set("Range", "0-"+strconv.FormatInt(max(size-1, 0), 10))
	c.w.WriteHeader(status)
	return nil
}
