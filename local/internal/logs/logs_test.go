package logs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

const testGroup = "/aws/codebuild/p"

func newService(t testing.TB) (*Service, *store.Store, *clockwork.FakeClock) {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	clock := clockwork.NewFakeClockAt(time.UnixMilli(1_700_000_000_000))
	s, err := New(Options{Store: db, Clock: clock, Region: "us-east-1"})
	must(t, err)
	must(t, s.PutLogGroup(testGroup, 30))
	return s, db, clock
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// appendLines writes messages, a millisecond apart.
func appendLines(t *testing.T, s *Service, stream string, messages ...string) {
	t.Helper()
	var events []Event
	for i, m := range messages {
		events = append(events, Event{Time: s.Clock.Now().Add(time.Duration(i) * time.Millisecond), Message: m})
	}
	must(t, s.Append(testGroup, stream, events))
}

func get(t *testing.T, s *Service, stream string, change func(*cwl.GetLogEventsInput)) *cwl.GetLogEventsOutput {
	t.Helper()
	in := &cwl.GetLogEventsInput{LogGroupName: aws.String(testGroup), LogStreamName: &stream, StartFromHead: aws.Bool(true)}
	change(in)
	out, err := s.GetLogEvents(context.Background(), in)
	must(t, err)
	return out
}

func messages(events []types.OutputLogEvent) string {
	var all []string
	for _, e := range events {
		all = append(all, *e.Message)
	}
	return strings.Join(all, ",")
}

func TestReadingForwardMeetsEveryEventOnceAndEndsOnTheSameToken(t *testing.T) {
	s, _, _ := newService(t)
	appendLines(t, s, "b", "1", "2", "3", "4", "5")
	var token *string
	var seen []string
	for {
		out := get(t, s, "b", func(in *cwl.GetLogEventsInput) { in.NextToken, in.Limit = token, aws.Int32(2) })
		if token != nil && *out.NextForwardToken == *token {
			break
		}
		seen, token = append(seen, messages(out.Events)), out.NextForwardToken
	}
	if diff := cmp.Diff([]string{"1,2", "3,4", "5"}, seen); diff != "" {
		t.Error(diff)
	}
	appendLines(t, s, "b", "6") // the same millisecond as "1"
	out := get(t, s, "b", func(in *cwl.GetLogEventsInput) { in.NextToken = token })
	if got := messages(out.Events); got != "6" {
		t.Errorf("after the end: %q", got)
	}
}

func TestReadingBackwardStartsWithTheLatest(t *testing.T) {
	s, _, _ := newService(t)
	appendLines(t, s, "b", "1", "2", "3", "4", "5")
	var token *string
	var seen []string
	for {
		out := get(t, s, "b", func(in *cwl.GetLogEventsInput) {
			in.NextToken, in.Limit, in.StartFromHead = token, aws.Int32(2), nil
		})
		if token != nil && *out.NextBackwardToken == *token {
			break
		}
		seen, token = append(seen, messages(out.Events)), out.NextBackwardToken
	}
	if diff := cmp.Diff([]string{"4,5", "2,3", "1"}, seen); diff != "" {
		t.Error(diff)
	}
	out := get(t, s, "b", func(in *cwl.GetLogEventsInput) { in.NextToken = token })
	forward := get(t, s, "b", func(in *cwl.GetLogEventsInput) { in.NextToken, in.Limit = out.NextForwardToken, aws.Int32(1) })
	if got := messages(forward.Events); got != "1" {
		t.Errorf("turning round at the head reads %q", got)
	}
}

func TestAnEmptyPageIsNotTheEnd(t *testing.T) {
	s, _, clock := newService(t)
	appendLines(t, s, "b", "early")
	later := clock.Now().Add(time.Hour).UnixMilli()
	first := get(t, s, "b", func(in *cwl.GetLogEventsInput) { in.StartTime = &later })
	second := get(t, s, "b", func(in *cwl.GetLogEventsInput) { in.StartTime, in.NextToken = &later, first.NextForwardToken })
	if len(first.Events) != 0 || *second.NextForwardToken != *first.NextForwardToken {
		t.Errorf("tokens %s, %s", *first.NextForwardToken, *second.NextForwardToken)
	}
	end := clock.Now().UnixMilli()
	if out := get(t, s, "b", func(in *cwl.GetLogEventsInput) { in.EndTime = &end }); len(out.Events) != 0 {
		t.Error("endTime is not exclusive")
	}
	if out := get(t, s, "b", func(in *cwl.GetLogEventsInput) { in.StartTime = &end }); len(out.Events) != 1 {
		t.Error("startTime is not inclusive")
	}
}

func TestAPageHoldsAMegabyteAtMost(t *testing.T) {
	s, _, _ := newService(t)
	long := strings.Repeat("x", 400<<10)
	appendLines(t, s, "b", long, long, long, strings.Repeat("y", 2<<20))
	var sizes []int
	var token *string
	for {
		out := get(t, s, "b", func(in *cwl.GetLogEventsInput) { in.NextToken = token })
		if len(out.Events) == 0 {
			break
		}
		sizes, token = append(sizes, len(out.Events)), out.NextForwardToken
	}
	if diff := cmp.Diff([]int{2, 1, 1}, sizes); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	s, _, _ := newService(t)
	var missing *types.ResourceNotFoundException
	_, err := s.GetLogEvents(context.Background(), &cwl.GetLogEventsInput{LogGroupName: aws.String("none"), LogStreamName: aws.String("x")})
	if !errors.As(err, &missing) {
		t.Errorf("missing group: %v", err)
	}
	_, err = s.GetLogEvents(context.Background(), &cwl.GetLogEventsInput{LogGroupName: aws.String(testGroup), LogStreamName: aws.String("x")})
	if !errors.As(err, &missing) {
		t.Errorf("missing stream: %v", err)
	}
	if err := s.Append("none", "x", []Event{{Message: "m"}}); !errors.As(err, &missing) {
		t.Errorf("append to a missing group: %v", err)
	}
	var wrong *types.InvalidParameterException
	for _, change := range []func(*cwl.GetLogEventsInput){
		func(in *cwl.GetLogEventsInput) { in.NextToken = aws.String("f/x/s") },
		func(in *cwl.GetLogEventsInput) { in.Limit = aws.Int32(10_001) },
		func(in *cwl.GetLogEventsInput) { in.LogGroupIdentifier = aws.String(testGroup) },
	} {
		appendLines(t, s, "b", "1")
		in := &cwl.GetLogEventsInput{LogGroupName: aws.String(testGroup), LogStreamName: aws.String("b")}
		change(in)
		if _, err := s.GetLogEvents(context.Background(), in); !errors.As(err, &wrong) {
			t.Errorf("error is %v", err)
		}
	}
}

func TestFilterMergesStreamsByTimeAcrossPages(t *testing.T) {
	s, _, clock := newService(t)
	for i := range 6 {
		appendLines(t, s, fmt.Sprintf("s%d", i%2), fmt.Sprint(i))
		clock.Advance(time.Second)
	}
	pages := cwl.NewFilterLogEventsPaginator(filterer{s}, &cwl.FilterLogEventsInput{LogGroupName: aws.String(testGroup), Limit: aws.Int32(4)})
	var seen []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		must(t, err)
		for _, e := range page.Events {
			seen = append(seen, *e.LogStreamName+"="+*e.Message)
		}
	}
	if diff := cmp.Diff([]string{"s0=0", "s1=1", "s0=2", "s1=3", "s0=4", "s1=5"}, seen); diff != "" {
		t.Error(diff)
	}
}

