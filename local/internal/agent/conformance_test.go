package agent

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/go-cmp/cmp"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/agent/spec"
)

var update = flag.Bool("update", false, "write the tables of docs/phases.md")

const phasesPage = "../../../docs/phases.md"

// TestConformance makes each row of the tables in docs/phases.md with a build.
// The rules that are documented for CodeBuild are checked apart from the
// tables, which a wrong engine would write as it is.
func TestConformance(t *testing.T) {
	page, err := os.ReadFile(phasesPage)
	must(t, err)
	want := string(page)
	got := replaceTable(t, want, "failures", failures(t))
	got = replaceTable(t, got, "ends", ends(t))
	if *update {
		must(t, os.WriteFile(phasesPage, []byte(got), 0o644))
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/phases.md (-documented +happened):\n%s", diff)
	}
}

func replaceTable(t *testing.T, page, name string, rows []string) string {
	t.Helper()
	before, rest, found := strings.Cut(page, "<!-- "+name+" -->\n")
	_, after, ended := strings.Cut(rest, "<!-- end -->\n")
	if !found || !ended {
		t.Fatalf("docs/phases.md has no table %s", name)
	}
	return before + "<!-- " + name + " -->\n" + strings.Join(rows, "\n") + "\n<!-- end -->\n" + after
}

// conformancePhases are the phases with commands. Each says that it runs.
const conformancePhases = `version: 0.2
phases:
  install: {commands: [echo ran INSTALL]}
  pre_build: {commands: [echo ran PRE_BUILD]}
  build: {commands: [echo ran BUILD]}
  post_build: {commands: [echo ran POST_BUILD]}
artifacts: {files: [buildspec.yml]}
`

// withPhase returns the buildspec with another definition of one phase.
func withPhase(name spec.Name, phase string) edit {
	lines := strings.Split(conformancePhases, "\n")
	for i, line := range lines {
		if key := "  " + strings.ToLower(string(name)) + ":"; strings.HasPrefix(line, key) {
			lines[i] = key + " {" + phase + "}"
		}
	}
	return buildspec(strings.Join(lines, "\n"))
}

func failures(t *testing.T) []string {
	b := newBench(t)
	b.upload(t, "source/buildspec.yml", nil)
	folder := source(types.SourceTypeS3, bucket+"/source/")
	rows := []string{"| phase that fails | `on-failure` | other phases that run commands afterwards | UPLOAD_ARTIFACTS | build | artifacts |", "|---|---|---|---|---|---|"}
	for i, name := range spec.Names {
		for _, choice := range []spec.OnFailure{spec.Default, spec.Abort, spec.Continue} {
			onFailure, said := "", "none"
			if choice != spec.Default {
				onFailure, said = ", on-failure: "+string(choice), string(choice)
			}
			byCommand := b.run(t, folder, artifacts(perBuild), withPhase(name, "commands: [\"false\", echo ran after], finally: [echo ran finally]"+onFailure))
			byFinally := b.run(t, withPhase(name, "commands: [echo ran before], finally: [\"false\", echo ran after]"+onFailure))
			if !strings.Contains(byCommand.plain(), "\nran finally\n") || !strings.Contains(byFinally.plain(), "\nran before\n") {
				t.Errorf("%s, %s: the commands before a failure, or those of finally, did not run", name, said)
			}
			if strings.Contains(byCommand.log+byFinally.log, "\nran after\n") {
				t.Errorf("%s, %s: a command ran after one of its phase that failed", name, said)
			}
			if byCommand.phases() != byFinally.phases() {
				t.Errorf("%s, %s: a failed command gives %s, one of finally %s", name, said, byCommand.phases(), byFinally.phases())
			}
			r := byCommand
			if r.BuildStatus != types.StatusTypeFailed || !strings.Contains(r.phases(), string(name)+":FAILED") {
				t.Errorf("%s, %s: the build is %s: %s", name, said, r.BuildStatus, r.phases())
			}
			var later []string
			for _, other := range spec.Names[i+1:] {
				if strings.Contains(r.plain(), "\nran "+string(other)+"\n") {
					later = append(later, string(other))
				}
			}
			switch { // documented
			case choice == spec.Continue && len(later) != len(spec.Names)-i-1:
				t.Errorf("%s goes on with %v", name, later)
			case choice == spec.Abort && later != nil:
				t.Errorf("%s aborts with %v", name, later)
			case choice == spec.Default && name == spec.Build && len(later) != 1:
				t.Errorf("BUILD is followed by %v", later)
			}
			rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", name, said, listed(later), statusOf(r, types.BuildPhaseTypeUploadArtifacts), r.BuildStatus, b.whetherStored(t, r)))
		}
	}
	r := b.run(t, folder, artifacts(perBuild), buildspec(strings.Replace(conformancePhases, "buildspec.yml", "none", 1)))
	return append(rows, fmt.Sprintf("| UPLOAD_ARTIFACTS | – | none | %s | %s | %s |", statusOf(r, types.BuildPhaseTypeUploadArtifacts), r.BuildStatus, b.whetherStored(t, r)))
}

func perBuild(a *types.ProjectArtifacts) { a.NamespaceType = types.ArtifactNamespaceBuildId }

// whetherStored says whether the artifacts of a build are in the bucket.
func (b *bench) whetherStored(t *testing.T, r result) string {
	_, uuid, _ := strings.Cut(*r.Id, ":")
	if _, found := b.stored(t)[uuid+"/out/buildspec.yml"]; found {
		return "stored"
	}
	return "none"
}

// ends ends a build in each of the phases, in each way.
func ends(t *testing.T) []string {
	rows := []string{"| phase | ended by | phase's status | `finally` runs | later phases | build |", "|---|---|---|---|---|---|"}
	for _, name := range spec.Names {
		for _, way := range []string{"a stop", "its timeout", "the engine's end"} {
			clock := clockwork.NewFakeClockAt(time.Now())
			b := newBench(t, func(o *Options) {
				o.Grace = 10 * time.Millisecond
				if way == "its timeout" {
					o.Clock = clock
				}
			})
			dir := t.TempDir()
			begun, final := filepath.Join(dir, "begun"), filepath.Join(dir, "final")
			id := b.start(t, withPhase(name, fmt.Sprintf("commands: [\"touch %s; sleep 1000\"], finally: [touch %s]", begun, final)))
			waitFor(t, begun)
			switch way {
			case "a stop":
				_, err := b.StopBuild(context.Background(), &sdk.StopBuildInput{Id: &id})
				must(t, err)
			case "its timeout":
				clock.Advance(time.Hour)
			default:
				must(t, b.Close())
			}
			r := b.wait(t, id)
			var later []string
			for i, phase := range r.Phases {
				if string(phase.PhaseType) == string(name) {
					for _, after := range r.Phases[i+1:] {
						later = append(later, string(after.PhaseType))
					}
				}
			}
			_, err := os.Stat(final)
			rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", name, way, statusOf(r, types.BuildPhaseType(name)), map[bool]string{true: "yes", false: "no"}[err == nil], listed(later), r.BuildStatus))
		}
	}
	return rows
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func statusOf(r result, phase types.BuildPhaseType) string {
	for _, p := range r.Phases {
		if p.PhaseType == phase {
			return string(p.PhaseStatus)
		}
	}
	return "does not run"
}
