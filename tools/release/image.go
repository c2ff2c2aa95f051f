package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is the number of the user that the command runs as in its image.
const user = 65532

// system is what the image for one platform is made of.
type system struct {
	*binary
	papers []entry
}

// image returns an OCI image layout in a tar file. It has one image, whose tag
// is the version, for all platforms.
func image(systems []*system) ([]byte, error) {
	var index v1.ImageIndex = empty.Index
	for _, s := range systems {
		image, err := s.image()
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &s.platform}})
	}
	first := systems[0]
	index = mutate.Annotations(index, first.labels()).(v1.ImageIndex)
	folder, err := os.MkdirTemp("", "flexbuild-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	written, err := layout.Write(folder, empty.Index)
	if err != nil {
		return nil, err
	}
	if err := written.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": first.version()})); err != nil {
		return nil, err
	}
	entries, err := entriesOf(folder)
	if err != nil {
		return nil, err
	}
	return tarOf(entries, first.time)
}

// image returns the image for one platform: the command, the certificates of
// authorities, and nothing else but folders that programs expect.
func (s *system) image() (v1.Image, error) {
	content, err := tarOf(s.files(), s.time)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: s.time}, CreatedBy: "make release"}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = s.platform.OS, s.platform.Architecture, v1.Time{Time: s.time}
	config.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", user, user),
		Env:        []string{"PATH=/usr/bin", "HOME=/home/flexbuild"},
		Entrypoint: []string{"/usr/bin/flexbuild"},
		WorkingDir: "/src",
		Labels:     s.labels(),
	}
	return mutate.ConfigFile(image, config)
}

func (s *system) files() []entry {
	const documents = "usr/share/doc/flexbuild/"
	files := []entry{
		{name: "etc/", mode: 0o755},
		{name: "etc/passwd", mode: 0o644, content: fmt.Appendf(nil, "flexbuild:x:%d:%[1]d::/home/flexbuild:/sbin/nologin\n", user)},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: authorities()},
		{name: "home/", mode: 0o755},
		{name: "home/flexbuild/", mode: 0o755, owner: user},
		{name: "src/", mode: 0o755, owner: user},
		{name: "tmp/", mode: 0o1777},
		{name: "usr/", mode: 0o755},
		{name: "usr/bin/", mode: 0o755},
		{name: "usr/bin/flexbuild", mode: 0o755, content: s.content},
		{name: "usr/share/", mode: 0o755},
		{name: "usr/share/doc/", mode: 0o755},
		{name: documents, mode: 0o755},
	}
	for _, paper := range s.papers {
		paper.name = documents + paper.name
		files = append(files, paper)
	}
	return files
}

// authorities returns the roots that Mozilla trusts, as Go's own module has
// them. Those that Mozilla trusts only for older certificates are left out:
// the file cannot say so.
func authorities() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return text.Bytes()
}

func (s *system) labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":    "flexbuild",
		"org.opencontainers.image.source":   "https://" + s.info.Main.Path,
		"org.opencontainers.image.version":  s.version(),
		"org.opencontainers.image.revision": s.commit(),
		"org.opencontainers.image.created":  stamp(s.time),
	}
}

// entriesOf returns what a folder contains, sorted by name.
func entriesOf(folder string) (entries []entry, err error) {
	err = filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == folder {
			return err
		}
		name, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		if d.IsDir() {
			entries = append(entries, entry{name: filepath.ToSlash(name) + "/", mode: 0o755})
			return nil
		}
		content, err := os.ReadFile(file)
		entries = append(entries, entry{name: filepath.ToSlash(name), mode: 0o644, content: content})
		return err
	})
	return entries, err
}
