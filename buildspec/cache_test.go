package buildspec

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	cacheFound  = "'aws ecr describe-images'*"
	exportsWith = ",mode=max,image-manifest=true,oci-mediatypes=true,compression-level=4"
)

// cacheRef returns what the only export of a run exports to.
func (r ran) cacheRef(t testing.TB) string {
	t.Helper()
	if len(r.exports()) != 1 {
		t.Fatalf("exports %q, want one\n%s", r.exports(), r.output)
	}
	for _, arg := range r.exports()[0] {
		if ref, found := strings.CutPrefix(arg, "--cache-to=type=registry,ref="); found && strings.HasSuffix(ref, exportsWith) {
			return strings.TrimSuffix(ref, exportsWith)
		}
	}
	t.Fatalf("the export is %q", r.exports()[0])
	return ""
}

func TestCacheIsKeptForWhatMakesItUseful(t *testing.T) {
	base := map[string]string{"TAG": "team/app:1", "CODEBUILD_INITIATOR": "role/session"}
	ref := func(t *testing.T, env map[string]string) string {
		s := newSource(t)
		for _, name := range []string{"other", "sub/Dockerfile", "sub/other"} {
			s.write(t, name)
		}
		all := maps.Clone(base)
		maps.Copy(all, env)
		return s.run(t, all).cacheRef(t)
	}
	want := ref(t, nil)
	if !strings.HasPrefix(want, "r.test/cache:team--app-") || len(want) != len("r.test/cache:team--app-")+40 {
		t.Errorf("the cache is %q", want)
	}
	same := map[string]map[string]string{
		"again":                  nil,
		"another tag":            {"TAG": "team/app:2 other:1"},
		"another session":        {"CODEBUILD_INITIATOR": "role/another"},
		"a session with a slash": {"CODEBUILD_INITIATOR": "role/another/one"},
		"other arguments":        {"BUILD_ARGS": "A=1", "LABELS": "B=2", "PULL": "on", "NO_CACHE": "on"},
		"the context said":       {"CONTEXT": "."},
		"the Dockerfile said":    {"DOCKERFILE": "Dockerfile"},
		"with secrets":           {"SECRETS": "a", "SECRET_a": "x"},
		"a builder that differs": {"BUILDKIT_HOST": ""},
	}
	other := map[string]map[string]string{
		"another image":                       {"TAG": "team/app2:1"},
		"another target":                      {"TARGET": "test"},
		"another Dockerfile":                  {"DOCKERFILE": "other"},
		"another context":                     {"CONTEXT": "sub"},
		"another context and Dockerfile":      {"CONTEXT": "sub", "DOCKERFILE": "other"},
		"another platform":                    {"PLATFORMS": "linux/riscv64"},
		"another role":                        {"CODEBUILD_INITIATOR": "rolf/session"},
		"a user":                              {"CODEBUILD_INITIATOR": "user"},
		"a user named as the role":            {"CODEBUILD_INITIATOR": "role"},
		"a pipeline":                          {"CODEBUILD_INITIATOR": "codepipeline/one"},
		"another pipeline":                    {"CODEBUILD_INITIATOR": "codepipeline/two"},
		"nobody":                              {"CODEBUILD_INITIATOR": ""},
		"a target that is another's platform": {"TARGET": "linux/riscv64"},
	}
	seen := map[string]string{want: "the first build"}
	refs := make(chan [2]string, len(other))
	t.Run("all", func(t *testing.T) {
		for name, env := range same {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if got := ref(t, env); got != want {
					t.Errorf("the cache is %q, want %q", got, want)
				}
			})
		}
		for name, env := range other {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				refs <- [2]string{name, ref(t, env)}
			})
		}
	})
	close(refs)
	for r := range refs {
		if first, found := seen[r[1]]; found {
			t.Errorf("%s shares the cache of %s", r[0], first)
		}
		seen[r[1]] = r[0]
	}
}

func TestCacheOfALongNameIsATag(t *testing.T) {
	got := newSource(t).run(t, map[string]string{"TAG": strings.Repeat("a", 200)}).cacheRef(t)
	if !strings.HasPrefix(got, "r.test/cache:"+strings.Repeat("a", 87)+"-") || len(got) != len("r.test/cache:")+128 {
		t.Errorf("the cache is %q", got)
	}
}

