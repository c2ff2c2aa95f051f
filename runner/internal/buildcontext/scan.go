package buildcontext

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/patternmatcher"
)

// Tree is the result of a scan: the entries of the archive, in its order.
type Tree struct {
	Files   int      // files, links and pipes
	Bytes   int64    // the size of all files; a file with several names counts once
	Skipped []string // sockets and devices, which are not sent

	context *Context
	entries []entry
}

// entry is one name in the archive.
type entry struct {
	path    string // relative to the context, with slashes; absolute if it is outside of the context
	name    string // in the archive
	mode    fs.FileMode
	modTime time.Time
	bytes   int64  // of a file
	first   string // of a hard link: the name under which the archive has the file
	shared  bool   // whether later entries are hard links to this one
}

func newEntry(name, inArchive string, info fs.FileInfo) entry {
	return entry{path: name, name: inArchive, mode: info.Mode(), modTime: info.ModTime(), bytes: info.Size()}
}

// Fingerprint returns the SHA-256, in hex, of what the scan found: names,
// sizes, modes and times. If it differs from an earlier one, the digest nearly
// always differs too. If it is the same, nothing has changed in all likelihood,
// but not certainly, because the files' contents are not part of it.
func (t *Tree) Fingerprint() string {
	sum := sha256.New()
	var line []byte
	for _, e := range t.entries {
		line = append(append(line[:0], e.path...), 0)
		line = append(append(line, e.first...), 0)
		for _, number := range []uint64{uint64(e.mode), uint64(e.bytes), uint64(e.modTime.UnixNano())} {
			line = binary.BigEndian.AppendUint64(line, number)
		}
		sum.Write(line)
	}
	return hexOf(sum)
}

// Scan lists the files of the context. It reads only names and metadata. If
// something cannot be packed, Scan returns a [ContentError].
func (c *Context) Scan(ctx context.Context) (*Tree, error) {
	s := &scanner{context: c, tree: &Tree{context: c}, always: c.alwaysSent(), names: map[fileID]int{}}
	if c.Dir != "" { // the folder exists even if the context is empty
		s.tree.entries = append(s.tree.entries, entry{path: ".", name: c.Dir, mode: fs.ModeDir | 0o755, modTime: time.Unix(0, 0)})
	}
	err := filepath.WalkDir(c.path+string(filepath.Separator), func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.visit(name, d, err)
	})
	if err == nil {
		err = s.addOutside()
	}
	if err != nil {
		return nil, fmt.Errorf("build context %q: %w", c.path, err)
	}
	return s.tree, nil
}

type scanner struct {
	context *Context
	tree    *Tree
	always  map[string]bool
	parents []directory    // of the path being visited, outermost first
	names   map[fileID]int // entries of the files that have several names
}

// directory is a directory that the walk is in.
type directory struct {
	path    string
	info    fs.FileInfo
	matched patternmatcher.MatchInfo
	listed  bool // it is among the entries
}

func (s *scanner) visit(name string, d fs.DirEntry, walkErr error) error {
	name, err := filepath.Rel(s.context.path, name)
	if err != nil {
		return err
	}
	if name = filepath.ToSlash(name); name == "." {
		return walkErr
	}
	s.leaveTo(name)
	ignored, matched, err := s.match(name)
	if err != nil {
		return err
	}
	if walkErr != nil {
		return s.unreadable(name, ignored, walkErr)
	}
	if ignored && d.IsDir() && !s.mayHold(name) {
		return filepath.SkipDir
	}
	info, err := d.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was deleted during the walk
	}
	if err != nil {
		return err
	}
	if !ignored {
		if err := s.list(name, info); err != nil {
			return err
		}
	}
	if d.IsDir() {
		s.parents = append(s.parents, directory{name, info, matched, !ignored})
	}
	return nil
}

// unreadable returns the error for a directory that cannot be listed: none if
// it is ignored or was deleted.
func (s *scanner) unreadable(name string, ignored bool, err error) error {
	if errors.Is(err, fs.ErrNotExist) || ignored && errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return cannotRead(name, err)
}

func cannotRead(name string, err error) error {
	return &ContentError{fmt.Errorf("cannot read %q: make it readable, or name it in %s: %w", name, ignoreFile, err)}
}

func (s *scanner) leaveTo(name string) {
	for len(s.parents) > 0 {
		last := s.parents[len(s.parents)-1]
		if strings.HasPrefix(name, last.path+"/") {
			return
		}
		s.parents = s.parents[:len(s.parents)-1]
	}
}

