package runner

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// Status is the state of a build, in CodeBuild's words.
type Status string

const (
	InProgress Status = "IN_PROGRESS" // queued or running
	Succeeded  Status = "SUCCEEDED"
	Failed     Status = "FAILED"
	Fault      Status = "FAULT" // the service's own fault
	TimedOut   Status = "TIMED_OUT"
	Stopped    Status = "STOPPED"
)

// Info is what is known about a build at one moment.
type Info struct {
	BuildID string    `json:"buildId"` // project:uuid
	Number  int64     `json:"number,omitempty"`
	Status  Status    `json:"status"`
	Reason  string    `json:"reason,omitempty"` // why it ended badly, one line; the log's own last word where the log was read
	Phase   string    `json:"phase,omitempty"`  // the current one, in CodeBuild's name
	Phases  []Phase   `json:"phases,omitempty"`
	Started time.Time `json:"started,omitzero"` // when it was asked for
	Ended   time.Time `json:"ended,omitzero"`   // zero while it runs

	Tags     []string `json:"tags,omitempty"`     // as requested, without the registry
	ImageURI string   `json:"imageUri,omitempty"` // registry/repository@sha256:…; set once the build has succeeded
	Digest   string   `json:"digest,omitempty"`   // sha256:…
	Commit   string   `json:"commit,omitempty"`   // what was built, if the source is git

	Source    string `json:"source,omitempty"`    // where CodeBuild, or the build, got the source
	Ref       string `json:"ref,omitempty"`       // the branch, tag or commit asked for
	Initiator string `json:"initiator,omitempty"` // who started it

	RequestID string            `json:"requestId,omitempty"` // follows from the request's idempotency token
	Metadata  map[string]string `json:"metadata,omitempty"`  // of the request

	LogURL string `json:"logUrl,omitempty"` // the log in the AWS console; empty until there is one

	asOf                time.Time // the service's time of this state
	logGroup, logStream string
	secrets             []string // names of the secrets that it reads
	lastLines           []string // of its log, if that was read
	logErr              error    // why that could not be read
}

// Phase is a part of a build's life, such as QUEUED or BUILD.
type Phase struct {
	Name     string        `json:"name"`
	Status   Status        `json:"status,omitempty"` // empty while it runs
	Started  time.Time     `json:"started,omitzero"`
	Ended    time.Time     `json:"ended,omitzero"`
	Duration time.Duration `json:"duration,omitempty"` // nanoseconds in JSON
	Reason   string        `json:"reason,omitempty"`   // why it failed, one line
}

// Names of phases that matter here.
const (
	phaseBuild     = "BUILD"
	phasePostBuild = "POST_BUILD"
	phaseCompleted = "COMPLETED"
)

var phasesOfMachine = []string{"DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", phaseBuild, phasePostBuild, "UPLOAD_ARTIFACTS"}

// Done reports whether the build has ended, well or badly.
func (i Info) Done() bool { return i.Status.done() }

func (s Status) done() bool { return s != InProgress && s != "" }

// Err is nil for a build that runs, and for one that succeeded and named its
// image; else a *[BuildError].
func (i Info) Err() error {
	if kind := i.failure(); kind != nil {
		return i.buildError(kind)
	}
	return nil
}

var failures = map[Status]error{
	Failed:   ErrBuildFailed,
	Fault:    ErrFault,
	TimedOut: ErrTimedOut,
	Stopped:  ErrStopped,
}

func (i Info) failure() error {
	switch {
	case !i.Done():
		return nil
	case i.Status == Succeeded && i.Digest == "":
		return ErrNoDigest
	case i.Status == Succeeded:
		return nil
	}
	if kind, ok := failures[i.Status]; ok {
		return kind
	}
	return ErrFault // a status that we do not know is no success
}

func (i Info) buildError(kind error) *BuildError {
	return &BuildError{
		BuildID: i.BuildID, Status: i.Status, Phase: i.failedPhase().Name, Reason: i.Reason,
		LogURL: i.LogURL, LastLines: i.lastLines, LogErr: i.logErr, kind: kind,
	}
}

// failedPhase returns the first one that did not do well, if any.
func (i Info) failedPhase() Phase {
	for _, phase := range i.Phases {
		if phase.Status != "" && phase.Status != Succeeded {
			return phase
		}
	}
	return Phase{}
}

// reason is what the service says of a build that ended badly.
func (i Info) reason() string {
	if i.failure() == ErrNoDigest {
		return "it exported no IMAGE_DIGEST: does its project run flexbuild's buildspec?"
	}
	if i.failure() == nil {
		return ""
	}
	return explainReason(i.failedPhase().Reason, i.secrets)
}

// addLog takes what the log says of a build that ended badly. The script's last word
// is why a command failed, of which the service knows only the exit status.
func (i *Info) addLog(t tail) {
	kind := i.failure()
	if kind == nil {
		return
	}
	i.lastLines, i.logErr = t.lines, t.err
	if t.reason != "" && (kind == ErrBuildFailed || kind == ErrNoDigest) {
		i.Reason = t.reason
	}
}

func (i Info) hasPhase(name string) bool {
	for _, phase := range i.Phases {
		if phase.Name == name {
			return true
		}
	}
	return false
}

