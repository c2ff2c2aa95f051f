package runner

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/go-cmp/cmp"
)

const (
	testID     = "flexbuild:11111111-2222-3333-4444-555555555555"
	testDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

var testStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// aBuild returns a build in that status. Its phases are given as NAME STATUS
// message.
func aBuild(id string, status types.StatusType, phases ...string) types.Build {
	b := types.Build{
		Id: aws.String(id), BuildStatus: status, StartTime: aws.Time(testStart), CurrentPhase: aws.String("BUILD"),
		Logs: &types.LogsLocation{GroupName: aws.String("/aws/codebuild/flexbuild"), StreamName: aws.String("11111111"), DeepLink: aws.String("https://console.example/log")},
	}
	for i, text := range phases {
		part := append(strings.SplitN(text, " ", 3), "", "")
		phase := types.BuildPhase{PhaseType: types.BuildPhaseType(part[0]), PhaseStatus: types.StatusType(part[1]), StartTime: aws.Time(testStart.Add(time.Duration(i) * time.Second))}
		if part[1] != "" {
			phase.EndTime = aws.Time(testStart.Add(time.Duration(i+1) * time.Second))
			phase.Contexts = []types.PhaseContext{{StatusCode: aws.String(""), Message: aws.String(part[2])}}
		}
		b.Phases = append(b.Phases, phase)
	}
	return b
}

func succeeded(id string) types.Build {
	b := aBuild(id, types.StatusTypeSucceeded, "SUBMITTED SUCCEEDED", "BUILD SUCCEEDED", "POST_BUILD SUCCEEDED", "COMPLETED")
	b.ExportedEnvironmentVariables = []types.ExportedEnvironmentVariable{
		{Name: aws.String("IMAGE_URI"), Value: aws.String("registry.example/app@" + testDigest)},
		{Name: aws.String("IMAGE_DIGEST"), Value: aws.String(testDigest)},
		{Name: aws.String("SOURCE_COMMIT"), Value: aws.String("abc")},
	}
	return b
}

func TestBuildThatSucceeded(t *testing.T) {
	b := succeeded(testID)
	b.Environment = &types.ProjectEnvironment{EnvironmentVariables: env("TAG", "app:1 app:2", "GIT_URL", "https://git.example/r.git", "GIT_REF", "v1")}
	info := parseBuild(b)
	if err := info.Err(); err != nil || !info.Done() {
		t.Errorf("Err %v, Done %v", err, info.Done())
	}
	if info.ImageURI != "registry.example/app@"+testDigest || info.Digest != testDigest || info.Commit != "abc" {
		t.Errorf("image %q digest %q commit %q", info.ImageURI, info.Digest, info.Commit)
	}
	if diff := cmp.Diff([]string{"app:1", "app:2"}, info.Tags); diff != "" {
		t.Error(diff)
	}
	if info.Source != "https://git.example/r.git" || info.Ref != "v1" {
		t.Errorf("source %q ref %q", info.Source, info.Ref)
	}
	if build := info.Phases[1]; build.Name != "BUILD" || build.Duration != time.Second {
		t.Errorf("phase %+v", build)
	}
}

func TestHowBuildsEndBadly(t *testing.T) {
	script := "Error while executing command: mkdir -p x && cat <<E\nset -e # Reason: exit status 1\nE. Reason: exit status 66"
	noDigest := succeeded(testID)
	noDigest.ExportedEnvironmentVariables = nil
	for name, test := range map[string]struct {
		build         types.Build
		want          error
		phase, reason string
	}{
		"a command failed": {aBuild(testID, "FAILED", "SUBMITTED SUCCEEDED", "BUILD FAILED "+script, "POST_BUILD SUCCEEDED", "COMPLETED"),
			ErrBuildFailed, "BUILD", "the source cannot be had, or lacks the ref, context or Dockerfile that was asked for"},
		"the service's message, on one line": {aBuild(testID, "FAILED", "DOWNLOAD_SOURCE FAILED git\n  clone failed"),
			ErrBuildFailed, "DOWNLOAD_SOURCE", "git clone failed"},
		"timed out, by its status":         {aBuild(testID, "TIMED_OUT", "BUILD TIMED_OUT Build has timed out."), ErrTimedOut, "BUILD", "Build has timed out."},
		"timed out, by its phase":          {aBuild(testID, "FAILED", "BUILD TIMED_OUT Build has timed out."), ErrTimedOut, "BUILD", "Build has timed out."},
		"stopped":                          {aBuild(testID, "STOPPED", "SUBMITTED SUCCEEDED", "BUILD STOPPED"), ErrStopped, "BUILD", ""},
		"a fault of the service":           {aBuild(testID, "FAULT", "PROVISIONING FAULT no machine"), ErrFault, "PROVISIONING", "no machine"},
		"a status of the future":           {aBuild(testID, "MELTED"), ErrFault, "", ""},
		"success without a digest is none": {noDigest, ErrNoDigest, "", "it exported no IMAGE_DIGEST: does its project run flexbuild's buildspec?"},
	} {
		t.Run(name, func(t *testing.T) {
			err := parseBuild(test.build).Err()
			var failed *BuildError
			if !errors.Is(err, test.want) || !errors.As(err, &failed) {
				t.Fatalf("err = %v, want %v", err, test.want)
			}
			if failed.Phase != test.phase || failed.Reason != test.reason || failed.BuildID != testID {
				t.Errorf("%+v", failed)
			}
			if strings.Contains(err.Error(), "mkdir") {
				t.Errorf("the error shows the script: %v", err)
			}
		})
	}
}

// The messages are CodeBuild's, and so is the code of a phase's context.
func TestReasonsOfTheServiceComeWithAWayOut(t *testing.T) {
	for message, want := range map[string]string{
		"authentication required for primary source and source version main":                                 "import-source-credentials",
		"authorization failed for primary source":                                                            "may not read the repository",
		"repository not found for primary source":                                                            "check its URL",
		"remote repository is empty for primary source":                                                      "push a commit",
		"reference not found for primary source and source version v9":                                       "name a branch, a tag or a commit",
		"reference not found: HEAD of the repository names a branch that is not there for primary source":    "name a branch that is there, as URL#branch",
		"not a git repository for primary source":                                                            "the URL that git clone takes",
		"invalid pkt-len found for primary source":                                                           "the URL that git clone takes",
		"repository not reachable (…) for primary source":                                                    "check the host's name",
		"Secrets Manager Error: ResourceNotFoundException: Secrets Manager can't find the specified secret.": "(team/npm, /team/key): create it",
		"Decrypted Variables Error: parameter does not exist: /team/key":                                     "/team/key: create it",
		"Secrets Manager Error: AccessDeniedException: not authorized on arn:aws:secretsmanager:…:team/npm":  "team/npm: let builds read it, with the construct's AllowSecret",
	} {
		b := aBuild(testID, "FAILED", "DOWNLOAD_SOURCE FAILED "+message)
		if code, rest, coded := strings.Cut(message, " Error: "); coded {
			b.Phases[0].Contexts[0] = types.PhaseContext{StatusCode: aws.String(code + " Error"), Message: aws.String(rest)}
		}
		b.Environment = &types.ProjectEnvironment{EnvironmentVariables: append(env("TAG", "app", "SECRETS", "npm key"),
			types.EnvironmentVariable{Name: aws.String("SECRET_npm"), Value: aws.String("team/npm"), Type: types.EnvironmentVariableTypeSecretsManager},
			types.EnvironmentVariable{Name: aws.String("SECRET_key"), Value: aws.String("/team/key"), Type: types.EnvironmentVariableTypeParameterStore})}
		info := parseBuild(b)
		if !strings.HasPrefix(info.Reason, message) || !strings.Contains(info.Reason, want) || !strings.HasSuffix(info.Err().Error(), ": "+info.Reason) {
			t.Errorf("%s: reason %q, want %q", message, info.Reason, want)
		}
	}
}

func TestLongReasonIsCut(t *testing.T) {
	if got := contextReason("CODE", strings.Repeat("é", 1000)); len([]rune(got)) > maxReason+20 || !strings.HasPrefix(got, "CODE: é") {
		t.Errorf("%d characters", len([]rune(got)))
	}
}

func TestLogLocationIsNullUntilThereIsALog(t *testing.T) {
	b := aBuild(testID, "IN_PROGRESS")
	b.Logs = &types.LogsLocation{DeepLink: aws.String("https://console.example/#logEvent:group=null;stream=null")}
	if info := parseBuild(b); info.LogURL != "" || info.logStream != "" || info.Done() {
		t.Errorf("%+v", info)
	}
}

// A build that failed after its push names no image, whatever it exported.
func TestFailedBuildNamesNoImage(t *testing.T) {
	b := succeeded(testID)
	b.BuildStatus = types.StatusTypeFailed
	if info := parseBuild(b); info.ImageURI != "" || info.Digest != "" || info.Commit != "" {
		t.Errorf("%+v", info)
	}
}

func TestPhaseEventsHaveTheServicesTimes(t *testing.T) {
	began, ended, now := testStart, testStart.Add(time.Minute), testStart.Add(time.Hour)
	for name, test := range map[string]struct {
		phase Phase
		want  time.Time
	}{
		"it runs":               {Phase{Started: began}, began},
		"it ended":              {Phase{Status: Failed, Started: began, Ended: ended}, ended},
		"its end has no time":   {Phase{Status: Failed, Started: began}, began},
		"it has no time at all": {Phase{}, now},
	} {
		after := Info{Phases: []Phase{test.phase}}
		if events := phaseEvents(&Info{}, &after, now); len(events) != 1 || !events[0].Time.Equal(test.want) {
			t.Errorf("%s: %v, want %v", name, events, test.want)
		}
	}
}

func TestPhaseEventsSayWhatBeganAndEnded(t *testing.T) {
	one := parseBuild(aBuild(testID, "IN_PROGRESS", "SUBMITTED SUCCEEDED", "QUEUED"))
	two := parseBuild(aBuild(testID, "IN_PROGRESS", "SUBMITTED SUCCEEDED", "QUEUED SUCCEEDED", "BUILD"))
	var got []string
	for _, pair := range [][2]Info{{{}, one}, {one, one}, {one, two}} {
		for _, e := range phaseEvents(&pair[0], &pair[1], testStart) {
			got = append(got, e.Phase.Name+" "+string(e.Phase.Status))
		}
	}
	want := []string{"SUBMITTED SUCCEEDED", "QUEUED ", "QUEUED SUCCEEDED", "BUILD "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
