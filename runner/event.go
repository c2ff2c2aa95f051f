package runner

import (
	"fmt"
	"time"
)

// EventType is the kind of an [Event]. The comments name the fields that events
// of the kind have, besides Time and BuildID.
type EventType string

const (
	EventPacking   EventType = "packing"   // a large directory is being read or packed: Bytes so far, Total
	EventUploading EventType = "uploading" // a large source is being uploaded: Bytes so far, Total
	EventUploaded  EventType = "uploaded"  // the source is in the bucket: Files, Bytes (0 if it was there already)
	EventStarted   EventType = "started"   // the build was started
	EventPhase     EventType = "phase"     // a phase began or ended: Phase
	EventLog       EventType = "log"       // the build logged a line: Line
	EventNote      EventType = "note"      // something that people should know happened: Note
	EventFinished  EventType = "finished"  // the build has ended, successfully or not: Result, Reason
	EventLogEnd    EventType = "logEnd"    // the log was read to its end, if it is followed: LogsComplete, or a Note with the cause
)

// Event is something that happened to a build. Its Type determines which fields
// are set.
type Event struct {
	Type    EventType `json:"type"`
	Time    time.Time `json:"time"`
	BuildID string    `json:"buildId,omitempty"` // empty before the build is started
	Reason  string    `json:"reason,omitempty"`  // why the build did not succeed, as in Result

	Files  int     `json:"files,omitempty"` // number of files in the source
	Bytes  int64   `json:"bytes,omitempty"` // of the compressed upload; while packing, of the files
	Total  int64   `json:"total,omitempty"` // approximate final value of Bytes, which restart when packing follows reading, and when an upload is repeated
	Phase  Phase   `json:"phase,omitzero"`  // without Status if it has begun
	Line   Line    `json:"line,omitzero"`
	Note   string  `json:"note,omitempty"`
	Result *Result `json:"result,omitempty"`

	LogsComplete bool `json:"logsComplete,omitempty"`
}

// Result is the final state of a build.
type Result struct {
	Info
	// LogsComplete reports whether every line of the log was read, up to the
	// last line that the build itself wrote. It is false if the log was not
	// read, or was still being read when the result was made.
	LogsComplete bool `json:"logsComplete"`
	// Attempts are the builds that Run started before this one and that ended
	// by a fault of the infrastructure. See [WithRetries].
	Attempts []Info `json:"attempts,omitempty"`
}

func note(format string, args ...any) Event {
	return Event{Type: EventNote, Time: time.Now().UTC(), Note: fmt.Sprintf(format, args...)}
}

// phaseEvents returns the events for what began and ended between two states of
// a build.
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
