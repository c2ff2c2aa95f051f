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

// readIgnore reads the ignore file that docker would: the Dockerfile's own, else
// the context's, else none.
func (c *Context) readIgnore() error {
	if c.Dockerfile == "" {
		return nil // the missing Dockerfile is the error
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

// openIgnore opens the Dockerfile's own ignore file, else the context's. The
// name is as the user knows it.
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

// openInside reports a link that leads nowhere as such: only a name that is not
// there at all is fs.ErrNotExist.
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

// linkTarget is what the link called name says, "" for anything else.
func (c *Context) linkTarget(name string) string {
	target, err := c.root.Readlink(filepath.FromSlash(name))
	if err != nil {
		return ""
	}
	return target
}

// leadsOut is the error for a link that the build could not follow, because it
// gets the context and nothing else.
func leadsOut(target string) error {
	return fmt.Errorf("it is a link to %q, which leads out of the context or nowhere: put a copy of the file in the link's place", target)
}

// compile makes the matcher, and reports at once what its first use would: every
// pattern is tried.
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

// wrongLine names the line that has the pattern which cannot be compiled.
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
