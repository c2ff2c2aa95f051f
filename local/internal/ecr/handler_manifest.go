package ecr

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	gcrtypes "github.com/google/go-containerregistry/pkg/v1/types"
)

// maxManifest is the largest accepted manifest in bytes: 4 MiB, as the
// distribution specification recommends.
const maxManifest = 4 << 20

// serveManifest answers GET and HEAD of an image.
func (s *Service) serveManifest(c call) error {
	img, found, err := s.resolve(c.name, c.reference)
	if err != nil {
		return err
	}
	if !found {
		return imageNotFound("Requested image not found")
	}
	header := c.w.Header()
	header.Set("Content-Type", img.MediaType)
	header.Set("Content-Length", strconv.Itoa(len(img.Manifest)))
	header.Set("Docker-Content-Digest", img.Digest)
	c.w.Write(img.Manifest) // a client that has gone away gets no error
	return nil
}

// pushManifest answers PUT of an image.
func (s *Service) pushManifest(c call) error {
	text, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxManifest))
	if err != nil {
		return &protocolError{http.StatusBadRequest, "MANIFEST_INVALID", fmt.Sprintf("read the manifest: %v", err)}
	}
	img, err := s.putImage(c.repository, c.reference, c.r.Header.Get("Content-Type"), text)
	if err != nil {
		return err
	}
	header := c.w.Header()
	header.Set("Location", "/v2/"+c.name+"/manifests/"+img.Digest)
	header.Set("Docker-Content-Digest", img.Digest)
	if img.Subject != "" {
		header.Set("OCI-Subject", img.Subject)
	}
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

// deleteManifest answers DELETE of a tag, or of an image with all its tags, as
// BatchDeleteImage does: an image without a tag is deleted.
func (s *Service) deleteManifest(c call) error {
	id := types.ImageIdentifier{ImageTag: &c.reference}
	if isDigest(c.reference) {
		id = types.ImageIdentifier{ImageDigest: &c.reference}
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	_, failure, err := s.deleteByID(c.name, id)
	switch {
	case err != nil:
		return err
	case failure != nil && failure.FailureCode == types.ImageFailureCodeImageNotFound:
		return imageNotFound("%s", *failure.FailureReason)
	case failure != nil:
		return &protocolError{http.StatusBadRequest, "DENIED", *failure.FailureReason}
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// listTags answers a page of a repository's tags, ordered.
func (s *Service) listTags(c call) error {
	entries, err := s.tags.List(tagKey(c.name, ""))
	if err != nil {
		return err
	}
	tags := make([]string, len(entries))
	for i, e := range entries {
		tags[i] = e.Key[len(tagKey(c.name, "")):]
	}
	if tags, err = pageOfNames(c.w, c.r, tags); err != nil {
		return err
	}
	return writeJSON(c.w, "application/json", map[string]any{"name": c.name, "tags": tags})
}

// serveCatalog answers a page of the registry's repositories, ordered.
func (s *Service) serveCatalog(w http.ResponseWriter, r *http.Request) error {
	entries, err := s.repositories.List("")
	if err != nil {
		return err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Key
	}
	if names, err = pageOfNames(w, r, names); err != nil {
		return err
	}
	return writeJSON(w, "application/json", map[string]any{"repositories": names})
}

// maxNames is the largest page of tags or repositories, and the default.
const maxNames = 1000

// pageOfNames returns the names behind last that a request asks for, n at most,
// and links to the next page. ECR refuses an n above 1,000 with these words.
func pageOfNames(w http.ResponseWriter, r *http.Request, names []string) ([]string, error) {
	query, n := r.URL.Query(), maxNames
	if text := query.Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 0 || n > maxNames {
			return nil, &protocolError{http.StatusMethodNotAllowed, "UNSUPPORTED", fmt.Sprintf(
				"Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to %d': n is %s", maxNames, text)}
		}
	}
	from, found := slices.BinarySearch(names, query.Get("last"))
	if found {
		from++
	}
	page := names[from:min(from+n, len(names))]
	if n > 0 && from+n < len(names) {
		next := url.Values{"last": {page[n-1]}, "n": {strconv.Itoa(n)}}
		w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.Path, next.Encode()))
	}
	return page, nil
}

// listReferrers answers an index of the images whose subject is the reference.
func (s *Service) listReferrers(c call) error {
	referrers, err := s.referrers(c.name, c.reference)
	if err != nil {
		return err
	}
	if kind := c.r.URL.Query().Get("artifactType"); kind != "" {
		referrers = slices.DeleteFunc(referrers, func(r types.ImageReferrer) bool { return aws.ToString(r.ArtifactType) != kind })
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	type entry struct {
		descriptor
		ArtifactType string            `json:"artifactType,omitempty"`
		Annotations  map[string]string `json:"annotations,omitempty"`
	}
	entries := make([]entry, len(referrers))
	for i, r := range referrers {
		entries[i] = entry{descriptor{*r.MediaType, *r.Digest, *r.Size}, *r.ArtifactType, r.Annotations}
	}
	index := map[string]any{"schemaVersion": 2, "mediaType": gcrtypes.OCIImageIndex, "manifests": entries}
	return writeJSON(c.w, string(gcrtypes.OCIImageIndex), index)
}

func writeJSON(w http.ResponseWriter, contentType string, v any) error {
	w.Header().Set("Content-Type", contentType)
	json.NewEncoder(w).Encode(v) // a client that has gone away gets no error
	return nil
}
