package s3_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// raw sends a presigned request over a connection of its own, and returns the
// answer as it was sent, but for its body.
func raw(t *testing.T, method, address string, header ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	check(t, err)
	conn, err := net.Dial("tcp", u.Host)
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", method, u.RequestURI(), u.Host, strings.Join(append(header, ""), "\r\n"))
	answer, err := io.ReadAll(bufio.NewReader(conn))
	check(t, err)
	return string(answer)
}

func (b *bench) presign() *awss3.PresignClient { return awss3.NewPresignClient(b.client) }

// fetch makes a presigned request as a browser does, and returns the status and
// the body.
func fetch(t *testing.T, method, address, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	check(t, err)
	answer, err := http.DefaultClient.Do(r)
	check(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(t, err)
	return answer.StatusCode, string(text)
}

func TestPresignedRequestsNeedNoKey(t *testing.T) {
	b := newBench(t)
	put, err := b.presign().PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("a b/ü+")}, awss3.WithPresignExpires(time.Hour))
	check(t, err)
	if status, text := fetch(t, "PUT", put.URL, "hello"); status != 200 {
		t.Fatalf("PUT: %d %s", status, text)
	}
	get, err := b.presign().PresignGetObject(t.Context(), &awss3.GetObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("a b/ü+"), ResponseContentType: aws.String("text/x-other"),
	}, awss3.WithPresignExpires(time.Hour))
	check(t, err)
	if status, text := fetch(t, "GET", get.URL, ""); status != 200 || text != "hello" {
		t.Errorf("GET: %d %s", status, text)
	}
	if answer := raw(t, "GET", get.URL); !strings.Contains(answer, "Content-Type: text/x-other\r\n") {
		t.Errorf("the type that was asked for is missing: %s", answer)
	}
	for name, test := range map[string]struct{ method, url, want string }{
		"other method":  {"DELETE", get.URL, "SignatureDoesNotMatch"},
		"other key":     {"GET", strings.Replace(get.URL, "a%20b", "a%20c", 1), "SignatureDoesNotMatch"},
		"longer":        {"GET", strings.Replace(get.URL, "X-Amz-Expires=3600", "X-Amz-Expires=3601", 1), "SignatureDoesNotMatch"},
		"too long":      {"GET", strings.Replace(get.URL, "X-Amz-Expires=3600", "X-Amz-Expires=604801", 1), "AuthorizationQueryParametersError"},
		"one parameter": {"GET", get.URL + "&response-expires=x", "SignatureDoesNotMatch"},
		"other scope":   {"GET", strings.Replace(get.URL, "us-east-1", "eu-west-1", 1), "AuthorizationHeaderMalformed"},
		"version 2":     {"GET", put.URL[:strings.Index(put.URL, "?")] + "?AWSAccessKeyId=a&Signature=b&Expires=1", "InvalidRequest"},
		"no algorithm":  {"GET", strings.Replace(get.URL, "X-Amz-Algorithm", "Algorithm", 1), "AuthorizationQueryParametersError"},
	} {
		if _, text := fetch(t, test.method, test.url, ""); !strings.Contains(text, "<Code>"+test.want+"</Code>") {
			t.Errorf("%s: %s, want %s", name, text, test.want)
		}
	}
	if answer := raw(t, "GET", get.URL, "X-Amz-Meta-A: 1"); !strings.Contains(answer, "the header x-amz-meta-a is in the request and was not signed") {
		t.Errorf("with a header that was not signed: %s", answer)
	}
	b.clock.Advance(time.Hour + time.Second)
	if status, text := fetch(t, "GET", get.URL, ""); status != 403 || !strings.Contains(text, "Request has expired") {
		t.Errorf("an hour later: %d %s", status, text)
	}
}

