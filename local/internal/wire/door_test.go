package wire

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// builds is a service with three operations, one of which panics.
type builds struct{ asked context.Context }

func (b *builds) ListBuilds(ctx context.Context, _ *codebuild.ListBuildsInput) (*codebuild.ListBuildsOutput, error) {
	b.asked = ctx
	return &codebuild.ListBuildsOutput{Ids: []string{"a:1"}}, nil
}

func (*builds) StopBuild(context.Context, *codebuild.StopBuildInput) (*codebuild.StopBuildOutput, error) {
	return nil, &cbtypes.ResourceNotFoundException{Message: aws.String("no such build")}
}

func (*builds) ListProjects(context.Context, *codebuild.ListProjectsInput) (*codebuild.ListProjectsOutput, error) {
	panic("a bug")
}

func (*builds) Permissions(_ context.Context, op string, _ any) []iam.Permission {
	return iam.On("arn:of:" + op)
}

func (b *builds) Operations() []Operation {
	return []Operation{Op(b.ListBuilds), Op(b.StopBuild), Op(b.ListProjects)}
}

type stacks struct{}

func (s stacks) Operations() []Operation { return []Operation{Op(s.DescribeChangeSet)} }

func (stacks) DescribeChangeSet(context.Context, *cloudformation.DescribeChangeSetInput) (*cloudformation.DescribeChangeSetOutput, error) {
	return nil, &cfntypes.ChangeSetNotFoundException{Message: aws.String("ChangeSet [x] does not exist")}
}

// echoing is a REST service that answers with what it is sent.
type echoing struct{}

func (echoing) Route(*http.Request) ([]iam.Permission, func(http.ResponseWriter, *http.Request) error, error) {
	return nil, func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(w, r.Body)
		return err
	}, nil
}

type fixture struct {
	url    string
	iam    *iam.Service
	key    iam.Credentials
	clock  *clockwork.FakeClock
	builds *builds

	handler *Handler
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{clock: clockwork.NewFakeClockAt(time.Now().Truncate(time.Second)), builds: &builds{}}
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	f.iam, err = iam.New(iam.Options{Store: db, Clock: f.clock})
	must(t, err)
	f.key, err = f.iam.RootCredentials()
	must(t, err)
	f.handler = New(Config{
		Region: "us-east-1", IAM: f.iam, Clock: f.clock,
		JSON:  []JSONService{{Name: "codebuild", TargetPrefix: "CodeBuild_20161006", Service: f.builds}},
		Query: []QueryService{{Name: "cloudformation", Version: "2010-05-15", Namespace: "http://cloudformation.amazonaws.com/doc/2010-05-15/", Service: stacks{}}},
		S3:    echoing{},
	})
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) config(c iam.Credentials, region string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: &f.url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
	}
}

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// TestIdentityFailuresHaveEachProtocolsCode asks all three protocols with the
// same faults.
func TestIdentityFailuresHaveEachProtocolsCode(t *testing.T) {
	f := newFixture(t)
	forged := f.key
	forged.SecretAccessKey = "wrong"
	unknown := f.key
	unknown.AccessKeyID = "AKIAUNKNOWN"
	tokened := f.key
	tokened.SessionToken = "made up"
	tests := []struct {
		name            string
		key             iam.Credentials
		region          string
		json, query, s3 string
	}{
		{"wrong secret", forged, "us-east-1", "InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"unknown key", unknown, "us-east-1", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"},
		{"made-up token", tokened, "us-east-1", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"},
		{"other region", f.key, "eu-west-1", "InvalidSignatureException", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := f.config(test.key, test.region)
			_, err := codebuild.NewFromConfig(config).ListBuilds(t.Context(), &codebuild.ListBuildsInput{})
			if codeOf(err) != test.json {
				t.Errorf("JSON: %v, want %s", err, test.json)
			}
			_, err = cloudformation.NewFromConfig(config).DescribeChangeSet(t.Context(), &cloudformation.DescribeChangeSetInput{ChangeSetName: aws.String("x")})
			if codeOf(err) != test.query {
				t.Errorf("Query: %v, want %s", err, test.query)
			}
			_, err = awss3.NewFromConfig(config).GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("k")})
			if codeOf(err) != test.s3 {
				t.Errorf("S3: %v, want %s", err, test.s3)
			}
		})
	}
}

