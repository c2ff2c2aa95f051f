// Package buildcontext packs a local directory into the archive that a build
// downloads as its source. The archive has what docker would send:
//
//	c, err := buildcontext.Open("examples/hello", "Dockerfile")
//	…
//	defer c.Close()
//	tree, err := c.Scan(ctx)                     // names and sizes
//	if tree.Fingerprint() == last {              // it looks as it did before
//		digest, err := tree.Digest(ctx, progress)
//		…                                        // is it in the bucket already?
//	}
//	digest, err := tree.WriteZip(ctx, file, progress)
//
// [Open] finds the Dockerfile and the ignore file before anything is read, so
// that a mistake costs nothing. [Context.Dir] and [Context.Dockerfile] say
// where the two lie in the archive.
//
// What goes in is BuildKit's rule: all that the ignore file leaves, with its
// own matcher and its order of walking, and always the Dockerfile and the
// ignore files, which the build reads again. Directories (empty ones too),
// symbolic and hard links, pipes, modes with their special bits and
// modification times in nanoseconds are kept, and names of any bytes. Owners
// become root, as with docker. Sockets and devices are skipped, and
// [Tree.Skipped] lists them. Extended attributes are not kept.
//
// The archive is a tar, compressed with gzip (pack.go, tar.go), inside of a
// ZIP, which is the form of a source that CodeBuild takes (zip.go). Nothing
// that has to arrive depends on what the ZIP's reader keeps. The tar's SHA-256
// names the tree: equal trees have equal ones, on every machine.
package buildcontext

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
)

const defaultDockerfile = "Dockerfile"

// These are the folders of an archive whose Dockerfile is outside of the
// context. So nothing is added to the context.
const (
	contextFolder    = "context"
	dockerfileFolder = "dockerfile"
)

// Context is a directory that is ready to be packed. Close it.
type Context struct {
	// Dir is the path of the context in the archive, "" for its top.
	Dir string
	// Dockerfile is the Dockerfile's path relative to Dir.
	Dockerfile string

	path    string   // the directory
	root    *os.Root // the directory, as a root that links cannot lead out of
	outside string   // the path of the Dockerfile, if it is outside of the directory
	ignore  *patternmatcher.PatternMatcher
}

// Open prepares dir for packing. dockerfile is a path relative to dir or an
// absolute one, and may lie outside of dir. An empty dockerfile means
// Dockerfile, or dockerfile if only that exists.
func Open(dir, dockerfile string) (*Context, error) {
	root, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	c := &Context{path: dir, root: root}
	if err := errors.Join(c.findDockerfile(dockerfile), c.readIgnore()); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return c, nil
}

// Path returns the directory, as it was given to [Open].
func (c *Context) Path() string { return c.path }

// Close frees the directory's handle.
func (c *Context) Close() error { return c.root.Close() }

func openDirectory(dir string) (*os.Root, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("directory %q does not exist: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("directory %q cannot be read: %w", dir, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%q is not a directory: name the directory that is the build context", dir)
	}
	return os.OpenRoot(dir)
}

// findDockerfile sets Dir, Dockerfile and outside.
func (c *Context) findDockerfile(name string) error {
	if name == "" {
		name = defaultDockerfile
	}
	inside, isInside := c.locate(name)
	if !isInside {
		return c.takeOutside(name)
	}
	c.Dockerfile = filepath.ToSlash(inside)
	if c.isFile(c.Dockerfile) {
		return nil
	}
	if lower := lowerCase(c.Dockerfile); c.isFile(lower) {
		c.Dockerfile = lower
		return nil
	}
	if target := c.linkTarget(c.Dockerfile); target != "" {
		return fmt.Errorf("%q: the Dockerfile %q: %w, or name the file itself", c.path, c.Dockerfile, leadsOut(target))
	}
	return fmt.Errorf("%q has no file %q: name the Dockerfile (a relative name is one in the context, that of the command's --file one in this directory)", c.path, c.Dockerfile)
}

func (c *Context) takeOutside(name string) error {
	if !filepath.IsAbs(name) {
		name = filepath.Join(c.path, name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("the Dockerfile %q cannot be read: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the Dockerfile %q is not a file", name)
	}
	c.outside = name
	c.Dir = contextFolder
	c.Dockerfile = path.Join("..", dockerfileFolder, filepath.Base(name))
	return nil
}

// locate returns the path of the Dockerfile in the context, and reports whether
// it lies in the context. Like docker, it follows links to the directory of the
// name. A name that looks like one inside may so lead outside, and the other
// way round.
func (c *Context) locate(name string) (string, bool) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(c.path, name)
	}
	inside, isInside := relative(c.path, name)
	if isInside && c.isDir(filepath.Dir(inside)) {
		return inside, true
	}
	realDir, errDir := filepath.EvalSymlinks(c.path)
	realParent, errParent := filepath.EvalSymlinks(filepath.Dir(name))
	if errDir != nil || errParent != nil {
		return inside, isInside
	}
	return relative(realDir, filepath.Join(realParent, filepath.Base(name)))
}

func relative(dir, name string) (string, bool) {
	dir, errDir := filepath.Abs(dir)
	name, errName := filepath.Abs(name)
	if errDir != nil || errName != nil {
		return "", false
	}
	inside, err := filepath.Rel(dir, name)
	return inside, err == nil && filepath.IsLocal(inside)
}

// lowerCase returns the other spelling of a default Dockerfile's path that
// docker accepts, "" for any other path.
func lowerCase(name string) string {
	if path.Base(name) != defaultDockerfile {
		return ""
	}
	return path.Join(path.Dir(name), strings.ToLower(defaultDockerfile))
}

// isDir reports whether name is a directory that no link leads to from outside
// of the context.
func (c *Context) isDir(name string) bool {
	info, err := c.root.Stat(name)
	return err == nil && info.IsDir()
}

func (c *Context) isFile(name string) bool {
	if name == "" {
		return false
	}
	info, err := c.root.Stat(filepath.FromSlash(name))
	return err == nil && info.Mode().IsRegular()
}
