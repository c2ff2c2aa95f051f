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

// maxManifest is the largest manifest taken, in bytes: the 4 MiB that the distribution specification wants taken.
const maxManifest = 4 << 20

// serveManifest answers GET and HEAD of an image.
func (s *Service) serveManifest(c call) error {
	img, found, err := s.resolve(c.name, c.reference)
	if err != nil {
		return err
	}
	if !found {
		return &types.ImageNotFoundException{Message: aws.String("Requested image not found")}
	}
	header := c.w.Header()
	header.Set("Content-Type", img.MediaType)
	header.Set("Content-Length", strconv.Itoa(len(img.Manifest)))
	header.Set("Docker-Content-Digest", img.Digest)
	c.w.Write(img.Manifest) // a client that has gone away is nobody to tell
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

// listTags answers a page of a repository's tags, ordered.
func (s *Service) listTags(c call) error {
	entries, err := s.tags.List(tagKey(c.name, ""))
	if err != nil {
		return err
	}
	tags := []string{}
	last, n := c.r.URL.Query().Get("last"), pageSize(c.r.URL.Query())
	for _, e := range entries {
		if tag := e.Key[len(tagKey(c.name, "")):]; tag > last {
			tags = append(tags, tag)
		}
	}
	if len(tags) > n {
		tags = tags[:n]
		next := url.Values{"last": {tags[n-1]}, "n": {strconv.Itoa(n)}}
		c.w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?%s>; rel="next"`, c.name, next.Encode()))
	}
	return writeJSON(c.w, "application/json", map[string]any{"name": c.name, "tags": tags})
}

// pageSize is the number of tags in a page: 1 to 1000, as on ECR.
func pageSize(query url.Values) int {
	n, err := strconv.Atoi(query.Get("n"))
	if err != nil || n < 1 {
		return 1000
	}
	return min(n, 1000)
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
	json.NewEncoder(w).Encode(v) // a client that has gone away is nobody to tell
	return nil
}