// filterer gives the service the client's signature, for the SDK's paginator.
type filterer struct{ s *Service }

func (f filterer) FilterLogEvents(ctx context.Context, in *cwl.FilterLogEventsInput, _ ...func(*cwl.Options)) (*cwl.FilterLogEventsOutput, error) {
	return f.s.FilterLogEvents(ctx, in)
}

func TestPutLogEventsChecksItsBatch(t *testing.T) {
	s, _, clock := newService(t)
	ctx, stream := context.Background(), aws.String("b")
	put := func(offsets ...time.Duration) (*cwl.PutLogEventsOutput, error) {
		in := &cwl.PutLogEventsInput{LogGroupName: aws.String(testGroup), LogStreamName: stream}
		for _, o := range offsets {
			in.LogEvents = append(in.LogEvents, types.InputLogEvent{Timestamp: aws.Int64(clock.Now().Add(o).UnixMilli()), Message: aws.String("m")})
		}
		return s.PutLogEvents(ctx, in)
	}
	var missing *types.ResourceNotFoundException
	if _, err := put(0); !errors.As(err, &missing) {
		t.Errorf("missing stream: %v", err)
	}
	_, err := s.CreateLogStream(ctx, &cwl.CreateLogStreamInput{LogGroupName: aws.String(testGroup), LogStreamName: stream})
	must(t, err)
	var exists *types.ResourceAlreadyExistsException
	if _, err = s.CreateLogStream(ctx, &cwl.CreateLogStreamInput{LogGroupName: aws.String(testGroup), LogStreamName: stream}); !errors.As(err, &exists) {
		t.Errorf("second CreateLogStream: %v", err)
	}
	var wrong *types.InvalidParameterException
	if _, err := put(time.Second, 0); !errors.As(err, &wrong) {
		t.Errorf("out of order: %v", err)
	}
	out, err := put(-15*24*time.Hour, 0, 3*time.Hour)
	must(t, err)
	if r := out.RejectedLogEventsInfo; r == nil || *r.TooOldLogEventEndIndex != 1 || *r.TooNewLogEventStartIndex != 2 {
		t.Errorf("rejected: %+v", r)
	}
	if got := get(t, s, "b", func(*cwl.GetLogEventsInput) {}); len(got.Events) != 1 {
		t.Errorf("%d events are kept", len(got.Events))
	}
}