func TestPresignedRequestsOfARoleHaveItsToken(t *testing.T) {
	b := newBench(t)
	b.put(t, "k", "hello")
	role(t, b, "reader", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::sources/k"}`)
	get, err := awss3.NewPresignClient(b.as(t, "reader")).PresignGetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	if status, text := fetch(t, "GET", get.URL, ""); status != 200 || text != "hello" {
		t.Errorf("GET: %d %s", status, text)
	}
	if status, text := fetch(t, "GET", strings.Replace(get.URL, "X-Amz-Security-Token=", "X-Amz-Security-Token=x", 1), ""); status != 403 || !strings.Contains(text, "InvalidAccessKeyId") {
		t.Errorf("with another token: %d %s", status, text)
	}
	put, err := awss3.NewPresignClient(b.as(t, "reader")).PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	if status, text := fetch(t, "PUT", put.URL, "x"); status != 403 || !strings.Contains(text, "not authorized to perform: s3:PutObject") {
		t.Errorf("PUT: %d %s", status, text)
	}
}

// role makes a role that the account may assume, with one statement.
func role(t *testing.T, b *bench, name, statement string) {
	t.Helper()
	check(t, b.iam.PutRole(iam.Role{
		Name:        name,
		TrustPolicy: []byte(`{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"000000000000"}}}`),
	}))
	check(t, b.iam.PutRolePolicy(name, "p", []byte(`{"Statement":[`+statement+`]}`)))
}

func TestMetadataHasNamesInLowerCase(t *testing.T) {
	b := newBench(t)
	_, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader("x"), Metadata: map[string]string{"Two-Words": "v"}})
	check(t, err)
	get, err := b.presign().PresignGetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	if answer := raw(t, "GET", get.URL); !strings.Contains(answer, "\r\nx-amz-meta-two-words: v\r\n") {
		t.Errorf("the answer is %s", answer)
	}
}

func TestAnEmptyObjectIsToldToContinue(t *testing.T) {
	b := newBench(t)
	put, err := b.presign().PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	answer := raw(t, "PUT", put.URL, "Content-Length: 0", "Expect: 100-continue")
	if !strings.HasPrefix(answer, "HTTP/1.1 100 Continue\r\n") || !strings.Contains(answer, "\r\nHTTP/1.1 200 OK\r\n") {
		t.Errorf("the answer is %s", answer)
	}
	answer = raw(t, "PUT", strings.Replace(put.URL, "/k?", "/l?", 1), "Content-Length: 0", "Expect: 100-continue")
	if !strings.HasPrefix(answer, "HTTP/1.1 403 ") {
		t.Errorf("a stranger's answer is %s", answer)
	}
}

func TestListingByVersion1(t *testing.T) {
	b := newBench(t)
	for _, key := range []string{"a", "b/1", "b/2", "c d", "e"} {
		b.put(t, key, key)
	}
	list := func(in awss3.ListObjectsInput) (got []string, next string) {
		t.Helper()
		in.Bucket = aws.String(bucket)
		out, err := b.client.ListObjects(t.Context(), &in)
		check(t, err)
		for _, o := range out.Contents {
			got = append(got, *o.Key)
		}
		for _, p := range out.CommonPrefixes {
			got = append(got, *p.Prefix)
		}
		if aws.ToString(out.Marker) != aws.ToString(in.Marker) {
			t.Errorf("marker %q came back as %q", aws.ToString(in.Marker), aws.ToString(out.Marker))
		}
		return got, fmt.Sprint(aws.ToBool(out.IsTruncated), " ", aws.ToString(out.NextMarker))
	}
	for _, test := range []struct {
		in   awss3.ListObjectsInput
		want []string
		next string
	}{
		{awss3.ListObjectsInput{}, []string{"a", "b/1", "b/2", "c d", "e"}, "false "},
		{awss3.ListObjectsInput{MaxKeys: aws.Int32(2)}, []string{"a", "b/1"}, "true "},
		{awss3.ListObjectsInput{Marker: aws.String("b/1")}, []string{"b/2", "c d", "e"}, "false "},
		{awss3.ListObjectsInput{Prefix: aws.String("b/")}, []string{"b/1", "b/2"}, "false "},
		{awss3.ListObjectsInput{Delimiter: aws.String("/"), MaxKeys: aws.Int32(2)}, []string{"a", "b/"}, "true b/"},
		{awss3.ListObjectsInput{Delimiter: aws.String("/"), Marker: aws.String("b/"), EncodingType: "url"}, []string{"c%20d", "e"}, "false "},
	} {
		if got, next := list(test.in); !slices.Equal(got, test.want) || next != test.next {
			t.Errorf("%+v: %q, %s, want %q, %s", test.in, got, next, test.want, test.next)
		}
	}
}