// hadMachine reports whether the build came as far as to have a machine, which is
// when its log begins.
func (i Info) hadMachine() bool {
	return slices.ContainsFunc(phasesOfMachine, i.hasPhase)
}

// isFinal reports whether nothing will change any more: the build has ended, and
// the place of its log is known if it has one.
func (i Info) isFinal() bool { return i.Done() && (i.logStream != "" || !i.hadMachine()) }

// parseBuild puts CodeBuild's answer into our terms.
func parseBuild(b types.Build) Info {
	info := Info{
		BuildID:   aws.ToString(b.Id),
		Number:    aws.ToInt64(b.BuildNumber),
		Phase:     aws.ToString(b.CurrentPhase),
		Started:   aws.ToTime(b.StartTime),
		Ended:     aws.ToTime(b.EndTime),
		Initiator: aws.ToString(b.Initiator),
		Ref:       aws.ToString(b.SourceVersion),
	}
	for _, phase := range b.Phases {
		info.Phases = append(info.Phases, parsePhase(phase))
	}
	info.Status = statusOf(b.BuildStatus, info.Phases)
	info.readEnvironment(b)
	info.readLogs(b.Logs)
	info.readOutcome(b.ExportedEnvironmentVariables)
	info.Reason = info.reason()
	return info
}

// statusOf looks at the phases too: a build that ran out of time may be FAILED
// with a phase that is TIMED_OUT.
func statusOf(status types.StatusType, phases []Phase) Status {
	for _, phase := range phases {
		if status == types.StatusTypeFailed && phase.Status == TimedOut {
			return TimedOut
		}
	}
	return Status(status)
}

func (i *Info) readEnvironment(b types.Build) {
	if b.Source != nil {
		i.Source = aws.ToString(b.Source.Location)
	}
	if b.Environment == nil {
		return
	}
	env := map[string]string{}
	for _, v := range b.Environment.EnvironmentVariables { // of a secret it has the name
		env[aws.ToString(v.Name)] = aws.ToString(v.Value)
		if v.Type != types.EnvironmentVariableTypePlaintext && v.Type != "" {
			i.secrets = append(i.secrets, aws.ToString(v.Value))
		}
	}
	params, err := buildspec.ParseParams(env)
	if err != nil {
		return // a build that somebody started in another way
	}
	i.Tags, i.RequestID, i.Metadata = params.Tags, params.RequestID, params.Metadata
	if params.GitURL != "" {
		i.Source, i.Ref = params.GitURL, params.GitRef
	}
}

// readLogs: until the build has a log, the location has null in its place.
func (i *Info) readLogs(logs *types.LogsLocation) {
	if logs == nil || aws.ToString(logs.GroupName) == "" || aws.ToString(logs.StreamName) == "" {
		return
	}
	i.logGroup, i.logStream = *logs.GroupName, *logs.StreamName
	i.LogURL = aws.ToString(logs.DeepLink)
}

func (i *Info) readOutcome(exported []types.ExportedEnvironmentVariable) {
	values := map[string]string{}
	for _, v := range exported {
		values[aws.ToString(v.Name)] = aws.ToString(v.Value)
	}
	outcome, err := buildspec.ParseOutcome(values)
	if err != nil || i.Status != Succeeded {
		return // Err says so
	}
	i.ImageURI, i.Digest, i.Commit = outcome.ImageURI, outcome.ImageDigest, outcome.SourceCommit
}

func parsePhase(p types.BuildPhase) Phase {
	phase := Phase{
		Name:    string(p.PhaseType),
		Status:  Status(p.PhaseStatus),
		Started: aws.ToTime(p.StartTime),
		Ended:   aws.ToTime(p.EndTime),
		Reason:  reasonOf(p.Contexts),
	}
	if phase.Status == InProgress {
		phase.Status = ""
	}
	if p.PhaseType == phaseCompleted && phase.Status == "" {
		phase.Ended = phase.Started // the last entry has a start only
	}
	if !phase.Started.IsZero() && !phase.Ended.IsZero() {
		phase.Duration = phase.Ended.Sub(phase.Started)
	}
	return phase
}

// exitForm is how the agent reports a command that failed, after the command's
// source.
var exitForm = regexp.MustCompile(`(?s)^Error while executing command: .*Reason: exit status (\d+)\.?\s*$`)

// reasonOf makes one line of a phase's contexts.
func reasonOf(contexts []types.PhaseContext) string {
	var reasons []string
	for _, c := range contexts {
		if reason := contextReason(aws.ToString(c.StatusCode), aws.ToString(c.Message)); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return strings.Join(reasons, "; ")
}

func contextReason(code, message string) string {
	if match := exitForm.FindStringSubmatch(message); match != nil {
		status, _ := strconv.Atoi(match[1])
		return buildspec.ExitReason(status)
	}
	message = strings.Join(strings.Fields(message), " ")
	if runes := []rune(message); len(runes) > maxReason {
		message = string(runes[:maxReason]) + "…"
	}
	if code == "" || message == "" {
		return code + message
	}
	return code + ": " + message
}

// maxReason bounds a message of the service's: it may quote a whole script.
const maxReason = 300