// The second build has what the first one exported: all stages of the same
// Dockerfile with the same arguments.
func TestExportsTheCacheOfTheBuildThatItHasPushed(t *testing.T) {
	s := newSource(t)
	s.write(t, "x")
	env := map[string]string{
		"DOCKERFILE": "x", "TARGET": "t", "PLATFORMS": "linux/amd64", "BUILD_ARGS": "A=1&B=2", "LABELS": "C=3", "CODEBUILD_INITIATOR": "me",
		"SECRETS": "s", "SECRET_s": "x", "PULL": "on", "NO_CACHE": "on", "PROVENANCE": "max", "SBOM": "on",
	}
	got := s.run(t, env)
	got.works(t)
	ref := got.cacheRef(t)
	want := []string{
		"--builder", testBuilder, "--progress", "plain", "--file", "./x", "--target=t", "--platform=linux/amd64", "--build-arg=A=1", "--build-arg=B=2", "--label=C=3",
		"--secret=id=s,env=SECRET_s", "--provenance=false", "--output=type=cacheonly", "--cache-to=type=registry,ref=" + ref + exportsWith, ".",
	}
	if diff := cmp.Diff([][]string{want}, got.exports()); diff != "" {
		t.Errorf("exports (-want +got):\n%s", diff)
	}
	_, tag, _ := strings.Cut(ref, ":")
	look := []string{"--region", "eu-west-1", "--registry-id", "123456789012", "--output", "json", "--repository-name", "cache", "--image-ids", "imageTag=" + tag}
	if diff := cmp.Diff([][]string{look}, got.called("aws", "ecr", "describe-images")); diff != "" {
		t.Errorf("the cache is looked for with (-want +got):\n%s", diff)
	}
	if from := got.option(t, "--cache-from"); from != "" {
		t.Errorf("a cache that is not there is used: %q", from)
	}
	again := newSource(t)
	again.write(t, "x")
	got = again.run(t, env, answer(cacheFound, 0, "found"))
	if from := got.option(t, "--cache-from"); from != "type=registry,ref="+ref {
		t.Errorf("the cache that is used is %q, want %q", from, ref)
	}
}

func TestNoCacheWithoutARegistryForIt(t *testing.T) {
	for name, test := range map[string]struct {
		env      map[string]string
		notes    []string
		inline   bool
		from     string // where a cache is looked for
		exported bool
	}{
		"the registry's":  {nil, nil, false, "r.test/cache:app-", true},
		"said":            {map[string]string{"CACHE": "registry"}, nil, false, "r.test/cache:app-", true},
		"inline":          {map[string]string{"CACHE": "inline", "TAG": "app:7 app:8"}, nil, true, "r.test/app:7", false},
		"none":            {map[string]string{"CACHE": "none"}, nil, false, "", false},
		"no repository":   {map[string]string{"CACHE_REPOSITORY": ""}, []string{"CACHE_REPOSITORY is not set: the image keeps the cache"}, true, "r.test/app:1", false},
		"the daemon's":    {map[string]string{"BUILDKIT_HOST": "", "BUILDX_BUILDER": "default"}, []string{"this builder cannot export a cache to a registry: the image keeps the cache"}, true, "r.test/app:1", false},
		"none, by daemon": {map[string]string{"BUILDKIT_HOST": "", "BUILDX_BUILDER": "default", "CACHE": "none"}, nil, false, "", false},
		"secrets of a caller, inline": {map[string]string{"SECRETS": "a", "SECRET_a": "x", "CODEBUILD_INITIATOR": "role/x", "CACHE": "inline"},
			[]string{"a build with secrets shares no cache: no layers are kept"}, false, "", false},
		"secrets of a caller, by default": {map[string]string{"SECRETS": "a", "SECRET_a": "x", "CODEBUILD_INITIATOR": "role/x"}, nil, false, "r.test/cache:app-", true},
		"secrets of nobody": {map[string]string{"SECRETS": "a", "SECRET_a": "x", "CODEBUILD_INITIATOR": ""},
			[]string{"a build with secrets shares no cache: no layers are kept"}, false, "", false},
		"secrets, without a cache": {map[string]string{"SECRETS": "a", "SECRET_a": "x", "CACHE": "none"}, nil, false, "", false},
		"secrets, without a repository": {map[string]string{"SECRETS": "a", "SECRET_a": "x", "CODEBUILD_INITIATOR": "role/x", "CACHE_REPOSITORY": ""},
			[]string{"CACHE_REPOSITORY is not set", "a build with secrets shares no cache"}, false, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := with(test.env, "TEST_LOG", progress("#4 [2/2] RUN a\n#4 DONE 0.1s\n"))
			got := newSource(t).run(t, env, answer(cacheFound, 0, "found"))
			got.works(t, test.notes...)
			if inline := got.option(t, "--cache-to") == "type=inline"; inline != test.inline {
				t.Errorf("the cache goes into the image: %v, want %v", inline, test.inline)
			}
			if from, want := got.option(t, "--cache-from"), "type=registry,ref="+test.from; !strings.HasPrefix(from, want) || (from == "") != (test.from == "") {
				if test.from != "" || from != "" {
					t.Errorf("the cache that is used is %q, want %q", from, want)
				}
			}
			if exported := len(got.exports()) == 1; exported != test.exported {
				t.Errorf("exports %q, want one: %v", got.exports(), test.exported)
			}
		})
	}
}

