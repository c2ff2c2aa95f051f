package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/clipperhouse/displaywidth"
	"golang.org/x/term"
)

// terminal is a terminal that the command writes to.
type terminal struct {
	out    io.Writer
	size   func() (width, height int)
	colour bool
}

// terminalOf returns the terminal that out writes to. It returns nil if out is
// no terminal, or one that cannot move its cursor.
func terminalOf(out io.Writer) *terminal {
	wrapped, ok := out.(output)
	if !ok || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(wrapped.file.Fd())) {
		return nil
	}
	return &terminal{
		out:    out,
		size:   func() (int, int) { return sizeOf(wrapped.file) },
		colour: os.Getenv("NO_COLOR") == "",
	}
}

// sizeOf returns the terminal's size. A terminal that does not know its size
// has that of the first ones.
func sizeOf(file *os.File) (width, height int) {
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil || width == 0 || height == 0 {
		return 80, 24
	}
	return width, height
}

// Styles are parameters of ECMA-48's "select graphic rendition".
const (
	bold  = "1"
	faint = "2"
	green = "1;32"
	red   = "1;31"
)

// styled returns the text in a style, or as it is if the user wants no colours.
func (t *terminal) styled(style, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[m"
}

// screen is a block of lines at the bottom of a terminal that is drawn again
// and again. It is not safe for concurrent use.
type screen struct {
	*terminal
	drawn []string // lines of the block on the terminal
}

// draw replaces the block. Lines that are too long for the terminal are cut.
func (s *screen) draw(lines []string) {
	width, _ := s.size()
	text := s.erase() // in one write with the lines, so that nothing flickers
	for _, line := range lines {
		line = clip(line, width-1)
		s.drawn = append(s.drawn, line)
		text += line + "\n"
	}
	fmt.Fprint(s.out, text)
}

// print writes a line that stays, above the place of the block.
func (s *screen) print(line string) { fmt.Fprint(s.out, s.erase(), line, "\n") }

// clear removes the block.
func (s *screen) clear() { fmt.Fprint(s.out, s.erase()) }

// erase returns what moves the cursor to the first line of the block and clears
// the terminal from there. If the terminal has become narrower since the block
// was drawn, its lines have wrapped and take more rows.
func (s *screen) erase() string {
	width, _ := s.size()
	rows := 0
	for _, line := range s.drawn {
		rows += max(1, (columns.String(line)+width-1)/width)
	}
	s.drawn = nil
	if rows == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", rows) // CUU and ED of ECMA-48
}

// columns measures text that may have control sequences, which take none.
var columns = displaywidth.Options{ControlSequences: true}

// clip cuts a line to a width in columns of the terminal.
func clip(line string, width int) string {
	if width < 1 {
		return ""
	}
	return columns.TruncateString(line, width, "…")
}

// printable returns a line of a log without what would move the cursor or
// change the terminal.
func printable(line string) string {
	line = strings.ReplaceAll(withoutSequences(line), "\t", "    ")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, line)
}

// withoutSequences returns a text without its control sequences, such as
// colours.
func withoutSequences(text string) string {
	if !strings.Contains(text, "\x1b") {
		return text
	}
	var kept strings.Builder
	for graphemes := columns.StringGraphemes(text); graphemes.Next(); {
		if value := graphemes.Value(); value[0] != '\x1b' {
			kept.WriteString(value)
		}
	}
	return kept.String()
}

// drawEvery is how often a screen is drawn.
const drawEvery = 250 * time.Millisecond

// repeat calls draw every drawEvery until stop is called, which waits for the
// last call.
func repeat(draw func()) (stop func()) {
	done := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		tick := time.NewTicker(drawEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				draw()
			case <-done:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		drawing.Wait()
	})
}
