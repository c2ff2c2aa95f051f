package runner

import (
	"fmt"
	"time"
)

// EventType says what happened.
type EventType string

const (
	EventPacking   EventType = "packing"   // a directory is being read or packed, which takes long: Bytes so far, Total
	EventUploading EventType = "uploading" // so does its upload: Bytes so far, Total
	EventUploaded  EventType = "uploaded"  // the source is in the bucket: Files, Bytes; no Bytes if it was there already
	EventStarted   EventType = "started"   // there is a build: BuildID
	EventPhase     EventType = "phase"     // a phase began, or ended: Phase
	EventLog       EventType = "log"       // a line of the build's log: Line
	EventNote      EventType = "note"      // something that a person should know: Note
	EventFinished  EventType = "finished"  // the build has ended, well or badly: Result
	EventLogEnd    EventType = "logEnd"    // the last event where the log is followed: LogsComplete, or else in Note why not
)

// Event is something that happened to a build. Type says which of the other
// fields are set, besides Time and BuildID.
type Event struct {
	Type    EventType `json:"type"`
	Time    time.Time `json:"time"`
	BuildID string    `json:"buildId,omitempty"` // empty before the build is started
	Reason  string    `json:"reason,omitempty"`  // of EventFinished: why the build ended badly, as in Result

	Files  int     `json:"files,omitempty"` // in the uploaded source
	Bytes  int64   `json:"bytes,omitempty"` // of the upload, compressed; of EventPacking, of the files
	Total  int64   `json:"total,omitempty"` // what Bytes will come to, about; Bytes begin anew for packing what was read, and where an upload is tried again
	Phase  Phase   `json:"phase,omitzero"`  // without Status: it has begun
	Line   Line    `json:"line,omitzero"`
	Note   string  `json:"note,omitempty"`
	Result *Result `json:"result,omitempty"`

	LogsComplete bool `json:"logsComplete,omitempty"`
}

// Result is a build that has ended.
type Result struct {
	Info
	// LogsComplete reports whether every line of the log was read, up to the build's
	// own last one if it came to write any. It is false where the log was not read,
	// or was still being read when the result was made.
	LogsComplete bool `json:"logsComplete"`
	// Attempts are the builds that Run started before this one, and that ended by a
	// fault of the infrastructure. See [WithRetries].
	Attempts []Info `json:"attempts,omitempty"`
}

func note(format string, args ...any) Event {
	return Event{Type: EventNote, Time: time.Now(), Note: fmt.Sprintf(format, args...)}
}

// phaseEvents compares two states of a build and returns what began and ended
// in between.
func phaseEvents(before, after *Info, now time.Time) []Event {
	var events []Event
	for i, phase := range after.Phases {
		if i < len(before.Phases) && before.Phases[i].Status == phase.Status && before.Phases[i].Name == phase.Name {
			continue
		}
		at := phase.Started
		if phase.Status != "" && !phase.Ended.IsZero() {
			at = phase.Ended
		}
		if at.IsZero() {
			at = now
		}
		events = append(events, Event{Type: EventPhase, Time: at, BuildID: after.BuildID, Phase: phase})
	}
	return events
}
