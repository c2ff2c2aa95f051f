package wire

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/transcript"
)

// shows is a REST service that answers with the request as a service sees it,
// and with the caller's name. Below /fail/ it fails with the code of the path.
type shows struct{}

func (shows) Route(r *http.Request) ([]iam.Permission, func(http.ResponseWriter, *http.Request) error, error) {
	if code, fails := strings.CutPrefix(r.URL.Path, "/fail/"); fails {
		return nil, nil, &smithy.GenericAPIError{Code: code, Message: "it is <so>", Fault: smithy.FaultClient}
	}
	return []iam.Permission{{Action: "s3:GetObject", Resource: "arn:aws:s3:::" + strings.Trim(r.URL.Path, "/")}}, func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == "/broken" {
			return errors.New("it broke on the way")
		}
		p, _ := iam.PrincipalFrom(r.Context())
		lines := []string{p.ARN + " " + r.Method + " " + r.URL.RequestURI()}
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			if name != "Authorization" && name != "User-Agent" && name != "X-Amz-Date" {
				lines = append(lines, name+": "+r.Header.Get(name))
			}
		}
		body, err := io.ReadAll(r.Body)
		fmt.Fprintln(w, strings.Join(append(lines, string(body)), "\n"))
		return err
	}, nil
}

// A request is one that a test signs and then tampers with.
type request struct {
	method, path, body string
	service            string
	header             map[string]string
	presigned          bool
	key                *iam.Credentials
	at                 time.Duration // after the engine's time
	tamper             func(*http.Request)
}

// ask sends a request and writes down the whole answer.
func (f *fixture) ask(t *testing.T, tr *transcript.Transcript, title string, q request) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), q.method, f.url+q.path, strings.NewReader(q.body))
	must(t, err)
	r.Host = "engine.example"
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	key := f.key
	if q.key != nil {
		key = *q.key
	}
	keys := aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretAccessKey, SessionToken: key.SessionToken}
	at, hash := f.clock.Now().Add(q.at), hashOf([]byte(q.body))
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = q.service == "s3" })
	if q.presigned {
		address, headers, err := signer.PresignHTTP(t.Context(), keys, r, "UNSIGNED-PAYLOAD", q.service, "us-east-1", at)
		must(t, err)
		r.URL, err = url.Parse(address)
		must(t, err)
		r.Header = headers
	} else {
		if q.service == "s3" {
			r.Header.Set("X-Amz-Content-Sha256", hash)
		}
		must(t, signer.SignHTTP(t.Context(), keys, r, hash, q.service, "us-east-1", at))
	}
	if q.tamper != nil {
		q.tamper(r)
	}
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	answer := map[string]any{"Status": response.StatusCode, "Body": string(body)}
	for name := range response.Header {
		if name != "Date" && name != "Content-Length" {
			answer[name] = response.Header.Get(name)
		}
	}
	tr.Add(title, answer, nil)
}

// setQuery changes a parameter after the signature.
func setQuery(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		query := r.URL.Query()
		query.Set(name, value)
		if value == "" {
			query.Del(name)
		}
		r.URL.RawQuery = query.Encode()
	}
}

// inAuthorization replaces a part of the Authorization header.
func inAuthorization(old, new string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
	}
}

func unsigned(r *http.Request) { r.Header.Del("Authorization") }

