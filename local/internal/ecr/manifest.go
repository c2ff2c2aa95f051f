package ecr

import (
	"encoding/json"
	"strings"

	gcrtypes "github.com/google/go-containerregistry/pkg/v1/types"
)

// A descriptor is what a manifest says about something it refers to.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// A manifest is the part of an image manifest or an image index that a registry
// acts on.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *descriptor       `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// parseManifest reads a manifest that was pushed with the given media type.
func parseManifest(mediaType string, text []byte) (manifest, error) {
	var m manifest
	kind := gcrtypes.MediaType(mediaType)
	if !kind.IsImage() && !kind.IsIndex() {
		return m, invalid("Invalid parameter at 'imageManifestMediaType': %q is neither an image manifest nor an image index", mediaType)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, invalid("Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax': %v", err)
	}
	if m.SchemaVersion != 2 || m.MediaType != "" && m.MediaType != mediaType {
		return m, invalid("Invalid parameter at 'ImageManifest': schema version %d and media type %q do not fit an image pushed as %s", m.SchemaVersion, m.MediaType, mediaType)
	}
	if kind.IsImage() && m.Config == nil {
		return m, invalid("Invalid parameter at 'ImageManifest': an image manifest needs a config")
	}
	return m, m.refuseLayersInIndex()
}

// refuseLayersInIndex refuses what BuildKit exports as a registry cache unless
// it has image-manifest=true: ECR does too.
func (m manifest) refuseLayersInIndex() error {
	for _, d := range m.Manifests {
		if kind := gcrtypes.MediaType(d.MediaType); !kind.IsImage() && !kind.IsIndex() {
			return invalid("Invalid parameter at 'ImageManifest': the index lists %s, a %s; an index may list images only (for a build cache, say image-manifest=true)", d.Digest, d.MediaType)
		}
	}
	return nil
}

// blobs lists the config and the layers that must be in the repository. Foreign
// layers live elsewhere.
func (m manifest) blobs() []descriptor {
	var all []descriptor
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	for _, layer := range m.Layers {
		if gcrtypes.MediaType(layer.MediaType).IsDistributable() {
			all = append(all, layer)
		}
	}
	return all
}

// kind is the media type of an artifact: its own, else its config's.
func (m manifest) kind() string {
	if m.ArtifactType == "" && m.Config != nil {
		return m.Config.MediaType
	}
	return m.ArtifactType
}

// isDigest reports whether a reference is a digest and not a tag.
func isDigest(reference string) bool { return strings.Contains(reference, ":") }
