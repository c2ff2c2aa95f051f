package standin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// An imageStore is a folder with the images that a build has built, where
// docker has those of its daemon: an OCI layout, which BuildKit writes and
// reads, with a folder of names. Each build has its own, because it lies in the
// build's home.
type imageStore string

func storeOf(getenv func(string) string) imageStore {
	return imageStore(filepath.Join(getenv("HOME"), ".docker-images"))
}

// A namedImage is a name and the digest of the image that has it.
type namedImage struct {
	Name   string // "index.docker.io/library/app:1"
	Digest v1.Hash
}

func (s imageStore) namePath(tag string) string {
	return filepath.Join(string(s), "names", url.PathEscape(tag))
}

// name gives an image a name, and takes it from the image that had it.
func (s imageStore) name(tag name.Tag, digest v1.Hash) error {
	text, err := json.Marshal(namedImage{tag.Name(), digest})
	if err != nil {
		return err
	}
	return replaceFile(s.namePath(tag.Name()), text)
}

// names returns the images with names, ordered by name.
func (s imageStore) names() ([]namedImage, error) {
	files, err := os.ReadDir(filepath.Join(string(s), "names"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []namedImage
	for _, file := range files {
		if strings.HasPrefix(file.Name(), ".") { // one that is being written
			continue
		}
		named, err := readName(filepath.Join(string(s), "names", file.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, named)
	}
	return all, err
}

func readName(path string) (named namedImage, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &named)
	}
	return named, err
}

// image returns the image with a digest.
func (s imageStore) image(digest v1.Hash) (v1.Image, error) {
	l, err := layout.FromPath(string(s))
	if err != nil {
		return nil, err
	}
	return l.Image(digest)
}

// built returns the digest of the image that BuildKit wrote with a tag.
func (s imageStore) built(tag string) (v1.Hash, error) {
	manifests, err := s.manifests()
	if err != nil {
		return v1.Hash{}, err
	}
	for _, m := range manifests {
		if match.Name(tag)(m) {
			return m.Digest, nil
		}
	}
	return v1.Hash{}, fmt.Errorf("BuildKit wrote no image to %s", s)
}

func (s imageStore) manifests() ([]v1.Descriptor, error) {
	index, err := layout.ImageIndexFromPath(string(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	return manifest.Manifests, nil
}

// imageID has the forms of an image's id that docker takes: all of it or its
// beginning.
var imageID = lazyregexp.New(`^(?:sha256:)?([0-9a-f]{1,64})$`)

// find returns the digest of the image with a name, or with an id.
func (s imageStore) find(text string) (v1.Hash, error) {
	tag, err := name.NewTag(text)
	if err == nil {
		named, readErr := readName(s.namePath(tag.Name()))
		if !errors.Is(readErr, fs.ErrNotExist) {
			return named.Digest, readErr
		}
	}
	id := imageID().FindStringSubmatch(text)
	if id == nil {
		return v1.Hash{}, fmt.Errorf("No such image: %s", text)
	}
	return s.findID(id[1])
}

func (s imageStore) findID(id string) (v1.Hash, error) {
	manifests, err := s.manifests()
	if err != nil {
		return v1.Hash{}, err
	}
	for _, m := range manifests {
		if config, err := s.config(m.Digest); err != nil || strings.HasPrefix(config.Hex, id) {
			return m.Digest, err
		}
	}
	return v1.Hash{}, fmt.Errorf("No such image: %s", id)
}

// config returns the digest of an image's configuration, which is its id for
// docker.
func (s imageStore) config(digest v1.Hash) (v1.Hash, error) {
	image, err := s.image(digest)
	if err != nil {
		return v1.Hash{}, err
	}
	return image.ConfigName()
}

// runImages prints the names of the images.
func runImages(in invocation) int {
	if len(in.args) > 1 {
		return in.fail(exitRefused, "docker: %v", notDone("docker "+strings.Join(in.args, " ")))
	}
	store := storeOf(in.getenv)
	names, err := store.names()
	if err != nil {
		return in.fail(1, "Error response from daemon: %v", err)
	}
	table := tabwriter.NewWriter(in.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "REPOSITORY\tTAG\tIMAGE ID")
	for _, n := range names {
		id, err := store.config(n.Digest)
		if err != nil {
			return in.fail(1, "Error response from daemon: %v", err)
		}
		tag, err := name.NewTag(n.Name)
		if err != nil {
			return in.fail(1, "Error response from daemon: %v", err)
		}
		fmt.Fprintf(table, "%s\t%s\t%.12s\n", familiar(tag.Repository), tag.TagStr(), id.Hex)
	}
	if err := table.Flush(); err != nil {
		return in.fail(1, "%v", err)
	}
	return 0
}

// familiar returns a repository as docker prints it.
func familiar(r name.Repository) string {
	return strings.TrimPrefix(strings.TrimPrefix(r.Name(), name.DefaultRegistry+"/"), "library/")
}

// runTag gives an image another name.
func runTag(in invocation) int {
	words, err := parseFlags(in.args[1:], nil, nil)
	if err != nil {
		return in.fail(exitRefused, "docker: %v", err)
	}
	if len(words) != 2 {
		return in.fail(1, `"docker tag" requires exactly 2 arguments.`)
	}
	to, err := name.NewTag(words[1])
	if err != nil {
		return in.fail(1, "Error parsing reference: %q is not a valid repository/tag: %v", words[1], err)
	}
	store := storeOf(in.getenv)
	digest, err := store.find(words[0])
	if err == nil {
		err = store.name(to, digest)
	}
	if err != nil {
		return in.fail(1, "Error response from daemon: %v", err)
	}
	return 0
}

// replaceFile writes a file with mode 0600 under another name first, and then
// renames it.
func replaceFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // has no effect after success
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