func TestObjectsAreDeletedTogether(t *testing.T) {
	b := newBench(t)
	for _, key := range []string{"a", "b", "c&d", "keep"} {
		b.put(t, key, key)
	}
	remove := func(client *awss3.Client, quiet bool, keys ...string) (*awss3.DeleteObjectsOutput, error) {
		in := &awss3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{Quiet: &quiet, Objects: []types.ObjectIdentifier{}}}
		for _, key := range keys {
			in.Delete.Objects = append(in.Delete.Objects, types.ObjectIdentifier{Key: &key})
		}
		return client.DeleteObjects(t.Context(), in)
	}
	out, err := remove(b.client, false, "a", "c&d", "never")
	check(t, err)
	var gone []string
	for _, d := range out.Deleted {
		gone = append(gone, *d.Key)
	}
	if !slices.Equal(gone, []string{"a", "c&d", "never"}) || len(out.Errors) > 0 {
		t.Errorf("deleted %q, errors %v", gone, out.Errors)
	}
	role(t, b, "cleaner", `{"Effect":"Allow","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::sources/b"}`)
	out, err = remove(b.as(t, "cleaner"), true, "b", "keep")
	check(t, err)
	if len(out.Deleted) != 0 || len(out.Errors) != 1 || *out.Errors[0].Key != "keep" || *out.Errors[0].Code != "AccessDenied" {
		t.Errorf("the role deleted %v, errors %v", out.Deleted, out.Errors)
	}
	listed, err := b.client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	check(t, err)
	if len(listed.Contents) != 1 || *listed.Contents[0].Key != "keep" {
		t.Errorf("left are %v", listed.Contents)
	}
	_, err = remove(b.client, false)
	wantCode(t, err, "MalformedXML")
	_, err = b.client.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("keep"), ETag: aws.String("1")}}}})
	wantCode(t, err, "NotImplemented")
}

func TestObjectsAreCopied(t *testing.T) {
	b := newBench(t)
	_, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("from/ü +"), Body: strings.NewReader("hello"), ContentType: aws.String("text/plain"), Metadata: map[string]string{"a": "1"},
	})
	check(t, err)
	const from = "sources/from/%C3%BC%20%2B"
	copied := func(client *awss3.Client, in awss3.CopyObjectInput) error {
		in.Bucket = aws.String(bucket)
		_, err := client.CopyObject(t.Context(), &in)
		return err
	}
	check(t, copied(b.client, awss3.CopyObjectInput{Key: aws.String("to"), CopySource: aws.String(from)}))
	check(t, copied(b.client, awss3.CopyObjectInput{
		Key: aws.String("other"), CopySource: aws.String("/" + from), MetadataDirective: types.MetadataDirectiveReplace, ContentType: aws.String("text/x"), Metadata: map[string]string{"b": "2"}, ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	}))
	for key, want := range map[string]string{"to": "text/plain map[a:1]", "other": "text/x map[b:2]"} {
		head, err := b.client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key})
		check(t, err)
		if got := fmt.Sprint(*head.ContentType, " ", head.Metadata); got != want || b.get(t, key) != "hello" {
			t.Errorf("%s: %s, %q, want %s", key, got, b.get(t, key), want)
		}
	}
	wantCode(t, copied(b.client, awss3.CopyObjectInput{Key: aws.String("to"), CopySource: aws.String("sources/to")}), "InvalidRequest")
	wantCode(t, copied(b.client, awss3.CopyObjectInput{Key: aws.String("to"), CopySource: aws.String("sources/none")}), "NoSuchKey")
	wantCode(t, copied(b.client, awss3.CopyObjectInput{Key: aws.String("to"), CopySource: aws.String("nowhere/none")}), "NoSuchBucket")
	wantCode(t, copied(b.client, awss3.CopyObjectInput{Key: aws.String("to"), CopySource: aws.String("sources")}), "InvalidArgument")
	wantCode(t, copied(b.client, awss3.CopyObjectInput{Key: aws.String("to"), CopySource: aws.String(from + "?versionId=1")}), "NoSuchVersion")
	wantCode(t, copied(b.client, awss3.CopyObjectInput{Key: aws.String("to"), CopySource: aws.String(from + "?torrent")}), "NotImplemented")
	wantCode(t, copied(b.client, awss3.CopyObjectInput{Key: aws.String("to"), CopySource: aws.String(from), IfNoneMatch: aws.String("*")}), "PreconditionFailed")

	role(t, b, "writer", `{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::sources/*"}`)
	wantCode(t, copied(b.as(t, "writer"), awss3.CopyObjectInput{Key: aws.String("stolen"), CopySource: aws.String(from)}), "AccessDenied")
	if n := b.files(t); n != 3 {
		t.Errorf("%d files are left, want 3", n)
	}
}

