package buildspec

import (
	"os"
	"strings"
	"testing"
)

// place makes the files and links of a test: "-> target" is a link.
func (s sandbox) place(t testing.TB, files ...string) {
	t.Helper()
	for _, file := range files {
		name, target, isLink := strings.Cut(file, " -> ")
		if isLink {
			symlink(t, target, s.source+"/"+name)
		} else {
			s.write(t, name)
		}
	}
}

func TestContextAndDockerfileAreInTheSource(t *testing.T) {
	const out = "leads out of the source: name a "
	for name, test := range map[string]struct {
		files               []string
		context, dockerfile string
		says                string
	}{
		"a missing Dockerfile":           {nil, "", "Nope", `DOCKERFILE: the source has no file "Nope"`},
		"one in a context":               {nil, "sub", "Nope", `DOCKERFILE: the source has no file "Nope" (CONTEXT "sub")`},
		"a directory for a file":         {nil, "", "sub", `DOCKERFILE: the source has no file "sub"`},
		"a missing context":              {nil, "nope", "", `CONTEXT: the source has no directory "nope"`},
		"a file for a directory":         {nil, "Dockerfile", "", `CONTEXT: the source has no directory "Dockerfile"`},
		"an absolute context":            {nil, "/etc", "", `CONTEXT: the source has no directory "/etc"`},
		"a context that is an option":    {nil, "-P", "", `CONTEXT: the source has no directory "-P"`},
		"a context outside":              {nil, "../ho *me", "", `CONTEXT: "../ho *me" ` + out + "directory inside it"},
		"the directory above":            {nil, "..", "", `CONTEXT: ".." ` + out},
		"a sibling with a longer name":   {nil, "../sr c2", "", `CONTEXT: "../sr c2" ` + out},
		"a Dockerfile of the sibling":    {nil, "", "../sr c2/Dockerfile", `DOCKERFILE: "../sr c2/Dockerfile" ` + out + "file inside it"},
		"a linked context":               {[]string{"out -> ../ho *me"}, "out", "", `CONTEXT: "out" ` + out},
		"a linked context of two words":  {[]string{"o ut -> ../ho *me"}, "o ut", "", `CONTEXT: "o ut" ` + out},
		"a linked absolute context":      {[]string{"out -> /etc"}, "out", "", `CONTEXT: "out" ` + out},
		"a linked Dockerfile":            {[]string{"linked -> /etc/passwd"}, "", "linked", `DOCKERFILE: "linked" ` + out},
		"a Dockerfile behind a link":     {[]string{"out -> ../sr c2"}, "", "out/Dockerfile", `DOCKERFILE: "out/Dockerfile" ` + out},
		"a default Dockerfile outside":   {[]string{"x/Dockerfile -> /etc/passwd"}, "x", "", `DOCKERFILE: "Dockerfile" ` + out},
		"a link to nothing":              {[]string{"gone -> nothing"}, "gone", "", `CONTEXT: "gone" is a link that leads to no directory of the source`},
		"a Dockerfile linked to nothing": {[]string{"gone -> nothing"}, "", "gone", `DOCKERFILE: "gone" is a link that leads to no file of the source`},
		"a loop of links":                {[]string{"loop -> loop"}, "", "loop", `DOCKERFILE: "loop" is a link that leads to no file of the source`},
		".dockerignore outside":          {[]string{".dockerignore -> /etc/passwd"}, "", "", `.dockerignore: ".dockerignore" ` + out},
		".dockerignore of nothing":       {[]string{".dockerignore -> nothing"}, "", "", `.dockerignore: ".dockerignore" is a link that leads to no file`},
		"a Dockerfile's own, outside":    {[]string{"Dockerfile.dockerignore -> /etc/passwd"}, "", "", `.dockerignore: "Dockerfile.dockerignore" ` + out},
		"its own, of nothing":            {[]string{"x.dockerignore -> nothing"}, "", "sub/../x", `.dockerignore: "sub/../x.dockerignore" is a link that leads to no file`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t)
			s.write(t, "../sr c2/Dockerfile")
			s.write(t, "sub/Dockerfile")
			s.write(t, "x/file")
			if strings.HasPrefix(test.dockerfile, "sub/../") {
				s.write(t, "x.d")
			}
			for _, file := range test.files {
				if strings.HasPrefix(file, "x.dockerignore") {
					if err := os.RemoveAll(s.source + "/x"); err != nil {
						t.Fatal(err)
					}
					s.write(t, "x")
				}
			}
			s.place(t, test.files...)
			s.run(t, map[string]string{"CONTEXT": test.context, "DOCKERFILE": test.dockerfile}).fails(t, ExitSource, test.says)
		})
	}
}