// Progress as BuildKit prints it (util/progress/progressui/printer.go), with
// the names that its frontend gives to steps.
func progress(steps ...string) string {
	text := "#1 [internal] load build definition from Dockerfile\n#1 transferring dockerfile: 98B done\n#1 DONE 0.0s\n\n" +
		"#2 [internal] load build context\n#2 DONE 0.0s\n\n#3 importing cache manifest from r.test/cache:x\n#3 DONE 0.1s\n\n"
	return text + strings.Join(steps, "\n") + "\n#99 exporting to image\n#99 pushing layers 0.1s done\n#99 DONE 0.3s\n"
}

func TestExportsACacheOnlyWhenAStepRan(t *testing.T) {
	base := "#4 [1/3] FROM docker.io/library/alpine:3@sha256:00\n#4 DONE 0.1s\n"
	for name, test := range map[string]struct {
		log   string
		found bool
		want  bool
	}{
		"every step was cached":               {progress(base, "#5 [2/3] RUN a\n#5 CACHED\n", "#6 [3/3] COPY . .\n#6 CACHED\n"), true, false},
		"every step was cached, but no cache": {progress(base, "#5 [2/3] RUN a\n#5 CACHED\n"), false, true},
		"the last step ran":                   {progress(base, "#5 [2/3] RUN a\n#5 CACHED\n", "#6 [3/3] COPY . .\n#6 DONE 0.2s\n"), true, true},
		"the first step ran":                  {progress(base, "#5 [2/3] RUN a\n#5 0.1 hello\n#5 DONE 0.2s\n", "#6 [3/3] COPY . .\n#6 CACHED\n"), true, true},
		"a step of a stage ran":               {progress(base, "#5 [build 2/2] RUN a\n#5 DONE 1.0s\n", "#6 [stage-1 2/2] COPY --from=build /x /x\n#6 CACHED\n"), true, true},
		"a step of a stage of ten ran":        {progress(base, "#5 [build  2/10] RUN a\n#5 DONE 1.0s\n", "#6 [stage-1 2/2] COPY --from=build /x /x\n#6 CACHED\n"), true, true},
		"a step of ten ran":                   {progress(base, "#5 [ 2/10] RUN a\n#5 DONE 1.0s\n", "#6 [ 3/10] RUN b\n#6 CACHED\n"), true, true},
		"a step of a platform ran":            {progress(base, "#5 [linux/arm64 build 2/3] RUN a\n#5 DONE 1.0s\n", "#6 [linux/arm64 3/3] RUN b\n#6 CACHED\n"), true, true},
		"all steps of a platform were cached": {progress("#4 [linux/arm64 build 1/2] FROM alpine\n#4 DONE 0.1s\n", "#5 [linux/arm64 build 2/2] RUN a\n#5 CACHED\n"), true, false},
		"a base image was cached":             {progress("#4 [1/2] FROM alpine\n#4 CACHED\n", "#5 [2/2] RUN a\n#5 DONE 1.0s\n"), true, true},
		"another number ends alike":           {progress(base, "#15 [2/3] RUN a\n#15 CACHED\n", "#5 [3/3] RUN b\n#5 DONE 0.1s\n"), true, true},
		"a step printed that it was cached":   {progress(base, "#5 [2/2] RUN a\n#5 0.101 #5 CACHED\n#5 0.102 CACHED\n#5 DONE 0.1s\n"), true, true},
		"a step's text names a base image":    {progress(base, "#5 [2/2] RUN echo '] FROM x'\n#5 DONE 0.1s\n"), true, true},
		"steps took turns":                    {progress(base, "#5 [a 2/2] RUN a\n#5 ...\n\n#6 [b 2/2] RUN b\n#6 CACHED\n", "#5 [a 2/2] RUN a\n#5 DONE 2.0s\n"), true, true},
		"there were no steps":                 {progress(base), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var answers []string
			if test.found {
				answers = append(answers, answer(cacheFound, 0, "found"))
			}
			got := newSource(t).run(t, map[string]string{"TEST_LOG": test.log}, answers...)
			got.works(t)
			if exported := len(got.exports()) == 1; exported != test.want {
				t.Errorf("exports %q, want one: %v", got.exports(), test.want)
			}
			if !strings.Contains(got.output, test.log) {
				t.Errorf("output lacks buildx's own:\n%s", got.output)
			}
		})
	}
}

