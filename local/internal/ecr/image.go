package ecr

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// An image is a pushed manifest. Its tags are apart, in the table of tags.
type image struct {
	Repository string
	Digest     string
	MediaType  string
	Manifest   []byte // as pushed, byte for byte: the digest is over these
	PushedAt   time.Time
	Size       int64  // bytes of its config and layers; of an index, those of its images
	Kind       string // artifact media type
	Subject    string // digest of the image that this one is about, such as a signature's; empty for none
}

// tagName is the form of tags in the distribution protocol.
var tagName = lazyregexp.New(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

func imageKey(repository, digest string) string { return repository + "@" + digest }
func tagKey(repository, tag string) string      { return repository + ":" + tag }

// digestOf returns the digest of a manifest's bytes.
func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// putImage records a pushed manifest and, unless reference is its digest, tags
// it. Of two pushes of one tag the later has the tag, and both images stay.
// Everything is recorded when it returns.
func (s *Service) putImage(r Repository, reference, mediaType string, text []byte) (image, error) {
	name := *r.RepositoryName
	m, err := parseManifest(mediaType, text)
	if err != nil {
		return image{}, err
	}
	img := image{Repository: name, Digest: digestOf(text), MediaType: mediaType, Manifest: text, Kind: m.kind()}
	if m.Subject != nil {
		img.Subject = m.Subject.Digest
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.checkReference(r, reference, img.Digest); err != nil {
		return img, err
	}
	if img.Size, err = s.checkContents(name, m); err != nil {
		return img, err
	}
	return img, s.record(img, reference)
}

// checkReference refuses a digest that is not the manifest's, and a tag that
// must stay with another image.
func (s *Service) checkReference(r Repository, reference, digest string) error {
	if isDigest(reference) {
		if reference != digest {
			return imageDigestDoesNotMatch(
				"The image was pushed as %s but the digest of its manifest is %s", reference, digest)
		}
		return nil
	}
	if !tagName().MatchString(reference) {
		return invalid("Invalid parameter at 'imageTag': %q does not satisfy regular expression '%s'", reference, tagName())
	}
	_, taken, err := s.tags.Get(tagKey(*r.RepositoryName, reference))
	if err == nil && taken && r.tagIsImmutable(reference) {
		err = imageTagAlreadyExists(
			"The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", reference, *r.RepositoryName)
	}
	return err
}

// checkContents refuses a manifest that refers to what was not pushed before
// it, and adds up the sizes of the rest.
func (s *Service) checkContents(repository string, m manifest) (size int64, err error) {
	var missing []string
	for _, blob := range m.blobs() {
		stored, found, err := s.layers.stat(repository, blob.Digest)
		if err != nil {
			return 0, err
		}
		if !found {
			missing = append(missing, blob.Digest)
		}
		size += stored
	}
	if len(missing) > 0 {
		return 0, layersNotFound(
			"Layers with digests '%v' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist", missing, repository, iam.AccountID)
	}
	for _, child := range m.Manifests {
		img, found, err := s.images.Get(imageKey(repository, child.Digest))
		if err != nil {
			return 0, err
		}
		if !found {
			missing = append(missing, child.Digest)
		}
		size += img.Size
	}
	if len(missing) > 0 {
		return 0, referencedImagesNotFound(
			"Images with digests '%v' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist", missing, repository, iam.AccountID)
	}
	return size, nil
}

// record writes the image before its tag, so that no tag ever points at
// nothing.
func (s *Service) record(img image, reference string) error {
	_, err := s.images.Update(imageKey(img.Repository, img.Digest), func(old image, found bool) (image, error) {
		if found {
			return old, nil
		}
		img.PushedAt = s.Clock.Now().UTC().Truncate(time.Millisecond)
		return img, nil
	})
	if err != nil || isDigest(reference) {
		return err
	}
	return s.tags.Put(tagKey(img.Repository, reference), img.Digest)
}

// resolve finds an image by tag or digest.
func (s *Service) resolve(repository, reference string) (image, bool, error) {
	digest := reference
	if !isDigest(reference) {
		var found bool
		var err error
		if digest, found, err = s.tags.Get(tagKey(repository, reference)); err != nil || !found {
			return image{}, false, err
		}
	}
	return s.images.Get(imageKey(repository, digest))
}

// tagsOf returns the tags of a repository by the digest of their image, each
// list ordered.
func (s *Service) tagsOf(repository string) (map[string][]string, error) {
	entries, err := s.tags.List(tagKey(repository, ""))
	if err != nil {
		return nil, err
	}
	byDigest := map[string][]string{}
	for _, e := range entries {
		byDigest[e.Value] = append(byDigest[e.Value], e.Key[len(tagKey(repository, "")):])
	}
	return byDigest, nil
}

// imagesOf returns a repository's images in the order of their pushes.
func (s *Service) imagesOf(repository string) ([]image, error) {
	entries, err := s.images.List(imageKey(repository, ""))
	if err != nil {
		return nil, err
	}
	images := make([]image, len(entries))
	for i, e := range entries {
		images[i] = e.Value
	}
	slices.SortStableFunc(images, func(a, b image) int { return a.PushedAt.Compare(b.PushedAt) })
	return images, nil
}

// deleteImage removes an image after its tags. The caller holds s.writing.
func (s *Service) deleteImage(img image) error {
	tags, err := s.tagsOf(img.Repository)
	if err != nil {
		return err
	}
	for _, tag := range tags[img.Digest] {
		if err := s.tags.Delete(tagKey(img.Repository, tag)); err != nil {
			return err
		}
	}
	return s.images.Delete(imageKey(img.Repository, img.Digest))
}
