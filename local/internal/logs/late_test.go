package logs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/google/go-cmp/cmp"
)

// readAll follows the tokens of a stream to its end.
func readAll(t *testing.T, s *Service, stream string) (all []string) {
	t.Helper()
	var token *string
	for {
		out := get(t, s, stream, func(in *cwl.GetLogEventsInput) { in.NextToken = token })
		for _, e := range out.Events {
			all = append(all, *e.Message)
		}
		if token != nil && *out.NextForwardToken == *token {
			return all
		}
		token = out.NextForwardToken
	}
}

func filterAll(t *testing.T, s *Service, in *cwl.FilterLogEventsInput) (all []string) {
	t.Helper()
	in.LogGroupName = aws.String(testGroup)
	pages := cwl.NewFilterLogEventsPaginator(filterer{s}, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		must(t, err)
		for _, e := range page.Events {
			all = append(all, *e.LogStreamName+"="+*e.Message)
		}
	}
	return all
}

func TestPagesMayBeTinyOrEmptyBeforeTheEnd(t *testing.T) {
	s, _, _ := newService(t)
	sizes, calls := []int{0, 0, 1, 0, 2, 1, 0}, 0
	s.Page = func() int { calls++; return sizes[calls%len(sizes)] }
	appendLines(t, s, "b", "1", "2", "3", "4", "5")
	want := []string{"1", "2", "3", "4", "5"}
	if diff := cmp.Diff(want, readAll(t, s, "b")); diff != "" {
		t.Error(diff)
	}
	var back []string
	var token *string
	for i := 0; ; i++ {
		out := get(t, s, "b", func(in *cwl.GetLogEventsInput) { in.NextToken, in.StartFromHead = token, aws.Bool(false) })
		for _, e := range slices.Backward(out.Events) {
			back = append(back, *e.Message)
		}
		if token != nil && *out.NextBackwardToken == *token || i > 50 {
			break
		}
		token = out.NextBackwardToken
	}
	if diff := cmp.Diff([]string{"5", "4", "3", "2", "1"}, back); diff != "" {
		t.Error("backward:", diff)
	}
	if got := filterAll(t, s, &cwl.FilterLogEventsInput{}); len(got) != 5 || got[0] != "b=1" || got[4] != "b=5" {
		t.Errorf("filtered %q", got)
	}
}

// GetLogEvents returns no events after a late one. FilterLogEvents does until
// the late event is almost visible.
func TestLateEventsHoldUpThoseAfterThem(t *testing.T) {
	s, _, clock := newService(t)
	delays := []time.Duration{0, 10 * time.Second, time.Second, 2 * time.Second}
	s.Delay = func(_ string, event uint64) time.Duration { return delays[event] }
	appendLines(t, s, "b", "0", "1", "2", "3")
	for _, at := range []struct {
		after    time.Duration
		got, all int
	}{{0, 1, 1}, {5 * time.Second, 1, 1}, {time.Second, 1, 3}, {4 * time.Second, 4, 4}} {
		clock.Advance(at.after)
		if got, filtered := readAll(t, s, "b"), filterAll(t, s, &cwl.FilterLogEventsInput{}); len(got) != at.got || len(filtered) != at.all {
			t.Errorf("after %v more: %q, filtered %q", at.after, got, filtered)
		}
	}
	// What was read once is not late again, if the clock is set back.
	clock.Advance(-8 * time.Second)
	if got := readAll(t, s, "b"); len(got) != 4 {
		t.Errorf("with the clock set back %q can be read", got)
	}
}

// Each event is found once, in the order of time, for random streams, times and
// pages.
func TestFilterFindsEveryEventOnce(t *testing.T) {
	for seed := range uint64(30) {
		s, _, clock := newService(t)
		r := rand.New(rand.NewPCG(seed, 0))
		s.Page = func() int { return r.IntN(20) }
		start, end := clock.Now().Add(time.Duration(r.IntN(60))*time.Second), clock.Now().Add(time.Minute+time.Duration(r.IntN(60))*time.Second)
		var want []string
		for i := range 300 {
			clock.Advance(time.Duration(r.IntN(2)) * time.Second)
			at := clock.Now()
			if seed%2 == 1 { // a writer whose clock goes back
				at = at.Add(-time.Duration(r.IntN(30)) * time.Second)
			}
			stream, message := fmt.Sprintf("s%d", r.IntN(4)), fmt.Sprint(i)
			must(t, s.Append(testGroup, stream, []Event{{Time: at, Message: message}}))
			if !at.Before(start) && at.Before(end) {
				want = append(want, stream+"="+message)
			}
		}
		got := filterAll(t, s, &cwl.FilterLogEventsInput{StartTime: aws.Int64(start.UnixMilli()), EndTime: aws.Int64(end.UnixMilli())})
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}

// BenchmarkFilterOfLongStreams reads the last events of streams that are long.
func BenchmarkFilterOfLongStreams(b *testing.B) {
	for _, lines := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("%d lines", lines), func(b *testing.B) {
			s, _, clock := newService(b)
			in := &cwl.FilterLogEventsInput{LogGroupName: aws.String(testGroup)}
			for i := range 20 {
				name := fmt.Sprintf("s%d", i)
				events := make([]Event, lines)
				for n := range events {
					events[n] = Event{Time: clock.Now().Add(time.Duration(n) * time.Millisecond), Message: "a line of a log"}
				}
				if err := s.Append(testGroup, name, events); err != nil {
					b.Fatal(err)
				}
				in.LogStreamNames = append(in.LogStreamNames, name)
			}
			in.StartTime = aws.Int64(clock.Now().Add(time.Duration(lines-10) * time.Millisecond).UnixMilli())
			for b.Loop() {
				if out, err := s.FilterLogEvents(b.Context(), in); err != nil || len(out.Events) != 200 {
					b.Fatal(len(out.Events), err)
				}
			}
		})
	}
}