func TestFindsTheContextAndTheDockerfile(t *testing.T) {
	for name, test := range map[string]struct {
		files               []string
		context, dockerfile string
		want                string // the value of --file
	}{
		"by default":               {[]string{"Dockerfile"}, "", "", "./Dockerfile"},
		"in lower case":            {[]string{"dockerfile"}, "", "", "./dockerfile"},
		"in both":                  {[]string{"Dockerfile", "dockerfile"}, "", "", "./Dockerfile"},
		"by name":                  {[]string{"Dockerfile", "dockerfile", "x"}, "", "x", "./x"},
		"in a context":             {[]string{"a b/Dockerfile"}, "a b", "", "./Dockerfile"},
		"above a context":          {[]string{"sub/x", "docker/File"}, "sub", "../docker/File", "./../docker/File"},
		"by a link":                {[]string{"real", "Dockerfile -> real"}, "", "", "./Dockerfile"},
		"in a linked context":      {[]string{"real/Dockerfile", "link -> real"}, "link", "", "./Dockerfile"},
		"down and up":              {[]string{"sub/x", "Dockerfile"}, "sub/..", "", "./Dockerfile"},
		"with linked ignore files": {[]string{"Dockerfile", "ignored", ".dockerignore -> ignored", "Dockerfile.dockerignore -> ignored"}, "", "", "./Dockerfile"},
		"with odd names":           {[]string{"-x\n[*]/-f"}, "-x\n[*]", "-f", "./-f"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.place(t, test.files...)
			linked := s.root + "/linked"
			symlink(t, s.source, linked)
			got := s.run(t, map[string]string{"CONTEXT": test.context, "DOCKERFILE": test.dockerfile, "CODEBUILD_SRC_DIR": linked},
				do("'docker buildx build'*", `pwd -P >"$TEST_RECORD.pwd"`))
			got.works(t)
			if file := got.option(t, "--file"); file != test.want {
				t.Errorf("--file %q, want %q", file, test.want)
			}
			pwd, err := os.ReadFile(s.record + ".pwd")
			if want, err := os.Stat(s.source + "/" + test.context); err != nil {
				t.Fatal(err)
			} else if is, err := os.Stat(strings.TrimSuffix(string(pwd), "\n")); err != nil || !os.SameFile(want, is) {
				t.Errorf("the context is %q", pwd)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestBuildNeedsASource(t *testing.T) {
	const says = "the build has no source: give a source (sourceLocationOverride, or GIT_URL)"
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		newSandbox(t).run(t, nil).fails(t, ExitSource, says)
	})
	t.Run("an empty one, with a URL", func(t *testing.T) {
		t.Parallel()
		newSandbox(t).run(t, map[string]string{"CODEBUILD_SOURCE_REPO_URL": "s3://b/x"}).fails(t, ExitSource, says)
	})
	for _, suffix := range []string{"", ".git", "/"} {
		t.Run("the placeholder"+suffix, func(t *testing.T) {
			t.Parallel()
			s := newSource(t) // even if it has a Dockerfile one day
			s.run(t, map[string]string{"CODEBUILD_SOURCE_REPO_URL": PlaceholderSource + suffix}).fails(t, ExitSource, says)
		})
	}
	t.Run("one file", func(t *testing.T) {
		t.Parallel()
		newSource(t).run(t, nil).works(t)
	})
}

func TestHiddenFileIsASource(t *testing.T) {
	s := newSandbox(t)
	s.write(t, ".docker")
	s.run(t, map[string]string{"DOCKERFILE": ".docker"}).works(t)
}
