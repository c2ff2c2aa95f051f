package buildcontext_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild/runner/internal/buildcontext"
)

// goSource returns a directory with all of Go's own source.
func goSource(b *testing.B) *buildcontext.Tree {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	must(b, err)
	dir := b.TempDir()
	must(b, os.CopyFS(dir, os.DirFS(filepath.Join(strings.TrimSpace(string(root)), "src"))))
	must(b, os.WriteFile(filepath.Join(dir, "Dockerfile"), nil, 0o644))
	tree, err := open(b, dir, "").Scan(b.Context())
	must(b, err)
	return tree
}

func BenchmarkDigest(b *testing.B) {
	tree := goSource(b)
	b.SetBytes(tree.Bytes)
	for b.Loop() {
		_, err := tree.Digest(b.Context(), noProgress)
		must(b, err)
	}
}

func BenchmarkWriteZip(b *testing.B) {
	tree := goSource(b)
	b.SetBytes(tree.Bytes)
	for b.Loop() {
		file := newFile(b)
		_, err := tree.WriteZip(b.Context(), file, noProgress)
		must(b, err)
		must(b, os.Remove(file.Name()))
	}
}