func TestServiceErrorsKeepTheirType(t *testing.T) {
	f := newFixture(t)
	config := f.config(f.key, "us-east-1")
	_, err := codebuild.NewFromConfig(config).StopBuild(t.Context(), &codebuild.StopBuildInput{Id: aws.String("a:1")})
	var missing *cbtypes.ResourceNotFoundException
	if !errors.As(err, &missing) || missing.ErrorMessage() != "no such build" {
		t.Errorf("JSON: %v", err)
	}
	_, err = cloudformation.NewFromConfig(config).DescribeChangeSet(t.Context(), &cloudformation.DescribeChangeSetInput{ChangeSetName: aws.String("x")})
	var noSet *cfntypes.ChangeSetNotFoundException
	if !errors.As(err, &noSet) {
		t.Errorf("Query: %v", err)
	}
}

func TestWhatIsNotImplementedIsSaidByName(t *testing.T) {
	f := newFixture(t)
	config := f.config(f.key, "us-east-1")
	_, err := codebuild.NewFromConfig(config).ListFleets(t.Context(), &codebuild.ListFleetsInput{})
	if codeOf(err) != "UnknownOperationException" || !strings.Contains(err.Error(), "the local engine does not implement codebuild:ListFleets") {
		t.Errorf("JSON: %v", err)
	}
	_, err = cloudformation.NewFromConfig(config).ListExports(t.Context(), &cloudformation.ListExportsInput{})
	if codeOf(err) != "InvalidAction" || !strings.Contains(err.Error(), "the local engine does not implement cloudformation:ListExports") {
		t.Errorf("Query: %v", err)
	}
}

func TestAPanicIsThatRequestsFailureOnly(t *testing.T) {
	f := newFixture(t)
	var log strings.Builder
	f.handler.log = slog.New(slog.NewTextHandler(&log, nil))
	client := codebuild.NewFromConfig(f.config(f.key, "us-east-1"))
	_, err := client.ListProjects(t.Context(), &codebuild.ListProjectsInput{})
	if codeOf(err) != "InternalFailure" {
		t.Errorf("error = %v", err)
	}
	if !strings.Contains(log.String(), `problem="a bug"`) || !strings.Contains(log.String(), "ListProjects") {
		t.Errorf("the log says %s", log.String())
	}
	_, err = client.ListBuilds(t.Context(), &codebuild.ListBuildsInput{})
	must(t, err)
}

func TestRolesCallAsThemselvesAndOnlyWhatTheirPolicyAllows(t *testing.T) {
	f := newFixture(t)
	must(t, f.iam.PutRole(iam.Role{
		Name:        "builder",
		TrustPolicy: json.RawMessage(`{"Statement":{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}}`),
		Policies:    map[string]json.RawMessage{"p": json.RawMessage(`{"Statement":{"Effect":"Allow","Action":"codebuild:List*","Resource":"arn:of:ListBuilds"}}`)},
	}))
	session, err := f.iam.AssumeRole(iam.Assumption{RoleARN: iam.RoleARN("/", "builder"), Session: "s", Service: iam.CodeBuild, TTL: time.Hour})
	must(t, err)
	client := codebuild.NewFromConfig(f.config(session.Credentials, "us-east-1"))
	_, err = client.ListBuilds(t.Context(), &codebuild.ListBuildsInput{})
	must(t, err)
	if p, _ := iam.PrincipalFrom(f.builds.asked); p.ARN != "arn:aws:sts::000000000000:assumed-role/builder/s" {
		t.Errorf("principal = %+v", p)
	}
	_, err = client.StopBuild(t.Context(), &codebuild.StopBuildInput{Id: aws.String("a:1")})
	if codeOf(err) != "AccessDeniedException" || !strings.Contains(err.Error(), "codebuild:StopBuild on resource: arn:of:StopBuild") {
		t.Errorf("error = %v", err)
	}
	f.clock.Advance(2 * time.Hour)
	if response := f.send(t, session.Credentials, f.clock.Now(), nil); !strings.Contains(response, "ExpiredTokenException") {
		t.Errorf("an expired session gets %s", response)
	}
}

