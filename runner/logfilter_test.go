package runner

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/smithy-go"
)

// filtered is a line of a log that FilterLogEvents reads. It becomes visible
// later than its time says.
type filtered struct {
	at, visible time.Duration
	text        string
}

// filterOf answers FilterLogEvents for one stream of a group.
func (s *script) filterOf(lines ...filtered) {
	s.filter = func(at time.Duration, in *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
		out := &cloudwatchlogs.FilterLogEventsOutput{}
		for i, line := range lines {
			if time := s.begin.Add(line.at).UnixMilli(); at >= line.visible && time >= *in.StartTime {
				out.Events = append(out.Events, logtypes.FilteredLogEvent{
					EventId: aws.String(fmt.Sprint(i)), LogStreamName: aws.String(in.LogStreamNames[0]),
					Timestamp: aws.Int64(time), Message: aws.String(line.text),
				})
			}
		}
		return out, nil
	}
}

// tapOf follows a stream that is read together with others.
func (s *script) tapOf(t *testing.T, c *Client, stream string) *tap {
	t.Helper()
	tap, _ := c.logs.filter.join(Info{logGroup: "group", logStream: stream, Started: s.begin}).(*tap)
	if tap == nil {
		t.Fatal("the stream is not followed")
	}
	return tap
}

// next returns the texts that a stream hands on within d.
func (t *tap) within(test *testing.T, d time.Duration) (texts []string) {
	for end := time.After(d); ; {
		select {
		case <-end:
			return texts
		case <-t.again():
		}
		p, err := t.read(test.Context())
		if err != nil {
			test.Error(err)
		}
		for _, e := range p.events {
			texts = append(texts, e.message)
		}
	}
}

// A line that becomes visible five seconds after younger ones comes before
// them.
func TestLinesReadTogetherComeInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.filterOf(
			filtered{1 * time.Second, 6 * time.Second, "one"},
			filtered{2 * time.Second, 2 * time.Second, "two"},
			filtered{3 * time.Second, 3 * time.Second, "three"},
		)
		tap := s.tapOf(t, s.client(), "stream")
		defer tap.close()
		if early := tap.within(t, 5*time.Second); early != nil {
			t.Errorf("%q was not held back", early)
		}
		if got, want := tap.within(t, 10*time.Second), []string{"one", "two", "three"}; !slices.Equal(got, want) {
			t.Errorf("lines %q, want %q", got, want)
		}
	})
}

// A stream that does not exist is asked for at most once in five seconds. The
// other streams are read meanwhile.
func TestStreamThatIsNotThereYetIsLeftOutForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.filterOf(filtered{time.Second, time.Second, "here"})
		there := s.filter
		var mu sync.Mutex
		asked := map[string]int{}
		s.filter = func(at time.Duration, in *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
			mu.Lock()
			asked[strings.Join(slices.Sorted(slices.Values(in.LogStreamNames)), " ")]++
			mu.Unlock()
			if slices.Contains(in.LogStreamNames, "absent") && at < 30*time.Second {
				return nil, &smithy.GenericAPIError{Code: "ResourceNotFoundException", Message: "The specified log stream does not exist."}
			}
			return there(at, in)
		}
		c := s.client()
		absent, present := s.tapOf(t, c, "absent"), s.tapOf(t, c, "present")
		defer absent.close()
		defer present.close()
		if got := present.within(t, 20*time.Second); !slices.Equal(got, []string{"here"}) {
			t.Errorf("the stream that is there has %q", got)
		}
		calls := func(streams string) int {
			mu.Lock()
			defer mu.Unlock()
			return asked[streams]
		}
		if absent, present := calls("absent"), calls("present"); absent < 3 || absent > 5 || present < 12 {
			t.Errorf("calls in 20 seconds: %d for the absent stream, %d for the other", absent, present)
		}
		time.Sleep(15 * time.Second)
		before := calls("absent present")
		time.Sleep(5 * time.Second)
		if n := calls("absent present") - before; n < 4 {
			t.Errorf("%d calls for both streams in 5 seconds, once both are there", n)
		}
	})
}

// The rate allows so many logs: five one by one, and a hundred with each call
// that can be made in a second. The next one is not followed, and its events
// say why.
func TestAsManyLogsAreFollowedAsTheRateAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.getBuilds = func(at time.Duration, id string) (types.Build, error) { return doneAt(time.Minute)(at, testID) }
		s.filterOf()
		s.getLog = emptyLog
		c := s.client()
		info := Info{logGroup: "group", logStream: "stream", Started: s.begin}
		var all []logStream
		for range defaultLogRate + filterStreams*defaultLogRate {
			stream := c.logs.follow(info)
			if stream == nil {
				break
			}
			all = append(all, stream)
		}
		if n := len(all); n != 505 {
			t.Errorf("%d logs are followed, want 505", n)
		}
		note := ""
		for event, err := range c.Build(testID).Events(t.Context(), LogFollow) {
			if err != nil {
				t.Fatal(err)
			}
			note += event.Note
		}
		if !strings.Contains(note, "WithLogRate") {
			t.Errorf("notes %q", note)
		}
		for _, stream := range all {
			stream.close()
		}
	})
}

// The reader neither asks again for lines that it read long ago nor keeps them
// in memory.
func TestOldLinesAreNotReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		var lines []filtered
		for n := range 600 {
			at := time.Duration(n) * time.Second
			lines = append(lines, filtered{at, at, fmt.Sprint(n)})
		}
		s.filterOf(lines...)
		there, oldest := s.filter, time.Duration(0)
		s.filter = func(at time.Duration, in *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
			oldest = max(oldest, s.begin.Add(at).Sub(time.UnixMilli(*in.StartTime)))
			return there(at, in)
		}
		tap := s.tapOf(t, s.client(), "stream")
		got := tap.within(t, 11*time.Minute)
		tap.close() // and with it the goroutine that reads
		if len(got) != len(lines) {
			t.Errorf("%d lines, want %d", len(got), len(lines))
		}
		if oldest > longOverlap+5*time.Second {
			t.Errorf("lines of %v ago are read again", oldest)
		}
		if n := len(tap.seen); n > int(longOverlap/time.Second)+5 {
			t.Errorf("%d lines are kept in mind", n)
		}
	})
}
