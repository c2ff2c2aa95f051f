package buildcontext

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const (
	ignoreFile   = ".dockerignore"
	ignoreSuffix = ".dockerignore" // Dockerfile.dockerignore beside a Dockerfile replaces .dockerignore
)

// readIgnore reads the ignore file that docker would read: the Dockerfile's
// own, or the context's, or none.
func (c *Context) readIgnore() error {
	if c.Dockerfile == "" {
		return nil // the missing Dockerfile is reported elsewhere
	}
	file, name, err := c.openIgnore()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return c.cannotReadIgnore(name, err)
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		return c.cannotReadIgnore(name, err)
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil {
		return c.cannotReadIgnore(name, err)
	}
	if c.ignore, err = compile(patterns); err != nil {
		return fmt.Errorf("ignore file %q%s: correct or remove the pattern", name, wrongLine(text, err))
	}
	return nil
}

// openIgnore opens the Dockerfile's own ignore file, or the context's. It
// returns the file's name as the user knows it.
func (c *Context) openIgnore() (file fs.File, name string, err error) {
	if c.outside != "" {
		name = c.outside + ignoreSuffix
		file, err = os.Open(name)
	} else {
		name = c.Dockerfile + ignoreSuffix
		file, err = c.openInside(name)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return file, name, err
	}
	file, err = c.openInside(ignoreFile)
	return file, ignoreFile, err
}

// openInside opens a file of the context. For a link that leads nowhere it
// returns an error of its own: only a name that does not exist is
// fs.ErrNotExist.
func (c *Context) openInside(name string) (fs.File, error) {
	if _, err := c.root.Lstat(filepath.FromSlash(name)); err != nil {
		return nil, err
	}
	file, err := c.root.Open(filepath.FromSlash(name))
	if target := c.linkTarget(name); err != nil && target != "" {
		return nil, leadsOut(target)
	}
	return file, err
}

func (c *Context) cannotReadIgnore(name string, err error) error {
	return fmt.Errorf("ignore file %q of %q: %w", name, c.path, err)
}

// linkTarget returns the target of the link called name, "" for anything else.
func (c *Context) linkTarget(name string) string {
	target, err := c.root.Readlink(filepath.FromSlash(name))
	if err != nil {
		return ""
	}
	return target
}

// leadsOut returns the error for a link out of the context, which the build
// could not follow because it gets nothing else.
func leadsOut(target string) error {
	return fmt.Errorf("it is a link to %q, which leads out of the context or nowhere: put a copy of the file in the link's place", target)
}

// compile makes the matcher. It tries every pattern, so that a wrong one is
// reported at once and not at its first use.
func compile(patterns []string) (*patternmatcher.PatternMatcher, error) {
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	for _, pattern := range patterns {
		one, err := patternmatcher.New([]string{pattern})
		if err != nil {
			return nil, err
		}
		if _, err := one.MatchesOrParentMatches("x"); err != nil {
			return nil, err
		}
	}
	return matcher, nil
}

// wrongLine returns the line with the pattern that cannot be compiled.
func wrongLine(text []byte, cause error) string {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		patterns, err := ignorefile.ReadAll(strings.NewReader(lines.Text()))
		if err != nil {
			break
		}
		if _, err := compile(patterns); err != nil {
			return fmt.Sprintf(", line %d, %q: %v", number, strings.TrimSpace(lines.Text()), err)
		}
	}
	return fmt.Sprintf(": %v", cause)
}