// send signs and sends ListBuilds at a time, after which tamper may change the
// request.
func (f *fixture) send(t *testing.T, key iam.Credentials, at time.Time, tamper func(*http.Request)) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/", strings.NewReader("{}"))
	must(t, err)
	r.Header.Set("X-Amz-Target", "CodeBuild_20161006.ListBuilds")
	c := aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretAccessKey, SessionToken: key.SessionToken}
	must(t, v4.NewSigner().SignHTTP(t.Context(), c, r, hashOf([]byte("{}")), "codebuild", "us-east-1", at))
	if tamper != nil {
		tamper(r)
	}
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return string(body)
}

func TestATamperedOrStaleRequestIsRefused(t *testing.T) {
	f := newFixture(t)
	now := f.clock.Now()
	tests := map[string]struct {
		at     time.Time
		tamper func(*http.Request)
		want   string
	}{
		"as signed":       {now, nil, `"ids":["a:1"]`},
		"4 minutes old":   {now.Add(-4 * time.Minute), nil, `"ids":["a:1"]`},
		"6 minutes old":   {now.Add(-6 * time.Minute), nil, "Signature expired"},
		"6 minutes off":   {now.Add(6 * time.Minute), nil, "Signature expired"},
		"other body":      {now, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("[]")) }, "InvalidSignatureException"},
		"other operation": {now, func(r *http.Request) { r.Header.Set("X-Amz-Target", "CodeBuild_20161006.StopBuild") }, "InvalidSignatureException"},
		"unsigned header": {now, func(r *http.Request) { r.Header.Set("X-Amz-Meta-X", "1") }, "x-amz-meta-x"},
		"other path":      {now, func(r *http.Request) { r.URL.Path = "/x" }, "InvalidSignatureException"},
		"no signature":    {now, func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException"},
		"basic":           {now, func(r *http.Request) { r.SetBasicAuth("AWS", "x") }, "IncompleteSignatureException"},
		"nonsense":        {now, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") }, "IncompleteSignatureException"},
		"other day":       {now, func(r *http.Request) { r.Header.Set("X-Amz-Date", "20010101T000000Z") }, "IncompleteSignatureException"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := f.send(t, f.key, test.at, test.tamper); !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestStrangersAreNotListenedTo announces a body and never sends it. The engine
// must refuse the request without waiting for the body.
func TestStrangersAreNotListenedTo(t *testing.T) {
	f := newFixture(t)
	const json = "X-Amz-Target: CodeBuild_20161006.ListBuilds\r\n"
	now := f.clock.Now().UTC()
	// signed returns the headers of a request whose signature could be valid, with
	// replacements for one of their parts.
	signed := func(replacements ...string) string {
		date := now.Format(timeFormat)
		return json + strings.NewReplacer(replacements...).Replace("X-Amz-Date: "+date+"\r\nAuthorization: AWS4-HMAC-SHA256 Credential="+f.key.AccessKeyID+"/"+date[:8]+
			"/us-east-1/codebuild/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature="+strings.Repeat("0", 64))
	}
	for name, header := range map[string]string{
		"JSON":            json + "X-A: b",
		"Query":           "Content-Type: application/x-www-form-urlencoded",
		"unknown key":     signed(f.key.AccessKeyID, "AKIAX"),
		"other region":    signed("us-east-1", "eu-west-1"),
		"other service":   signed("/codebuild/", "/ecr/"),
		"old":             signed(now.Format(timeFormat), now.Add(-time.Hour).Format(timeFormat)),
		"unsigned header": signed(";x-amz-target", ""),
		"unsigned host":   signed("host;", ""),
		"token":           signed() + "\r\nX-Amz-Security-Token: x",
		"no signature":    signed(strings.Repeat("0", 64), "x"),
		"unknown target":  strings.Replace(signed(), "CodeBuild_", "Other_", 1),
		"too large":       signed() + "\r\nContent-Length: 8388609",
	} {
		t.Run(name, func(t *testing.T) {
			if status := f.announce(t, header, ""); !strings.HasPrefix(status, "HTTP/1.1 4") {
				t.Errorf("the answer to the headers is %q", status)
			}
		})
	}
	t.Run("slow", func(t *testing.T) {
		f.handler.bodyTimeout = 50 * time.Millisecond
		if status := f.announce(t, signed(), "{"); !strings.HasPrefix(status, "HTTP/1.1 400") {
			t.Errorf("the answer to half a body is %q", status)
		}
	})
}

// announce sends the headers of a request with a body, and a part of that, and
// returns the answer's first line.
func (f *fixture) announce(t *testing.T, header, part string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	if !strings.Contains(header, "Content-Length") {
		header += fmt.Sprintf("\r\nContent-Length: %d", MaxBody)
	}
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s", header, part)
	must(t, err)
	status, err := bufio.NewReader(conn).ReadString('\n')
	must(t, err)
	return status
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	f := newFixture(t)
	got := f.send(t, f.key, f.clock.Now(), func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat(" ", MaxBody+1))), MaxBody+1
	})
	if !strings.Contains(got, "RequestEntityTooLarge") {
		t.Errorf("got %s", got)
	}
}

