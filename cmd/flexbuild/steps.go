package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// steps are the steps of a build, as BuildKit's plain progress reports them.
type steps struct {
	all   map[string]*step // by BuildKit's number
	order []*step          // as they began
	last  []string         // last lines of output, at most keptLines
}

// step is a step of a build, such as a RUN instruction.
type step struct {
	name    string
	began   time.Time
	active  time.Time // when it last wrote something
	ended   bool
	cached  bool
	counted bool // it is an instruction of the Dockerfile, other than FROM
}

// keptLines is how many of the last lines of output are kept.
const keptLines = 10

var (
	stepLine    = lazyregexp.New(`^#(\d+) (.*)$`)
	stepOutput  = lazyregexp.New(`^\d+\.\d+ (.*)$`)
	stepEnd     = lazyregexp.New(`^(DONE \d|CACHED$|CANCELED$|ERROR: )`)
	instruction = lazyregexp.New(`^\[([^\]]* )?\d+/\d+\] `)
	baseImage   = lazyregexp.New(`^\[[^\]]*\] FROM `)
)

// add reads a line of the build's output that came at the given time.
func (s *steps) add(line string, now time.Time) {
	match := stepLine().FindStringSubmatch(line)
	if match == nil {
		s.keep(line)
		return
	}
	number, text := match[1], match[2]
	known := s.all[number]
	switch {
	case known == nil:
		s.begin(number, text, now)
	case stepEnd().MatchString(text):
		known.ended, known.cached = true, text == "CACHED"
	default: // exporting to the registry goes on after a DONE
		known.ended, known.active = false, now
		if output := stepOutput().FindStringSubmatch(text); output != nil {
			s.keep(output[1])
		}
	}
}

func (s *steps) begin(number, name string, now time.Time) {
	if s.all == nil {
		s.all = map[string]*step{}
	}
	name = printable(name)
	began := &step{
		name: name, began: now, active: now,
		counted: instruction().MatchString(name) && !baseImage().MatchString(name),
	}
	s.all[number] = began
	s.order = append(s.order, began)
}

func (s *steps) keep(line string) {
	if line = printable(line); strings.TrimSpace(line) == "" {
		return
	}
	if s.last = append(s.last, line); len(s.last) > keptLines {
		s.last = s.last[1:]
	}
}

// running returns the steps that have begun and not ended.
func (s *steps) running() (running []*step) {
	for _, step := range s.order {
		if !step.ended {
			running = append(running, step)
		}
	}
	return running
}

// counts returns how many instructions were run and how many were cached, in
// words. It returns "" if there were none.
func (s *steps) counts() string {
	ran, cached := 0, 0
	for _, step := range s.order {
		switch {
		case !step.counted || !step.ended:
		case step.cached:
			cached++
		default:
			ran++
		}
	}
	if ran+cached == 0 {
		return ""
	}
	return fmt.Sprintf("steps: %d run, %d cached", ran, cached)
}