// match reports whether the ignore file excludes the path. As in BuildKit,
// matches of its parent count.
func (s *scanner) match(name string) (ignored bool, matched patternmatcher.MatchInfo, err error) {
	if s.context.ignore == nil {
		return false, matched, nil
	}
	var parent patternmatcher.MatchInfo
	if len(s.parents) > 0 {
		parent = s.parents[len(s.parents)-1].matched
	}
	ignored, matched, err = s.context.ignore.MatchesUsingParentResults(name, parent)
	if err != nil {
		return false, matched, fmt.Errorf("ignore file: a pattern cannot be matched with %q: %w", name, err)
	}
	return ignored && !s.always[name], matched, nil
}

// mayHold reports whether an ignored directory may contain something that is
// sent: an exception of the ignore file, or a file that is always sent.
func (s *scanner) mayHold(dir string) bool {
	for name := range s.always {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	for _, pattern := range s.context.ignore.Patterns() {
		if pattern.Exclusion() && mayMatchInside(filepath.ToSlash(pattern.String()), dir) {
			return true
		}
	}
	return false
}

// mayMatchInside reports whether a pattern may match something inside dir. It
// only saves time, so it may return true wrongly.
func mayMatchInside(pattern, dir string) bool {
	literal := strings.TrimSuffix(strings.TrimSuffix(pattern, "/**"), "/*")
	if strings.ContainsAny(literal, `*[]?^\`) {
		return true
	}
	return strings.HasPrefix(literal+"/", dir+"/")
}

// list adds the path, after those of its parents that were ignored themselves.
func (s *scanner) list(name string, info fs.FileInfo) error {
	if info.Mode()&(fs.ModeSocket|fs.ModeDevice|fs.ModeCharDevice|fs.ModeIrregular) != 0 {
		s.tree.Skipped = append(s.tree.Skipped, name)
		return nil
	}
	for i := range s.parents {
		if !s.parents[i].listed {
			s.add(s.parents[i].path, s.parents[i].info)
			s.parents[i].listed = true
		}
	}
	s.add(name, info)
	return nil
}

func (s *scanner) add(name string, info fs.FileInfo) {
	inArchive := name
	if s.context.Dir != "" {
		inArchive = path.Join(s.context.Dir, name)
	}
	e := newEntry(name, inArchive, info)
	if info.IsDir() {
		s.tree.entries = append(s.tree.entries, e)
		return
	}
	s.tree.Files++
	if id, several := fileIDOf(info); several && info.Mode().IsRegular() {
		if i, found := s.names[id]; found {
			s.tree.entries[i].shared = true
			e.first = s.tree.entries[i].name
		} else {
			s.names[id] = len(s.tree.entries)
		}
	}
	s.tree.Bytes += e.size()
	s.tree.entries = append(s.tree.entries, e)
}

// addOutside adds a Dockerfile from outside of the context, with its ignore
// file.
func (s *scanner) addOutside() error {
	outside := s.context.outside
	if outside == "" {
		return nil
	}
	for _, name := range []string{outside, outside + ignoreSuffix} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("the Dockerfile %q: %w", outside, err)
		}
		s.tree.Files++
		s.tree.Bytes += info.Size()
		s.tree.entries = append(s.tree.entries, newEntry(name, path.Join(dockerfileFolder, filepath.Base(name)), info))
	}
	return nil
}

// alwaysSent returns the paths that are sent whatever the ignore file says: the
// build needs the Dockerfile, and reads the ignore files itself.
func (c *Context) alwaysSent() map[string]bool {
	always := map[string]bool{}
	c.follow(ignoreFile, always, 0)
	if c.outside == "" {
		c.follow(c.Dockerfile, always, 0)
		c.follow(c.Dockerfile+ignoreSuffix, always, 0)
	}
	return always
}

// maxLinks is the maximum number of symbolic links on a path, as in Linux.
const maxLinks = 40

// follow adds the path, every symbolic link on its way, and the links' targets.
// As in BuildKit, an absolute link starts at the context.
func (c *Context) follow(name string, found map[string]bool, links int) {
	name = strings.TrimPrefix(path.Join("/", name), "/")
	parts := strings.Split(name, "/")
	for i := range parts {
		prefix := path.Join(parts[:i+1]...)
		target, err := c.root.Readlink(filepath.FromSlash(prefix))
		if err != nil || links >= maxLinks {
			continue // no link
		}
		found[prefix] = true
		target = filepath.ToSlash(target)
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(prefix), target)
		}
		c.follow(path.Join(append([]string{target}, parts[i+1:]...)...), found, links+1)
		return
	}
	if _, err := c.root.Lstat(filepath.FromSlash(name)); err == nil || !os.IsNotExist(err) {
		found[name] = true
	}
}
