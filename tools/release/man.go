package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// undated is what the manual pages of docs/man have in place of a date, before
// the name of their program. A test of the command writes the pages.
const undated = `"" "flexbuild"`

// manual returns the manual pages of the command, with the date of the commit
// and the version.
func manual(clone string, b *binary) (pages []entry, err error) {
	files, err := filepath.Glob(filepath.Join(clone, "docs", "man", "*.1"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no manual pages in docs/man", clone)
	}
	dated := fmt.Appendf(nil, `"%s" "flexbuild %s"`, b.time.UTC().Format(time.DateOnly), b.version())
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if !bytes.Contains(text, []byte(undated)) {
			return nil, fmt.Errorf("the heading of %s has no %s, in whose place the date and the version belong", file, undated)
		}
		text = bytes.Replace(text, []byte(undated), dated, 1)
		pages = append(pages, entry{name: "share/man/man1/" + filepath.Base(file), mode: 0o644, content: text})
	}
	return pages, nil
}
