package buildcontext

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/moby/patternmatcher"
)

// entry is a file, directory or symbolic link to be packed.
type entry struct {
	path string // relative to the context, with slashes
	info fs.FileInfo
}

// scan lists what belongs to the context, in the order of filepath.WalkDir, and
// the special files that were left out.
func (c *Context) scan(ctx context.Context) (entries []entry, skipped []string, err error) {
	s := &scanner{context: c, always: c.alwaysSent()}
	err = filepath.WalkDir(c.path+string(filepath.Separator), func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.visit(name, d, err)
	})
	return s.entries, s.skipped, err
}

type scanner struct {
	context *Context
	always  map[string]bool
	parents []directory // of the path being visited, outermost first
	entries []entry
	skipped []string
}

// directory is one that the walk is inside of.
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
		return nil // it went while we were walking
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

// unreadable decides about a directory that cannot be listed: no matter if it
// is ignored, or has gone.
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

// match tells whether the ignore file drops the path. What its parent matched
// counts, as in BuildKit.
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

// mayHold tells whether an ignored directory may hold something that is sent:
// an exception of the ignore file, or a file that always is.
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

// mayMatchInside is for speed only; when in doubt it says yes.
func mayMatchInside(pattern, dir string) bool {
	literal := strings.TrimSuffix(strings.TrimSuffix(pattern, "/**"), "/*")
	if strings.ContainsAny(literal, `*[]?^\`) {
		return true
	}
	return strings.HasPrefix(literal+"/", dir+"/")
}

// list adds the path, after its parents that were ignored themselves.
func (s *scanner) list(name string, info fs.FileInfo) error {
	if info.Mode()&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice|fs.ModeCharDevice|fs.ModeIrregular) != 0 {
		s.skipped = append(s.skipped, name)
		return nil
	}
	if !utf8.ValidString(name) {
		return &ContentError{fmt.Errorf("the name %q is not UTF-8, which an archive cannot carry safely: rename it, or name it in %s", name, ignoreFile)}
	}
	if strings.ContainsRune(name, '\\') {
		return &ContentError{fmt.Errorf("the name %q has a backslash, which archives take for a separator: rename it, or name it in %s", name, ignoreFile)}
	}
	for i := range s.parents {
		if !s.parents[i].listed {
			s.entries = append(s.entries, entry{s.parents[i].path, s.parents[i].info})
			s.parents[i].listed = true
		}
	}
	s.entries = append(s.entries, entry{name, info})
	return nil
}

// alwaysSent returns the paths that the ignore file cannot drop: the build needs
// the Dockerfile and reads the ignore files itself.
func (c *Context) alwaysSent() map[string]bool {
	always := map[string]bool{}
	c.follow(ignoreFile, always, 0)
	if c.outside == "" {
		c.follow(c.Dockerfile, always, 0)
		c.follow(c.Dockerfile+ignoreSuffix, always, 0)
	}
	return always
}

// maxLinks is how many symbolic links a path may go through, as in Linux.
const maxLinks = 40

// follow adds the path with every symbolic link on its way, and what they lead
// to. A link to an absolute path starts at the context, as in BuildKit.
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