func TestJSONThatDoesNotFitIsRefusedWithItsPlace(t *testing.T) {
	tests := map[string]string{
		`{"ids":"x"}`:                  "ids: a string was given where a list is expected",
		`{"ids":[1]}`:                  "ids: [0]: a number was given where a string is expected",
		`{"idz":["x"]}`:                `unknown member "idz"`,
		`{"ids":["x"]} {}`:             "something after",
		`{`:                            "not JSON",
		`[]`:                           "a list was given where an object is expected",
		`{"ids":{}}`:                   "ids: an object was given where a list is expected",
		`{"ids":true}`:                 "ids: a boolean was given where a list is expected",
		`{"ResultMetadata":{"a":"b"}}`: "unknown member",
	}
	for body, want := range tests {
		err := DecodeJSON([]byte(body), &codebuild.BatchGetBuildsInput{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %s", body, err, want)
		}
	}
	if err := DecodeJSON([]byte(`{"timeoutInMinutesOverride":4294967296}`), &codebuild.StartBuildInput{}); err == nil {
		t.Error("a number beyond 32 bits was taken")
	}
}

// FuzzDecodeQuery checks that no form breaks the decoder, and that a large
// index cannot make it allocate.
func FuzzDecodeQuery(f *testing.F) {
	f.Add("StackName=s&Parameters.member.1.ParameterKey=k&Parameters.member.1.ParameterValue=v&Capabilities.member.1=CAPABILITY_IAM")
	f.Add("Parameters.member.999999999=x&Tags=&Tags.member.0.Key=x")
	f.Add("TimeoutInMinutes=x&DisableRollback=maybe&RollbackConfiguration.MonitoringTimeInMinutes=9e9")
	f.Add("StackName.member.1=x&StackName=y")
	f.Fuzz(func(t *testing.T, text string) {
		form, err := url.ParseQuery(text)
		if err != nil {
			t.Skip()
		}
		var in cloudformation.CreateStackInput
		if err := DecodeQuery(form, &in); err != nil {
			return
		}
		if len(in.Parameters) > len(form) || len(in.Tags) > len(form) {
			t.Errorf("%d parameters came out of %d form fields", len(in.Parameters), len(form))
		}
	})
}

// FuzzDecodeJSON checks that what decodes encodes to something that decodes to
// the same.
func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"projectName":"p","environmentVariablesOverride":[{"name":"A","value":"b","type":"PLAINTEXT"}],"timeoutInMinutesOverride":5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var in, again codebuild.StartBuildInput
		if DecodeJSON(data, &in) != nil {
			return
		}
		encoded, err := EncodeJSON(&in)
		if err != nil {
			t.Fatal(err)
		}
		if err := DecodeJSON(encoded, &again); err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		second, err := EncodeJSON(&again)
		if err != nil || string(second) != string(encoded) {
			t.Errorf("%s became %s", encoded, second)
		}
	})
}