func TestPartsAreCopied(t *testing.T) {
	b := newBench(t)
	ctx, key := t.Context(), aws.String("k")
	large := strings.Repeat("0123456789", 1<<20)
	for name, text := range map[string]string{"large": large, "small": "hello"} {
		_, err := b.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: &name, Body: strings.NewReader(text)})
		check(t, err)
	}
	begun, err := b.client.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, ChecksumType: types.ChecksumTypeComposite,
	})
	check(t, err)
	var parts []types.CompletedPart
	copied := func(client *awss3.Client, source, bytes string) error {
		number := aws.Int32(int32(len(parts)) + 1)
		in := &awss3.UploadPartCopyInput{Bucket: aws.String(bucket), Key: key, UploadId: begun.UploadId, PartNumber: number, CopySource: &source}
		if bytes != "" {
			in.CopySourceRange = aws.String("bytes=" + bytes)
		}
		out, err := client.UploadPartCopy(ctx, in)
		if err == nil {
			parts = append(parts, types.CompletedPart{PartNumber: number, ETag: out.CopyPartResult.ETag, ChecksumCRC32: out.CopyPartResult.ChecksumCRC32})
		}
		return err
	}
	role(t, b, "writer", `{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::sources/*"}`)
	wantCode(t, copied(b.as(t, "writer"), "sources/small", ""), "AccessDenied")
	wantCode(t, copied(b.client, "sources/none", ""), "NoSuchKey")
	wantCode(t, copied(b.client, "sources/small", "0-1"), "InvalidRequest")
	wantCode(t, copied(b.client, "sources/large", "0-10485760"), "InvalidArgument")
	wantCode(t, copied(b.client, "sources/large", "5-4"), "InvalidArgument")
	wantCode(t, copied(b.client, "sources/large", "5-"), "InvalidArgument")
	check(t, copied(b.client, "sources/large", "3-5242890"))
	check(t, copied(b.client, "sources/large", ""))
	check(t, copied(b.client, "sources/small", ""))
	_, err = b.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: key, UploadId: begun.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	check(t, err)
	if got := b.get(t, *key); got != large[3:5242891]+large+"hello" {
		t.Errorf("the object has %d bytes", len(got))
	}
	if n := b.files(t); n != 3 {
		t.Errorf("%d files are left, want 3", n)
	}
}

func TestTheWholeOfPartsHasAChecksum(t *testing.T) {
	b := newBench(t)
	content := [][]byte{bytes.Repeat([]byte("a"), 5<<20), []byte("end")}
	crc := func(data []byte) []byte {
		sum := crc32.ChecksumIEEE(data)
		return []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
	}
	encode := base64.StdEncoding.EncodeToString
	full := encode(crc(slices.Concat(content...)))
	ofParts := encode(crc(slices.Concat(crc(content[0]), crc(content[1]))))
	for kind, want := range map[types.ChecksumType]string{types.ChecksumTypeFullObject: full, types.ChecksumTypeComposite: ofParts + "-2"} {
		t.Run(string(kind), func(t *testing.T) {
			key := aws.String(string(kind))
			begun, err := b.client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, ChecksumType: kind})
			check(t, err)
			var parts, bare []types.CompletedPart
			for i, data := range content {
				number := aws.Int32(int32(i) + 1)
				part, err := b.client.UploadPart(t.Context(), &awss3.UploadPartInput{Bucket: aws.String(bucket), Key: key, UploadId: begun.UploadId, PartNumber: number, Body: bytes.NewReader(data), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
				check(t, err)
				parts = append(parts, types.CompletedPart{ETag: part.ETag, PartNumber: number, ChecksumCRC32: part.ChecksumCRC32})
				bare = append(bare, types.CompletedPart{ETag: part.ETag, PartNumber: number})
			}
			complete := func(sum *string, parts []types.CompletedPart) (*awss3.CompleteMultipartUploadOutput, error) {
				return b.client.CompleteMultipartUpload(t.Context(), &awss3.CompleteMultipartUploadInput{Bucket: aws.String(bucket), Key: key, UploadId: begun.UploadId, ChecksumCRC32: sum, ChecksumType: kind, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
			}
			_, err = complete(aws.String("AAAAAA=="), parts)
			wantCode(t, err, "BadDigest")
			if kind == types.ChecksumTypeComposite {
				_, err = complete(nil, bare)
				wantCode(t, err, "InvalidRequest")
				_, err = b.client.UploadPart(t.Context(), &awss3.UploadPartInput{Bucket: aws.String(bucket), Key: key, UploadId: begun.UploadId, PartNumber: aws.Int32(3), Body: strings.NewReader("x"), ChecksumAlgorithm: types.ChecksumAlgorithmSha1})
				wantCode(t, err, "InvalidRequest")
			}
			out, err := complete(&want, parts)
			check(t, err)
			head, err := b.client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(bucket), Key: key, ChecksumMode: types.ChecksumModeEnabled})
			check(t, err)
			got := []string{aws.ToString(out.ChecksumCRC32), string(out.ChecksumType), aws.ToString(head.ChecksumCRC32), string(head.ChecksumType)}
			if diff := cmp.Diff([]string{want, string(kind), want, string(kind)}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	_, err := b.client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("k"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumType: types.ChecksumTypeFullObject})
	wantCode(t, err, "InvalidRequest")
}