func TestBuildSucceedsWhoseCacheCannotBeExported(t *testing.T) {
	got := newSource(t).run(t, nil, answer("'docker buildx build'*type=cacheonly*", 1, "#1 DONE\nERROR: 403 Forbidden\n"))
	got.works(t, "the cache cannot be exported: ERROR: 403 Forbidden")
	if got.exported[varImageDigest] != testDigest {
		t.Errorf("exported %q", got.exported)
	}
}

func TestDatesOfLayers(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"none":                     {map[string]string{"BUILD_ARGS": "A=1"}, "type=registry,compression-level=4"},
		"a date":                   {map[string]string{"BUILD_ARGS": "A=1&SOURCE_DATE_EPOCH=0"}, "type=registry,compression-level=4,rewrite-timestamp=true"},
		"a label of that name":     {map[string]string{"LABELS": "SOURCE_DATE_EPOCH=0"}, "type=registry,compression-level=4"},
		"a name that begins so":    {map[string]string{"BUILD_ARGS": "SOURCE_DATE_EPOCH_=0"}, "type=registry,compression-level=4"},
		"a date, for the daemon":   {map[string]string{"BUILD_ARGS": "SOURCE_DATE_EPOCH=0", "BUILDKIT_HOST": "", "BUILDX_BUILDER": "default", "CACHE": "inline"}, "type=docker"},
		"a date, for a container":  {map[string]string{"BUILD_ARGS": "SOURCE_DATE_EPOCH=0", "BUILDKIT_HOST": ""}, "type=registry,compression-level=4,rewrite-timestamp=true"},
		"a date, of a given build": {map[string]string{"BUILD_ARGS": "SOURCE_DATE_EPOCH=0", "BUILDKIT_HOST": "", "BUILDX_BUILDER": "theirs"}, "type=registry,compression-level=4,rewrite-timestamp=true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := newSource(t).run(t, test.env).option(t, "--output"); got != test.want {
				t.Errorf("--output=%s, want %s", got, test.want)
			}
		})
	}
}

func TestTheDaemonMakesNoAttestations(t *testing.T) {
	daemon := map[string]string{"BUILDKIT_HOST": "", "BUILDX_BUILDER": "default", "CACHE": "inline"}
	for name, value := range map[string]string{"PROVENANCE": "min", "SBOM": "on"} {
		newSource(t).run(t, with(daemon, name, value)).fails(t, ExitRegistry, "PROVENANCE, SBOM: the Docker daemon makes no attestations")
	}
	newSource(t).run(t, with(daemon, "BUILD_ARGS", "SOURCE_DATE_EPOCH=0")).works(t, "SOURCE_DATE_EPOCH: the Docker daemon keeps the times in layers")
}

