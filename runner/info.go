package runner

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// Status is the status of a build, in CodeBuild's words.
type Status string

const (
	InProgress Status = "IN_PROGRESS" // queued or running
	Succeeded  Status = "SUCCEEDED"
	Failed     Status = "FAILED"
	Fault      Status = "FAULT" // an error of CodeBuild itself
	TimedOut   Status = "TIMED_OUT"
	Stopped    Status = "STOPPED"
)

// Info is the state of a build at one moment.
type Info struct {
	BuildID string    `json:"buildId"` // project:uuid
	Number  int64     `json:"number,omitempty"`
	Status  Status    `json:"status"`
	Reason  string    `json:"reason,omitempty"` // why it did not succeed, one line: the script's error if the log was read, otherwise CodeBuild's message
	Phase   string    `json:"phase,omitempty"`  // CodeBuild's name of the current phase
	Phases  []Phase   `json:"phases,omitempty"`
	Started time.Time `json:"started,omitzero"` // when StartBuild was called
	Ended   time.Time `json:"ended,omitzero"`   // zero while it runs

	Tags     []string `json:"tags,omitempty"`     // as requested, without the registry
	ImageURI string   `json:"imageUri,omitempty"` // registry/repository@sha256:…; set once the build has succeeded
	Digest   string   `json:"digest,omitempty"`   // sha256:…
	Commit   string   `json:"commit,omitempty"`   // the commit that was built, if the source is a repository

	Source    string `json:"source,omitempty"`    // URL or bucket key of the source
	Ref       string `json:"ref,omitempty"`       // the requested branch, tag or commit
	Initiator string `json:"initiator,omitempty"` // who started it

	RequestID string            `json:"requestId,omitempty"` // the request's idempotency token, or its hash
	Metadata  map[string]string `json:"metadata,omitempty"`  // of the request

	LogURL string `json:"logUrl,omitempty"` // the log in the AWS console; empty until there is one

	asOf                time.Time // when the service reported this state, by its clock
	logGroup, logStream string
	secrets             []string // names of the secrets that the build reads
	lastLines           []string // last lines of the log, if it was read
	logErr              error    // why the log could not be read
}

// Phase is a phase of a build, such as QUEUED or BUILD.
type Phase struct {
	Name     string        `json:"name"`
	Status   Status        `json:"status,omitempty"` // empty while it runs
	Started  time.Time     `json:"started,omitzero"`
	Ended    time.Time     `json:"ended,omitzero"`
	Duration time.Duration `json:"-"`                // "seconds" in JSON, a number with a fraction
	Reason   string        `json:"reason,omitempty"` // why it failed, one line
}

// phaseFields is Phase without its methods.
type phaseFields Phase

// phaseJSON is the JSON form of a Phase.
type phaseJSON struct {
	phaseFields
	Seconds float64 `json:"seconds,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (p Phase) MarshalJSON() ([]byte, error) {
	return json.Marshal(phaseJSON{phaseFields(p), p.Duration.Seconds()})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (p *Phase) UnmarshalJSON(text []byte) error {
	var read phaseJSON
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	*p = Phase(read.phaseFields)
	p.Duration = time.Duration(read.Seconds * float64(time.Second)).Round(time.Millisecond)
	return nil
}

// These phases are looked for by name.
const (
	phaseBuild     = "BUILD"
	phasePostBuild = "POST_BUILD"
	phaseCompleted = "COMPLETED"
)

var phasesOfMachine = []string{"DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", phaseBuild, phasePostBuild, "UPLOAD_ARTIFACTS"}

// Done reports whether the build has ended, successfully or not.
func (i Info) Done() bool { return i.Status.done() }

func (s Status) done() bool { return s != InProgress && s != "" }

// Err returns a *[BuildError] if the build has ended without success or without
// naming its image, and nil otherwise.
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
	return ErrFault // an unknown status is not a success
}

func (i Info) buildError(kind error) *BuildError {
	return &BuildError{
		BuildID: i.BuildID, Status: i.Status, Phase: i.failedPhase().Name, Reason: i.Reason,
		LogURL: i.LogURL, LastLines: i.lastLines, LogErr: i.logErr, kind: kind,
	}
}

// failedPhase returns the first phase that did not succeed, if there is one.
func (i Info) failedPhase() Phase {
	for _, phase := range i.Phases {
		if phase.Status != "" && phase.Status != Succeeded {
			return phase
		}
	}
	return Phase{}
}

// reason returns CodeBuild's explanation of a build that did not succeed.
func (i Info) reason() string {
	if i.failure() == ErrNoDigest {
		return "it exported no IMAGE_DIGEST: does its project run flexbuild's buildspec?"
	}
	if i.failure() == nil {
		return ""
	}
	return explainReason(i.failedPhase().Reason, i.secrets)
}

// addLog adds what the log says about a build that did not succeed. The
// script's error says why a command failed; CodeBuild knows only its exit
// status.
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

// hadMachine reports whether the build got a machine. Its log begins then.
func (i Info) hadMachine() bool {
	return slices.ContainsFunc(phasesOfMachine, i.hasPhase)
}

// isFinal reports whether nothing about the build will change any more: it has
// ended, and the place of its log is known if it has one.
func (i Info) isFinal() bool { return i.Done() && (i.logStream != "" || !i.hadMachine()) }

// parseBuild converts CodeBuild's description of a build.
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

// statusOf returns the build's status. A build that timed out may be FAILED
// with a phase that is TIMED_OUT, so statusOf considers the phases too.
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
	for _, v := range b.Environment.EnvironmentVariables { // the value of a secret variable is the secret's name
		env[aws.ToString(v.Name)] = aws.ToString(v.Value)
		if v.Type != types.EnvironmentVariableTypePlaintext && v.Type != "" {
			i.secrets = append(i.secrets, aws.ToString(v.Value))
		}
	}
	params, err := buildspec.ParseParams(env)
	if err != nil {
		return // the build was not started by the contract
	}
	i.Tags, i.RequestID, i.Metadata = params.Tags, params.RequestID, params.Metadata
	if params.GitURL != "" {
		i.Source, i.Ref = params.GitURL, params.GitRef
	}
}

// readLogs reads where the log is. Until the build has a log, CodeBuild reports
// a location with null in it.
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
		return // Err returns ErrNoDigest
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
		phase.Ended = phase.Started // the last phase, COMPLETED, has no end
	}
	if !phase.Started.IsZero() && !phase.Ended.IsZero() {
		phase.Duration = phase.Ended.Sub(phase.Started)
	}
	return phase
}

// exitForm matches the agent's message about a command that failed. The message
// quotes the command's source.
var exitForm = lazyregexp.New(`(?s)^Error while executing command: .*Reason: exit status (\d+)\.?\s*$`)

// reasonOf returns the contexts of a phase as one line.
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
	if match := exitForm().FindStringSubmatch(message); match != nil {
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

// maxReason is the length at which a message of CodeBuild's is cut. It may
// quote a whole script.
const maxReason = 300