func TestGroupsAndStreamsAreDescribed(t *testing.T) {
	s, _, clock := newService(t)
	must(t, s.PutLogGroup("/other", 0))
	appendLines(t, s, "z", "1")
	clock.Advance(time.Hour)
	appendLines(t, s, "a", "1")
	groups, err := s.DescribeLogGroups(context.Background(), &cwl.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/aws")})
	must(t, err)
	if g := groups.LogGroups; len(g) != 1 || *g[0].RetentionInDays != 30 || *g[0].Arn != "arn:aws:logs:us-east-1:000000000000:log-group:/aws/codebuild/p:*" {
		t.Errorf("groups: %+v", g)
	}
	first, err := s.DescribeLogStreams(context.Background(), &cwl.DescribeLogStreamsInput{LogGroupName: aws.String(testGroup), OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true), Limit: aws.Int32(1)})
	must(t, err)
	second, err := s.DescribeLogStreams(context.Background(), &cwl.DescribeLogStreamsInput{LogGroupName: aws.String(testGroup), OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true), Limit: aws.Int32(1), NextToken: first.NextToken})
	must(t, err)
	if *first.LogStreams[0].LogStreamName != "a" || *second.LogStreams[0].LogStreamName != "z" || second.NextToken != nil {
		t.Errorf("streams: %+v, %+v", first, second)
	}
}

func TestNamesThatAWSDoesNotTakeAreRefused(t *testing.T) {
	s, _, _ := newService(t)
	var wrong *types.InvalidParameterException
	for _, group := range []string{"", "a b", "a:log-stream:b", "a*", "a\x00b", strings.Repeat("a", 513)} {
		if err := s.PutLogGroup(group, 0); !errors.As(err, &wrong) {
			t.Errorf("group %.20q: %v", group, err)
		}
	}
	for _, stream := range []string{"", "a:b", "a*", "a\x00b", strings.Repeat("a", 513)} {
		_, err := s.CreateLogStream(context.Background(), &cwl.CreateLogStreamInput{LogGroupName: aws.String(testGroup), LogStreamName: &stream})
		if !errors.As(err, &wrong) {
			t.Errorf("stream %.20q: %v", stream, err)
		}
	}
	must(t, s.PutLogGroup("/aws/codebuild/p-1_2.3#x", 0))
	_, err := s.CreateLogStream(context.Background(), &cwl.CreateLogStreamInput{LogGroupName: aws.String(testGroup), LogStreamName: aws.String("my builds/[$LATEST] ä")})
	must(t, err)
}

func TestGroupsAreCreatedOnce(t *testing.T) {
	s, _, _ := newService(t)
	create := func(edit func(*cwl.CreateLogGroupInput)) error {
		in := &cwl.CreateLogGroupInput{LogGroupName: aws.String("/new")}
		edit(in)
		_, err := s.CreateLogGroup(context.Background(), in)
		return err
	}
	for field, edit := range map[string]func(*cwl.CreateLogGroupInput){
		"kmsKeyId":                  func(in *cwl.CreateLogGroupInput) { in.KmsKeyId = aws.String("k") },
		"logGroupClass":             func(in *cwl.CreateLogGroupInput) { in.LogGroupClass = types.LogGroupClassInfrequentAccess },
		"deletionProtectionEnabled": func(in *cwl.CreateLogGroupInput) { in.DeletionProtectionEnabled = aws.Bool(true) },
	} {
		if err := create(edit); err == nil || !strings.Contains(err.Error(), "does not implement "+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	must(t, create(func(*cwl.CreateLogGroupInput) {}))
	must(t, s.PutLogGroup("/new", 3))
	var exists *types.ResourceAlreadyExistsException
	if err := create(func(*cwl.CreateLogGroupInput) {}); !errors.As(err, &exists) {
		t.Errorf("the second time: %v", err)
	}
	groups, err := s.DescribeLogGroups(context.Background(), &cwl.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/new")})
	must(t, err)
	if g := groups.LogGroups; len(g) != 1 || *g[0].RetentionInDays != 3 {
		t.Errorf("groups: %+v", g)
	}
}

func TestDeletedGroupsTakeTheirEventsAlong(t *testing.T) {
	s, _, _ := newService(t)
	appendLines(t, s, "b", "1")
	must(t, s.RemoveLogGroup(testGroup))
	must(t, s.PutLogGroup(testGroup, 0))
	appendLines(t, s, "b", "2")
	if got := messages(get(t, s, "b", func(*cwl.GetLogEventsInput) {}).Events); got != "2" {
		t.Errorf("the new group holds %q", got)
	}
}

func TestRetentionIsAppliedAtTheNextStart(t *testing.T) {
	s, db, clock := newService(t)
	appendLines(t, s, "old", "1")
	clock.Advance(31 * 24 * time.Hour)
	appendLines(t, s, "new", "1")
	s, err := New(Options{Store: db, Clock: clock, Region: "us-east-1"})
	must(t, err)
	streams, err := s.DescribeLogStreams(context.Background(), &cwl.DescribeLogStreamsInput{LogGroupName: aws.String(testGroup)})
	must(t, err)
	if len(streams.LogStreams) != 1 || *streams.LogStreams[0].LogStreamName != "new" {
		t.Errorf("left: %+v", streams.LogStreams)
	}
}