// ECR deletes a cache so many days after the push of its manifest, and a push
// of the same manifest may not count.
func TestACacheThatIsUsedLivesOn(t *testing.T) {
	const manifest = `{"schemaVersion":2,"layers":[]}`
	pushed := func(days int) string {
		return time.Now().Add(-time.Duration(days) * 24 * time.Hour).UTC().Format(time.RFC3339)
	}
	for name, test := range map[string]struct {
		expiry, pushed, manifest string
		want                     string // that is pushed again, without its date
		notes                    []string
	}{
		"past half its time":                {"14", `"` + pushed(8) + `"`, manifest, `{"annotations":{"flexbuild.kept":"DATE"},"schemaVersion":2,"layers":[]}`, nil},
		"in version 1's form":               {"14", strconv.FormatInt(time.Now().Unix()-8*86400, 10) + ".25", manifest, `{"annotations":{"flexbuild.kept":"DATE"},"schemaVersion":2,"layers":[]}`, nil},
		"kept before":                       {"14", `"` + pushed(8) + `"`, `{"annotations":{"flexbuild.kept":"2020-01-01T00:00:00Z"},"schemaVersion":2,"layers":[]}`, `{"annotations":{"flexbuild.kept":"DATE"},"schemaVersion":2,"layers":[]}`, nil},
		"young":                             {"14", `"` + pushed(6) + `"`, manifest, "", nil},
		"in a stack without expiry":         {"", `"` + pushed(800) + `"`, manifest, "", nil},
		"with a manifest that is not there": {"14", `"` + pushed(8) + `"`, "None", "", []string{"the cache may expire although it is used"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t)
			got := s.run(t, map[string]string{"CACHE_EXPIRY_IN_DAYS": test.expiry, "TEST_LOG": progress("#5 [2/2] RUN a\n#5 CACHED\n")},
				answer(cacheFound, 0, `{"imageDetails": [{"imageDigest": "sha256:0", "imagePushedAt": `+test.pushed+`}]}`),
				answer("'aws ecr batch-get-image'*", 0, test.manifest), answer("'aws ecr put-image'*", 0, "{}"))
			got.works(t, test.notes...)
			puts := got.called("aws", "ecr", "put-image")
			if (len(puts) == 1) != (test.want != "") {
				t.Fatalf("put-image is called with %q, want it once: %v\n%s", puts, test.want != "", got.output)
			}
			if test.want == "" {
				return
			}
			text, err := os.ReadFile(s.home + "/.flexbuild/manifest.json")
			if err != nil {
				t.Fatal(err)
			}
			today := regexp.MustCompile(time.Now().UTC().Format("2006-01-") + `[0-9T:-]+Z`)
			if date := today.ReplaceAllString(string(text), "DATE"); date != test.want || !json.Valid(text) {
				t.Errorf("the manifest is %s, want %s", text, test.want)
			}
			if i := slices.Index(puts[0], "--image-manifest"); i < 0 || puts[0][i+1] != "file://"+s.home+"/.flexbuild/manifest.json" || !slices.Contains(puts[0], "application/vnd.oci.image.manifest.v1+json") {
				t.Errorf("put-image is called with %q", puts[0])
			}
		})
	}
}

// A build that is stopped while its cache is kept ends its log as all others
// do: run checks the log of each build.
func TestStopWhileACacheIsKept(t *testing.T) {
	pushed := time.Now().Add(-8 * 24 * time.Hour).UTC().Format(time.RFC3339)
	got := newSource(t).run(t, map[string]string{"CACHE_EXPIRY_IN_DAYS": "14", "TEST_LOG": progress("#5 [2/2] RUN a\n#5 CACHED\n")},
		answer(cacheFound, 0, `{"imageDetails": [{"imageDigest": "sha256:0", "imagePushedAt": "`+pushed+`"}]}`),
		do("'aws ecr batch-get-image'*", "stop_script"))
	if got.status <= 128 {
		t.Errorf("exit status %d\n%s", got.status, got.output)
	}
}

// The stack's role may write the cache of its own registry only.
func TestCacheStaysInTheStacksRegistry(t *testing.T) {
	got := newSource(t).run(t, map[string]string{"REGION": "us-east-1", "ACCOUNT": "210987654321", "REGISTRY": ecr})
	got.works(t)
	if ref := got.cacheRef(t); !strings.HasPrefix(ref, ecr+"/cache:") {
		t.Errorf("the cache is %q", ref)
	}
	asked := map[string]string{}
	for _, call := range []string{"describe-repositories", "describe-images"} {
		for _, args := range got.called("aws", "ecr", call) {
			asked[call+" of "+args[7]] = args[1] + " " + args[3]
		}
	}
	want := map[string]string{
		"describe-repositories of app": "us-east-1 210987654321",
		"describe-images of cache":     "eu-west-1 123456789012",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("-want +got:\n%s\n%s", diff, got.output)
	}
}