// All three protocols answer the same faults, each in its own shape.
func TestAnswersOfTheFrontDoor(t *testing.T) {
	f, tr := newFixture(t), transcript.New()
	f.handler.s3 = shows{}
	tr.Replace(f.key.AccessKeyID, "KEY")
	tr.Replace(strings.TrimPrefix(f.url, "http://"), "HOST")
	now := f.clock.Now().UTC()
	for _, at := range []time.Duration{0, 5*time.Minute + time.Second, -5*time.Minute - time.Second, 15*time.Minute + time.Second, -15*time.Minute - time.Second, time.Hour, -time.Hour} {
		tr.Replace(now.Add(at).Format(timeFormat), fmt.Sprintf("NOW%+d", int(at.Seconds())))
	}
	tr.Replace(now.Format("20060102"), "TODAY")
	const form = "application/x-www-form-urlencoded"
	json := func(target, body string, tamper func(*http.Request)) request {
		return request{method: "POST", path: "/", body: body, service: "codebuild", header: map[string]string{"X-Amz-Target": target}, tamper: tamper}
	}
	query := func(body string, tamper func(*http.Request)) request {
		return request{method: "POST", path: "/", body: body, service: "cloudformation", header: map[string]string{"Content-Type": form + "; charset=utf-8"}, tamper: tamper}
	}
	object := func(method, path string, tamper func(*http.Request)) request {
		return request{method: method, path: path, service: "s3", tamper: tamper}
	}
	link := func(path string, tamper func(*http.Request)) request {
		q := object("GET", path, tamper)
		q.presigned = true
		return q
	}
	const list, describe = "CodeBuild_20161006.ListBuilds", "Action=DescribeChangeSet&Version=2010-05-15&ChangeSetName=x"
	at := func(q request, at time.Duration) request { q.at = at; return q }
	with := func(q request, header, value string) request {
		q.header = map[string]string{header: value}
		return q
	}
	other := f.key
	other.SecretAccessKey = "another"
	by := func(q request, key iam.Credentials) request { q.key = &key; return q }
	for _, c := range []struct {
		title string
		q     request
	}{
		{"JSON", json(list, "{}", nil)},
		{"JSON without a body", json(list, "", nil)},
		{"JSON that is wrong", json(list, `{"a":1}`, nil)},
		{"JSON against the API model", json(list, `{"sortOrder":"UPWARDS"}`, nil)},
		{"JSON of no operation", json("CodeBuild_20161006.None", "{}", nil)},
		{"JSON of no service", json("None_20161006.None", "{}", nil)},
		{"JSON that fails", json("CodeBuild_20161006.StopBuild", `{"id":"a:1"}`, nil)},
		{"JSON that panics", json("CodeBuild_20161006.ListProjects", "{}", nil)},
		{"JSON with another body", json(list, "{}", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(" {}")), 3 })},
		{"JSON unsigned", json(list, "{}", unsigned)},
		{"JSON of no service unsigned", json("None.None", "{}", unsigned)},
		{"JSON with another secret", by(json(list, "{}", nil), other)},
		{"JSON with a host that is not signed", json(list, "{}", inAuthorization("host;", ""))},
		{"JSON with a target that is not signed", json(list, "{}", inAuthorization(";x-amz-target", ""))},
		{"JSON for another service", json(list, "{}", inAuthorization("/codebuild/", "/ecr/"))},
		{"JSON for another region", json(list, "{}", inAuthorization("/us-east-1/", "/eu-west-1/"))},
		{"JSON of an unknown key", json(list, "{}", inAuthorization(f.key.AccessKeyID, "AKIAX"))},
		{"JSON with half a scope", json(list, "{}", inAuthorization("/aws4_request", ""))},
		{"JSON with another end of its scope", json(list, "{}", inAuthorization("/aws4_request", "/aws5_request"))},
		{"JSON without the names of its headers", json(list, "{}", inAuthorization("SignedHeaders=", "Headers="))},
		{"JSON without a signature", json(list, "{}", inAuthorization("Signature=", "Sig="))},
		{"JSON with a signature in capitals", json(list, "{}", inAuthorization("Signature=", "Signature=A"))},
		{"JSON by basic login", json(list, "{}", func(r *http.Request) { r.SetBasicAuth("a", "b") })},
		{"JSON with no date", json(list, "{}", func(r *http.Request) { r.Header.Set("X-Amz-Date", "today") })},
		{"JSON at the limit", at(json(list, "{}", nil), -5*time.Minute)},
		{"JSON behind the limit", at(json(list, "{}", nil), -5*time.Minute-time.Second)},
		{"JSON in front of the limit", at(json(list, "{}", nil), 5*time.Minute+time.Second)},
		{"JSON with a token that no session has", json(list, "{}", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") })},
		{"Query", query(describe, nil)},
		{"Query of another version", query(strings.Replace(describe, "2010", "2011", 1), nil)},
		{"Query of no operation", query("Action=None&Version=2010-05-15", nil)},
		{"Query of no service", func() request { q := query(describe, nil); q.service = "ec2"; return q }()},
		{"Query that is no form", query("a=%zz", nil)},
		{"Query with an unknown parameter", query(describe+"&Colour=red", nil)},
		{"Query against the API model", query(describe+"&StackName=", nil)},
		{"Query in the URL", request{method: "GET", path: "/?" + describe, service: "cloudformation"}},
		{"Query in the URL and the body", func() request { q := query(describe, nil); q.path = "/?StackName=s&ChangeSetName=y"; return q }()},
		{"Query unsigned", query(describe, unsigned)},
		{"Query with another secret", by(query(describe, nil), other)},
		{"Query behind the limit", at(query(describe, nil), -time.Hour)},
		{"Query for another region", query(describe, inAuthorization("/us-east-1/", "/eu-west-1/"))},
		{"Query of an unknown key", query(describe, inAuthorization(f.key.AccessKeyID, "AKIAX"))},
		{"S3", object("GET", "/b/a%20b%2Bc?list-type=2&prefix=a%2Fb", nil)},
		{"S3 that fails", object("GET", "/fail/NoSuchKey", nil)},
		{"S3 that fails with a conflict", object("PUT", "/fail/BucketNotEmpty", nil)},
		{"S3 that fails without a status of its own", object("PUT", "/fail/Other", nil)},
		{"S3 that fails for HEAD", object("HEAD", "/fail/NoSuchKey", nil)},
		{"S3 that fails inside", object("GET", "/broken", nil)},
		{"S3 unsigned", object("GET", "/b/k", func(r *http.Request) { r.Header = http.Header{} })},
		{"S3 without a hash", object("GET", "/b/k", func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") })},
		{"S3 for another service", func() request { q := object("GET", "/b/k", nil); q.service = "ec2"; return q }()},
		{"S3 with another path", object("GET", "/b/k", func(r *http.Request) { r.URL.Path = "/b/other" })},
		{"S3 with another query", object("GET", "/b/k?a=b", func(r *http.Request) { r.URL.RawQuery = "a=c" })},
		{"S3 with another method", object("GET", "/b/k", func(r *http.Request) { r.Method = "DELETE" })},
		{"S3 for another region", object("GET", "/b/k", inAuthorization("/us-east-1/", "/eu-west-1/"))},
		{"S3 of an unknown key", object("GET", "/b/k", inAuthorization(f.key.AccessKeyID, "AKIAX"))},
		{"S3 at the limit", at(object("GET", "/b/k", nil), -15*time.Minute)},
		{"S3 behind the limit", at(object("GET", "/b/k", nil), -15*time.Minute-time.Second)},
		{"S3 in front of the limit", at(object("GET", "/b/k", nil), 15*time.Minute+time.Second)},
		{"a link", with(link("/b/k?X-Amz-Expires=60&versionId=1&x-amz-meta-a=1", nil), "X-Amz-Meta-Signed", "yes")},
		{"a link as long as it lasts", at(link("/b/k?X-Amz-Expires=3600", nil), -time.Hour)},
		{"a link that has expired", at(link("/b/k?X-Amz-Expires=3599", nil), -time.Hour)},
		{"a link from the future", at(link("/b/k?X-Amz-Expires=60", nil), time.Hour)},
		{"a link for a week", link("/b/k?X-Amz-Expires=604800", nil)},
		{"a link for more than a week", link("/b/k?X-Amz-Expires=604801", nil)},
		{"a link for no time", link("/b/k?X-Amz-Expires=0", nil)},
		{"a link for ever", link("/b/k?X-Amz-Expires=ever", nil)},
		{"a link of another time", link("/b/k?X-Amz-Expires=60", setQuery("X-Amz-Expires", "61"))},
		{"a link to another object", link("/b/k?X-Amz-Expires=60", func(r *http.Request) { r.URL.Path = "/b/other" })},
		{"a link by another algorithm", link("/b/k?X-Amz-Expires=60", setQuery("X-Amz-Algorithm", "AWS3"))},
		{"a link with half a scope", link("/b/k?X-Amz-Expires=60", setQuery("X-Amz-Credential", f.key.AccessKeyID+"/x"))},
		{"a link with a host that is not signed", link("/b/k?X-Amz-Expires=60", setQuery("X-Amz-SignedHeaders", "x-amz-a"))},
		{"a link with no date", link("/b/k?X-Amz-Expires=60", setQuery("X-Amz-Date", ""))},
		{"a link with another signature", link("/b/k?X-Amz-Expires=60", setQuery("X-Amz-Signature", strings.Repeat("0", 64)))},
		{"a link with a token that no session has", link("/b/k?X-Amz-Expires=60", setQuery("X-Amz-Security-Token", "x"))},
		{"a link by version 2", request{method: "GET", path: "/b/k?AWSAccessKeyId=a&Signature=b", service: "s3", tamper: unsigned}},
	} {
		f.ask(t, tr, c.title, c.q)
	}
	must(t, f.iam.PutRole(iam.Role{Name: "reader", TrustPolicy: []byte(`{"Statement":{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}}`)}))
	must(t, f.iam.PutRolePolicy("reader", "p", []byte(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/mine"}}`)))
	session, err := f.iam.AssumeRole(iam.Assumption{RoleARN: iam.RoleARN("/", "reader"), Session: "s", Service: iam.CodeBuild, TTL: time.Hour})
	must(t, err)
	tr.Replace(session.Credentials.SessionToken, "TOKEN")
	for _, c := range []struct {
		title string
		q     request
	}{
		{"a session", object("GET", "/b/mine", nil)},
		{"a session for another object", object("GET", "/b/other", nil)},
		{"a session's link", link("/b/mine?X-Amz-Expires=60", nil)},
		{"a session in JSON", json(list, "{}", nil)},
		{"a session in Query", query(describe, nil)},
		{"a session with another token", object("GET", "/b/mine", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") })},
	} {
		f.ask(t, tr, c.title, by(c.q, session.Credentials))
	}
	f.clock.Advance(time.Hour + time.Second)
	f.ask(t, tr, "an expired session", by(object("GET", "/b/mine", nil), session.Credentials))
	tr.Compare(t, "testdata/door.yaml")
}

// inner is decoded by both codecs, with each kind that the SDK's structs have.
type inner struct {
	Text    *string
	Count   *int32
	Large   int64
	Share   *float64
	Small   float32
	Yes     bool
	When    *time.Time
	Data    []byte
	List    []string
	Numbers map[string]int32
	Parts   []inner
	Type    cfntypes.ChangeSetType
}

func TestFormsAreDecodedOrRefusedWithTheirPlace(t *testing.T) {
	deep := strings.Repeat("Parts.member.1.", 10)
	for form, want := range map[string]string{
		"Text=a&Count=-7&Large=9007199254740993&Share=0.25&Small=1.5&Yes=true&Type=CREATE": `{"text":"a","count":-7,"large":9007199254740993,"share":0.25,"small":1.5,"yes":true,"type":"CREATE"}`,
		"When=2026-01-02T03:04:05%2B01:00&Data=aGk%3D":                                     `{"large":0,"small":0,"yes":false,"when":1767319445,"data":"aGk="}`,
		"List=":                           `{"large":0,"small":0,"yes":false,"list":[]}`,
		"List.member.2=b&List.member.1=a": `{"large":0,"small":0,"yes":false,"list":["a","b"]}`,
		"Numbers.entry.1.key=a&Numbers.entry.1.value=1&Numbers.entry.2.key=b&Numbers.entry.2.value=2": `{"large":0,"small":0,"yes":false,"numbers":{"a":1,"b":2}}`,
		"Parts.member.1.Parts.member.1.Text=x":                                                        `{"large":0,"small":0,"yes":false,"parts":[{"large":0,"small":0,"yes":false,"parts":[{"text":"x","large":0,"small":0,"yes":false}]}]}`,
		deep + "Text=x":                                                                               `"text":"x"`,
		deep + "Parts.member.Text=x":                                                                  "nests deeper than 32",
		"Text=a&Text=b":                                                                               "parameter Text is given 2 times",
		"Colour=red":                                                                                  `unknown parameter "Colour"`,
		"Parts.member.1.Colour=red":                                                                   `Parts: member 1: unknown parameter "Colour"`,
		"Text.a=b":                                                                                    "Text: parts were given where a string is expected",
		"Count=many":                                                                                  `Count: "many" is not`,
		"Count=4294967296":                                                                            `Count: "4294967296" is not`,
		"Share=much":                                                                                  `Share: "much" is not`,
		"Small=much":                                                                                  `Small: "much" is not`,
		"Yes=maybe":                                                                                   `Yes: "maybe" is not`,
		"When=today":                                                                                  `When: "today" is not`,
		"Data=!":                                                                                      `Data: "!" is not`,
		"List.1=a":                                                                                    "List: a list must be written as NAME.member.1",
		"List.member.1=a&List.x=b":                                                                    "List: a list must be written as NAME.member.1",
		"List.member.0=a":                                                                             `List: list items must be numbered from 1 without a gap, and there is a "0" among 1`,
		"List.member.2=a":                                                                             `there is a "2" among 1`,
		"List.member.x=a":                                                                             `there is a "x" among 1`,
		"List.member.1=a&List.member.01=b":                                                            "numbered from 1 without a gap",
		"Numbers.1=a":                                                                                 "Numbers: a map must be written as NAME.entry.1.key",
		"Numbers.entry.1.key=a":                                                                       "Numbers: entry 1 needs exactly a key and a value",
		"Numbers.entry.1.value=1":                                                                     "Numbers: entry 1 needs exactly a key and a value",
		"Numbers.entry.1.key=a&Numbers.entry.1.value=1&Numbers.entry.1.x=1": "Numbers: entry 1 needs exactly a key and a value",
		"Numbers.entry.1.key=a&Numbers.entry.1.value=b":                     `Numbers: a: "b" is not`,
		"Numbers.entry.2.key=a&Numbers.entry.2.value=1":                     "numbered from 1 without a gap",
	} {
		values, err := url.ParseQuery(form)
		must(t, err)
		var got inner
		wantDecoded(t, form, want, &got, DecodeQuery(values, &got))
	}
}

// wantDecoded compares what a decoder made with JSON, or its error with a part.
func wantDecoded(t *testing.T, from, want string, value *inner, err error) {
	t.Helper()
	if err != nil {
		if !strings.Contains(err.Error(), want) || strings.HasPrefix(want, "{") {
			t.Errorf("%s: %v, want %s", from, err, want)
		}
		return
	}
	data, err := EncodeJSON(value)
	must(t, err)
	if string(data) != want && (strings.HasPrefix(want, "{") || !strings.Contains(string(data), want)) {
		t.Errorf("%s is %s, want %s", from, data, want)
	}
}

func TestJSONIsDecodedOrRefusedWithItsPlace(t *testing.T) {
	const rest = `"large":0,"small":0,"yes":false`
	for text, want := range map[string]string{
		" ": "{" + rest + "}",
		`{"text":"a","count":-7,"large":9007199254740993,"share":0.25,"small":1.5,"yes":true,"type":"CREATE"}`: `{"text":"a","count":-7,"large":9007199254740993,"share":0.25,"small":1.5,"yes":true,"type":"CREATE"}`,
		`{"when":1767319445.1236,"data":"aGk="}`:     "{" + rest + `,"when":1767319445.124,"data":"aGk="}`,
		`{"when":1e12}`:                              "{" + rest + `,"when":1000000000000}`,
		`{"when":-1.5}`:                              "{" + rest + `,"when":-1.5}`,
		`{"list":[],"numbers":{},"parts":[null]}`:    "{" + rest + `,"list":[],"numbers":{},"parts":[{` + rest + `}]}`,
		`{"numbers":{"b":2,"a":1},"list":["a","b"]}`: "{" + rest + `,"list":["a","b"],"numbers":{"a":1,"b":2}}`,
		`{"text":null}`:                              "{" + rest + "}",
		`{"when":1e13}`:                              "when: 1e13 is not a time in epoch seconds",
		`{"when":"today"}`:                           "when: ",
		`{"when":{}}`:                                "when: an object was given where a time is expected",
		`{"data":"!"}`:                               "data: ",
		`{"data":[]}`:                                "data: a list was given where",
		`{"count":1.5}`:                              "count: 1.5 is not",
		`{"count":4294967296}`:                       "count: 4294967296 is not",
		`{"count":"1"}`:                              "count: a string was given where",
		`{"text":1}`:                                 "text: a number was given where a string is expected",
		`{"text":true}`:                              "text: a boolean was given where a string is expected",
		`{"yes":1}`:                                  "yes: a number was given where",
		`{"share":1e999}`:                            "share: 1e999 is not",
		`{"numbers":{"a":"b"}}`:                      "numbers: a: a string was given where",
		`{"parts":[{},{"text":1}]}`:                  "parts: [1]: text: a number was given where a string is expected",
		`{"parts":[{"colour":"red"}]}`:               `parts: [0]: unknown member "colour"`,
	} {
		var got inner
		wantDecoded(t, text, want, &got, DecodeJSON([]byte(text), &got))
	}
}

func TestAnswersAreEncoded(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.FixedZone("", 3600))
	long := strings.Repeat("x", longText) + "\n"
	value := inner{Text: aws.String("<a & b>"), Count: aws.Int32(-1), Share: aws.Float64(0.5), Small: 2, When: &when, Data: []byte("hi"), List: []string{"a", long},
		Numbers: map[string]int32{"b": 2, "a": 1}, Parts: []inner{{List: []string{}, Text: &long}}, Type: "CREATE"}
	tr := transcript.New()
	tr.Replace(long[:longText], "LONG")
	data, err := EncodeQuery(&value, "Do", "https://example.com/?a&b", "id")
	tr.Add("Query", string(data), err)
	data, err = EncodeJSON(&value)
	tr.Add("JSON", string(data), err)
	type odd struct{ Odd chan int }
	type holder struct {
		List []odd
		Map  map[string]odd
	}
	for _, v := range []any{&odd{make(chan int)}, &holder{List: []odd{{make(chan int)}}}, &holder{Map: map[string]odd{"k": {make(chan int)}}}} {
		_, err = EncodeQuery(v, "Do", "", "id")
		tr.Add("Query of what cannot be encoded", nil, err)
		_, err = EncodeJSON(v)
		tr.Add("JSON of what cannot be encoded", nil, err)
	}
	tr.Compare(t, "testdata/encoded.yaml")
}

// Inputs against the API model are refused in AWS's words, all problems at
// once.
func TestRefusalsNameEveryProblem(t *testing.T) {
	tr := transcript.New()
	check := func(name string, input any, names *naming) {
		s := service{name: name, constraints: allConstraints()[name]}
		tr.Add(fmt.Sprintf("%s %T", name, input), "accepted", s.check(input, names))
	}
	check("cloudformation", &cloudformation.CreateStackInput{StackName: aws.String("")}, queryNames)
	check("cloudformation", &cloudformation.CreateStackInput{}, queryNames)
	check("cloudformation", &cloudformation.CreateStackInput{StackName: aws.String("s"), TimeoutInMinutes: aws.Int32(0), OnFailure: "EXPLODE", NotificationARNs: make([]string, 6),
		Tags: []cfntypes.Tag{{Key: aws.String("")}, {Key: aws.String("k"), Value: aws.String(strings.Repeat("ä", 257))}}}, queryNames)
	check("cloudformation", &cloudformation.CreateStackInput{StackName: aws.String("s"), TimeoutInMinutes: aws.Int32(1), NotificationARNs: make([]string, 5)}, queryNames)
	check("codebuild", &codebuild.BatchGetBuildsInput{Ids: []string{""}}, jsonNames)
	check("codebuild", &codebuild.BatchGetBuildsInput{Ids: make([]string, 101)}, jsonNames)
	check("codebuild", &codebuild.StartBuildInput{ProjectName: aws.String("p"), TimeoutInMinutesOverride: aws.Int32(2161), QueuedTimeoutInMinutesOverride: aws.Int32(4)}, jsonNames)
	check("logs", &cloudwatchlogs.GetLogEventsInput{LogStreamName: aws.String("a:b"), Limit: aws.Int32(10001)}, jsonNames)
	check("none", &codebuild.BatchGetBuildsInput{}, jsonNames)
	tr.Compare(t, "testdata/refusals.yaml")
}

// Errors of the engine itself are its own fault, in each protocol.
func TestErrorsHaveAFault(t *testing.T) {
	for _, c := range []struct {
		err  error
		want failure
	}{
		{errors.New("oops"), failure{"InternalFailure", "oops", 500, true}},
		{&smithy.GenericAPIError{Code: "NoSuchKey", Message: "m", Fault: smithy.FaultServer}, failure{"NoSuchKey", "m", 500, true}},
		{&smithy.GenericAPIError{Code: "NoSuchKey", Message: "m"}, failure{"NoSuchKey", "m", 404, false}},
		{fmt.Errorf("wrapped: %w", clientError("AccessDeniedException", "no %s", "way")), failure{"AccessDenied", "no way", 403, false}},
	} {
		if got := describe(c.err, restDialect); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v is %+v, want %+v", c.err, got, c.want)
		}
	}
	for code, status := range statuses {
		if status < 400 || status > 599 {
			t.Errorf("%s has the status %d", code, status)
		}
	}
}
