package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild/internal/versions"
)

// proxy makes a module proxy of files, which the go command then asks, and
// nobody else.
func proxy(t *testing.T, modules map[string]string) {
	t.Helper()
	folder := t.TempDir()
	for path, list := range modules {
		write(t, filepath.Join(folder, path, "@v/list"), strings.ReplaceAll(list, " ", "\n")+"\n")
		for _, version := range strings.Fields(list) {
			write(t, filepath.Join(folder, path, "@v", version+".info"), `{"Version": "`+version+`"}`)
			write(t, filepath.Join(folder, path, "@v", version+".mod"), "module "+path+"\n")
		}
	}
	t.Setenv("GOPROXY", "file://"+folder)
	t.Setenv("GOSUMDB", "off")
	t.Setenv("GOFLAGS", "-mod=mod -modcacherw")
	t.Setenv("GOMODCACHE", t.TempDir())
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// npm stands in for npm: it answers as the real one did, unsorted, and with no
// list for a single version.
func npm(t *testing.T) {
	t.Helper()
	bin := t.TempDir()
	write(t, filepath.Join(bin, "npm"), `#!/bin/sh
case "$*" in
  "view --json many@>=20.9.5 <21 version") echo '["20.19.8", "20.10.0", "20.9.5"]' ;;
  "view --json one@>=2.0.0 version") echo '"2.0.0"' ;;
  *) echo "npm error: no such package" >&2; exit 1 ;;
esac
`)
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestBehind(t *testing.T) {
	proxy(t, map[string]string{
		"example.com/tool":  "v1.9.0 v1.10.0 v1.11.0-rc.1",
		"example.com/held":  "v1.0.0 v1.1.0",
		"example.com/lib":   "v1.0.0 v1.2.0",
		"example.com/same":  "v1.0.0",
		"example.com/cmds":  "v0.1.0 v0.2.0",
		"example.com/other": "v1.0.0 v1.9.0",
	})
	npm(t)
	folder := t.TempDir()
	write(t, filepath.Join(folder, "go.mod"), `module example.com/main

go 1.26

require (
	example.com/cmds v0.1.0 // indirect
	example.com/lib v1.0.0
	example.com/other v1.0.0 // indirect
	example.com/same v1.0.0
)

tool example.com/cmds/one
`)
	var out strings.Builder
	err := run(t.Context(), &out, []versions.Version{
		{From: "npm", Name: "many", Version: "20.9.5", Below: "21", Why: "reasons"},
		{From: "npm", Name: "one", Version: "2.0.0", Below: "-"},
		{From: "go", Name: "example.com/tool", Version: "v1.9.0", Below: "-"},
		{From: "go", Name: "example.com/held", Version: "v1.0.0", Below: "held", Why: "others decide"},
		{From: "page", Name: "image", Version: "5.0", Below: "-", Why: "https://example.com/images"},
	}, []string{folder})
	if err != nil {
		t.Fatal(err)
	}
	want := `behind many 20.9.5 20.19.8 reasons
newest one 2.0.0 2.0.0
behind example.com/tool v1.9.0 v1.10.0
held example.com/held v1.0.0 v1.1.0 others decide
look image 5.0 ? nobody can be asked; see https://example.com/images
behind example.com/cmds v0.1.0 v0.2.0 go.mod of FOLDER
behind example.com/lib v1.0.0 v1.2.0 go.mod of FOLDER
newest example.com/same v1.0.0 v1.0.0 go.mod of FOLDER
`
	var got strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(out.String(), folder, "FOLDER")) {
		got.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

// Whoever does not answer keeps nobody else from being asked, and is named.
func TestSilenceIsAnError(t *testing.T) {
	proxy(t, nil)
	npm(t)
	var out strings.Builder
	err := run(t.Context(), &out, []versions.Version{
		{From: "npm", Name: "gone", Version: "1.0.0", Below: "-"},
		{From: "go", Name: "example.com/gone", Version: "v1.0.0", Below: "-"},
		{From: "npm", Name: "one", Version: "2.0.0", Below: "-"},
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "gone: npm view") || !strings.Contains(err.Error(), "no such package") ||
		!strings.Contains(err.Error(), "example.com/gone: go list") {
		t.Errorf("got %v", err)
	}
	if got := out.String(); strings.Count(got, "unknown") != 2 || !strings.Contains(got, "newest") {
		t.Errorf("got\n%s", got)
	}
}
