package s3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/s3"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

const bucket = "sources"

// A bench is the real handler over real HTTP with the real SDK.
type bench struct {
	service *s3.Service
	client  *awss3.Client
	dir     string
	db      *store.Store
	iam     *iam.Service
	clock   *clockwork.FakeClock
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), clock: clockwork.NewFakeClockAt(time.Now())}
	var err error
	b.db, err = store.Open(filepath.Join(b.dir, "state.db"))
	check(t, err)
	t.Cleanup(func() { b.db.Close() })
	b.iam, err = iam.New(iam.Options{Store: b.db, Clock: b.clock})
	check(t, err)
	b.open(t)
	check(t, b.service.AddBucket(bucket))
	key, err := b.iam.RootCredentials()
	check(t, err)
	server := httptest.NewServer(wire.New(wire.Config{Region: "us-east-1", IAM: b.iam, Clock: b.clock, S3: b.service}))
	t.Cleanup(server.Close)
	b.client = awss3.New(awss3.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
	})
	return b
}

// as returns a client that acts as the role.
func (b *bench) as(t *testing.T, role string) *awss3.Client {
	t.Helper()
	session, err := b.iam.AssumeRole(iam.Assumption{RoleARN: iam.RoleARN("/", role), Session: "s", Principal: iam.Root(), TTL: time.Hour})
	check(t, err)
	options := b.client.Options()
	options.Credentials = credentials.NewStaticCredentialsProvider(session.Credentials.AccessKeyID, session.Credentials.SecretAccessKey, session.Credentials.SessionToken)
	return awss3.New(options)
}

func (b *bench) open(t *testing.T) {
	t.Helper()
	var err error
	b.service, err = s3.New(s3.Options{Store: b.db, Dir: filepath.Join(b.dir, "s3"), Clock: b.clock, Region: "us-east-1", IAM: b.iam})
	check(t, err)
}

func (b *bench) put(t *testing.T, key, content string) {
	t.Helper()
	_, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(content)})
	check(t, err)
}

func (b *bench) get(t *testing.T, key string) string {
	t.Helper()
	out, err := b.client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	check(t, err)
	data, err := io.ReadAll(out.Body)
	check(t, err)
	return string(data)
}

func (b *bench) files(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(b.dir, "s3"))
	check(t, err)
	return len(files)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("error is %v, want code %s", err, code)
	}
}

func TestKeysAreDataAndNeverPaths(t *testing.T) {
	b := newBench(t)
	keys := []string{"a/b.zip", "../../etc/passwd", "..", "a//b", "sp ace+plus&%25?=ü", "/leading", strings.Repeat("x", 1024), "new\nline"}
	for i, key := range keys {
		b.put(t, key, fmt.Sprint(i))
	}
	for i, key := range keys {
		if got := b.get(t, key); got != fmt.Sprint(i) {
			t.Errorf("%q holds %q", key, got)
		}
	}
	if n := b.files(t); n != len(keys) {
		t.Errorf("%d files for %d objects", n, len(keys))
	}
}

func TestAnObjectKeepsItsMetadata(t *testing.T) {
	b := newBench(t)
	put, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader("hello"),
		ContentType: aws.String("text/plain"), ContentEncoding: aws.String("gzip"), Metadata: map[string]string{"build": "17"},
	})
	check(t, err)
	head, err := b.client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	got := []any{*head.ContentType, *head.ContentEncoding, head.Metadata, *head.ContentLength, aws.ToString(put.ETag), *head.ETag, head.LastModified.Unix()}
	want := []any{"text/plain", "gzip", map[string]string{"build": "17"}, int64(5), `"5d41402abc4b2a76b9719d911017c592"`, `"5d41402abc4b2a76b9719d911017c592"`, b.clock.Now().Unix()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The encryption that the request asks for is kept and reported. If the request
// names none, the bucket's default is.
func TestEncryptionIsReported(t *testing.T) {
	b := newBench(t)
	encryption := func() types.ServerSideEncryptionByDefault {
		t.Helper()
		out, err := b.client.GetBucketEncryption(t.Context(), &awss3.GetBucketEncryptionInput{Bucket: aws.String(bucket)})
		check(t, err)
		return *out.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault
	}
	put := func(in awss3.PutObjectInput, algorithm types.ServerSideEncryption, key string) {
		t.Helper()
		in.Bucket, in.Key, in.Body = aws.String(bucket), aws.String("k"), strings.NewReader("x")
		out, err := b.client.PutObject(t.Context(), &in)
		check(t, err)
		head, err := b.client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key})
		check(t, err)
		want := []string{string(algorithm), key, string(algorithm), key}
		got := []string{string(out.ServerSideEncryption), aws.ToString(out.SSEKMSKeyId), string(head.ServerSideEncryption), aws.ToString(head.SSEKMSKeyId)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if got := encryption(); got.SSEAlgorithm != "AES256" || got.KMSMasterKeyID != nil {
		t.Errorf("a new bucket's encryption is %+v", got)
	}
	put(awss3.PutObjectInput{}, "AES256", "")
	put(awss3.PutObjectInput{ServerSideEncryption: "aws:kms"}, "aws:kms", "")
	put(awss3.PutObjectInput{ServerSideEncryption: "aws:kms", SSEKMSKeyId: aws.String("alias/a")}, "aws:kms", "alias/a")
	check(t, b.service.PutEncryption(bucket, s3.Encryption{Algorithm: "aws:kms", KeyID: "alias/b", BucketKey: true}))
	if got := encryption(); got.SSEAlgorithm != "aws:kms" || *got.KMSMasterKeyID != "alias/b" {
		t.Errorf("the bucket's encryption is %+v", got)
	}
	put(awss3.PutObjectInput{}, "aws:kms", "alias/b")
	put(awss3.PutObjectInput{ServerSideEncryption: "AES256"}, "AES256", "")
	begun, err := b.client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	if begun.ServerSideEncryption != "aws:kms" || aws.ToString(begun.SSEKMSKeyId) != "alias/b" {
		t.Errorf("the upload's encryption is %s", begun.ServerSideEncryption)
	}
	_, err = b.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), SSEKMSKeyId: aws.String("alias/a")})
	wantCode(t, err, "InvalidArgument")
}

func TestRangesAndMissingKeys(t *testing.T) {
	b := newBench(t)
	b.put(t, "k", "0123456789")
	out, err := b.client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Range: aws.String("bytes=2-4")})
	check(t, err)
	if data, _ := io.ReadAll(out.Body); string(data) != "234" || *out.ContentRange != "bytes 2-4/10" {
		t.Errorf("range: %q, %s", data, *out.ContentRange)
	}
	_, err = b.client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Range: aws.String("bytes=10-")})
	wantCode(t, err, "InvalidRange")
	_, err = b.client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("none")})
	wantCode(t, err, "NoSuchKey")
	_, err = b.client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("none")})
	wantCode(t, err, "NotFound")
	_, err = b.client.HeadBucket(t.Context(), &awss3.HeadBucketInput{Bucket: aws.String("nowhere")})
	wantCode(t, err, "NotFound")
	_, err = b.client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("none")})
	check(t, err)
}

func TestListingPagesAndGroups(t *testing.T) {
	b := newBench(t)
	for _, key := range []string{"a", "d/1", "d/2", "e f/1", "z"} {
		b.put(t, key, key)
	}
	var got []string
	pages := awss3.NewListObjectsV2Paginator(b.client, &awss3.ListObjectsV2Input{
		Bucket: aws.String(bucket), Delimiter: aws.String("/"), MaxKeys: aws.Int32(1), EncodingType: types.EncodingTypeUrl,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		check(t, err)
		for _, p := range page.CommonPrefixes {
			got = append(got, *p.Prefix)
		}
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
	}
	if diff := cmp.Diff([]string{"a", "d/", "e%20f/", "z"}, got); diff != "" {
		t.Error(diff)
	}
	out, err := b.client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String("d/"), StartAfter: aws.String("d/1")})
	check(t, err)
	if len(out.Contents) != 1 || *out.Contents[0].Key != "d/2" {
		t.Errorf("prefix and start-after list %v", out.Contents)
	}
}

func TestMultipartUploads(t *testing.T) {
	b := newBench(t)
	ctx, key := t.Context(), aws.String("big")
	begun, err := b.client.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: key, ContentType: aws.String("application/zip")})
	check(t, err)
	content := [][]byte{bytes.Repeat([]byte("a"), 5<<20), []byte("end")}
	var parts []types.CompletedPart
	for i, data := range content {
		part, err := b.client.UploadPart(ctx, &awss3.UploadPartInput{Bucket: aws.String(bucket), Key: key, UploadId: begun.UploadId, PartNumber: aws.Int32(int32(i) + 1), Body: bytes.NewReader(data)})
		check(t, err)
		parts = append(parts, types.CompletedPart{ETag: part.ETag, PartNumber: aws.Int32(int32(i) + 1), ChecksumCRC32: part.ChecksumCRC32})
	}
	complete := func(parts ...types.CompletedPart) error {
		_, err := b.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: aws.String(bucket), Key: key, UploadId: begun.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
		return err
	}
	wantCode(t, complete(parts[1], parts[0]), "InvalidPartOrder")
	wantCode(t, complete(types.CompletedPart{ETag: aws.String("x"), PartNumber: aws.Int32(1)}), "InvalidPart")
	whole := &awss3.CompleteMultipartUploadInput{Bucket: aws.String(bucket), Key: key, UploadId: begun.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}
	_, err = b.client.CompleteMultipartUpload(ctx, whole, awss3.WithAPIOptions(signOtherBody))
	wantCode(t, err, "XAmzContentSHA256Mismatch")
	whole.ChecksumCRC32 = aws.String("AAAAAA==")
	_, err = b.client.CompleteMultipartUpload(ctx, whole)
	wantCode(t, err, "BadDigest")
	check(t, complete(parts...))
	if got := b.get(t, *key); got != string(bytes.Join(content, nil)) {
		t.Errorf("the joined object has %d bytes", len(got))
	}
	wantCode(t, complete(parts...), "NoSuchUpload")
	if n := b.files(t); n != 1 {
		t.Errorf("%d files are left, want the object's only", n)
	}
}

// signOtherBody makes a client sign an empty body, whatever it sends.
func signOtherBody(stack *middleware.Stack) error {
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sign := func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		return next.HandleFinalize(v4.SetPayloadHash(ctx, empty), in)
	}
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("signOtherBody", sign), "ComputePayloadHash", middleware.After)
}

func TestAbortRemovesTheParts(t *testing.T) {
	b := newBench(t)
	begun, err := b.client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	_, err = b.client.UploadPart(t.Context(), &awss3.UploadPartInput{Bucket: aws.String(bucket), Key: aws.String("k"), UploadId: begun.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
	check(t, err)
	_, err = b.client.AbortMultipartUpload(t.Context(), &awss3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("k"), UploadId: begun.UploadId})
	check(t, err)
	if n := b.files(t); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func TestABadChecksumStoresNothing(t *testing.T) {
	b := newBench(t)
	for name, in := range map[string]*awss3.PutObjectInput{
		"crc32":  {ChecksumCRC32: aws.String("AAAAAA==")},
		"sha256": {ChecksumSHA256: aws.String("AAAA")},
		"md5":    {ContentMD5: aws.String("XrY7u+Ae7tCTyyK7j1rNww==")},
	} {
		in.Bucket, in.Key, in.Body = aws.String(bucket), aws.String("k"), strings.NewReader("hello")
		_, err := b.client.PutObject(t.Context(), in)
		t.Log(name)
		wantCode(t, err, "BadDigest")
	}
	if n := b.files(t); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func TestWhatIsNotImplementedIsRefusedByName(t *testing.T) {
	b := newBench(t)
	_, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader(""), Tagging: aws.String("a=b")})
	wantCode(t, err, "NotImplemented")
	if !strings.Contains(err.Error(), "x-amz-tagging") {
		t.Errorf("the error does not name the header: %v", err)
	}
	_, err = b.client.GetBucketNotificationConfiguration(t.Context(), &awss3.GetBucketNotificationConfigurationInput{Bucket: aws.String(bucket)})
	wantCode(t, err, "NotImplemented")
	_, err = b.client.ListObjectVersions(t.Context(), &awss3.ListObjectVersionsInput{Bucket: aws.String(bucket), Delimiter: aws.String("/")})
	wantCode(t, err, "NotImplemented")
}

func TestConditionalWritesKeepWhatIsThere(t *testing.T) {
	b := newBench(t)
	put := func(text, condition string) error {
		_, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader(text), IfNoneMatch: &condition})
		return err
	}
	check(t, put("first", "*"))
	wantCode(t, put("second", "*"), "PreconditionFailed")
	wantCode(t, put("second", `"etag"`), "NotImplemented")
	if got := b.get(t, "k"); got != "first" {
		t.Errorf("stored %q", got)
	}
	upload, err := b.client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	part, err := b.client.UploadPart(t.Context(), &awss3.UploadPartInput{Bucket: aws.String(bucket), Key: aws.String("k"), UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("third")})
	check(t, err)
	_, err = b.client.CompleteMultipartUpload(t.Context(), &awss3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: aws.String("k"), UploadId: upload.UploadId, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}},
	})
	wantCode(t, err, "PreconditionFailed")
	if got := b.get(t, "k"); got != "first" {
		t.Errorf("stored %q", got)
	}
}

// A bucket's policy binds the root principal too, and every way to write an
// object.
func TestBucketPoliciesMayRequireConditionalWrites(t *testing.T) {
	b := newBench(t)
	policy := []byte(`{"Statement":{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::sources/kept/*",
		"Condition":{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}}}`)
	check(t, s3.CheckPolicy(policy))
	check(t, b.service.PutPolicy(bucket, policy, policy))
	b.open(t) // the engine starts again
	put := func(key string, condition *string) error {
		_, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader("x"), IfNoneMatch: condition})
		return err
	}
	inParts := func(key string, condition *string) error {
		upload, err := b.client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key})
		check(t, err)
		part, err := b.client.UploadPart(t.Context(), &awss3.UploadPartInput{Bucket: aws.String(bucket), Key: &key, UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
		check(t, err)
		_, err = b.client.CompleteMultipartUpload(t.Context(), &awss3.CompleteMultipartUploadInput{
			Bucket: aws.String(bucket), Key: &key, UploadId: upload.UploadId, IfNoneMatch: condition,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}},
		})
		return err
	}
	for name, write := range map[string]func(string, *string) error{"at once": put, "in parts": inParts} {
		wantCode(t, write("kept/"+name, nil), "AccessDenied")
		check(t, write("kept/"+name, aws.String("*")))
		wantCode(t, write("kept/"+name, aws.String("*")), "PreconditionFailed")
		wantCode(t, write("kept/"+name, nil), "AccessDenied")
		check(t, write("else/"+name, nil))
	}
	if got := b.get(t, "kept/at once"); got != "x" {
		t.Errorf("stored %q", got)
	}
	check(t, b.service.PutPolicy(bucket, nil, nil))
	check(t, put("kept/at once", nil))
}

func TestOfConditionalWritesAtOnceOneWins(t *testing.T) {
	b := newBench(t)
	var all sync.WaitGroup
	var won atomic.Int32
	for i := range 8 {
		all.Go(func() {
			text := strings.Repeat(fmt.Sprint(i), 1<<20)
			_, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader(text), IfNoneMatch: aws.String("*")})
			if err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d writes won", n)
	}
	if n := b.files(t); n != 1 {
		t.Errorf("%d files are left", n)
	}
}

func TestTheDateIsThatOfTheClockThatDatesObjects(t *testing.T) {
	b := newBench(t)
	b.clock.Advance(5 * time.Minute)
	b.put(t, "k", "x")
	out, err := b.client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	check(t, err)
	now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if age := now.Sub(*out.Contents[0].LastModified); !ok || age.Abs() > time.Second {
		t.Errorf("the object is %v old, %v", age, ok)
	}
}

// Callers of builds may ask for one name that they know, and write objects that
// do not exist.
func TestPoliciesMayAskForPrefixesAndConditionalWrites(t *testing.T) {
	b := newBench(t)
	b.put(t, "sources/abc/1.zip", "x")
	check(t, b.iam.PutRole(iam.Role{
		Name:        "caller",
		TrustPolicy: []byte(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`),
		Policies: map[string]json.RawMessage{"p": []byte(`{"Statement":[
			{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::sources","Condition":{"StringLike":{"s3:prefix":"sources/???/"}}},
			{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::sources/sources/*","Condition":{"Null":{"s3:if-none-match":"false"}}}]}`)},
	}))
	client := b.as(t, "caller")
	for prefix, allowed := range map[string]bool{"sources/abc/": true, "sources/xyz/": true, "sources/": false, "": false, "sources/a": false} {
		_, err := client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: &prefix})
		if allowed != (err == nil) {
			t.Errorf("list %q: %v", prefix, err)
		}
	}
	_, err := client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	wantCode(t, err, "AccessDenied")
	_, err = client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("sources/abc/1.zip"), Body: strings.NewReader("y")})
	wantCode(t, err, "AccessDenied")
	_, err = client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("sources/abc/2.zip"), Body: strings.NewReader("y"), IfNoneMatch: aws.String("*")})
	check(t, err)
}

func TestBucketsWithObjectsAreNotDeleted(t *testing.T) {
	b := newBench(t)
	b.put(t, "k", "x")
	wantCode(t, b.service.DeleteBucket(bucket), "BucketNotEmpty")
	_, err := b.client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	check(t, b.service.DeleteBucket(bucket))
	_, err = b.client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	wantCode(t, err, "NoSuchBucket")
}

func TestRolesMayReadWhatTheirPolicySays(t *testing.T) {
	b := newBench(t)
	b.put(t, "sources/a", "x")
	check(t, b.iam.PutRole(iam.Role{
		Name:        "build",
		TrustPolicy: []byte(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`),
		Policies:    map[string]json.RawMessage{"p": []byte(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject*","Resource":"arn:aws:s3:::sources/sources/*"}}`)},
	}))
	ctx := iam.WithPrincipal(context.Background(), iam.Principal{RoleName: "build", ARN: "arn:aws:sts::000000000000:assumed-role/build/s"})
	file, err := b.service.Open(ctx, bucket, "sources/a")
	check(t, err)
	file.Close()
	_, err = b.service.Open(ctx, bucket, "other")
	wantCode(t, err, "AccessDeniedException")
}

func TestRestartKeepsObjectsAndDropsLeftovers(t *testing.T) {
	b := newBench(t)
	b.put(t, "old/k", "x")
	b.put(t, "k", "x")
	check(t, b.service.PutLifecycle(bucket, []s3.Expiry{{Prefix: "old/", Days: 7}}))
	check(t, os.WriteFile(filepath.Join(b.dir, "s3", "LEFTOVER"), []byte("half an upload"), 0o600))
	b.clock.Advance(8 * 24 * time.Hour)
	b.open(t)
	if n := b.files(t); n != 1 {
		t.Errorf("%d files after the restart, want the unexpired object's only", n)
	}
	file, err := b.service.Open(iam.WithPrincipal(context.Background(), iam.Root()), bucket, "k")
	check(t, err)
	file.Close()
}

func TestChunkedBodiesWithTrailers(t *testing.T) {
	b := newBench(t)
	put := func(body string, trailer string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPut, "/"+bucket+"/chunked", strings.NewReader(body))
		r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		r.Header.Set("X-Amz-Decoded-Content-Length", "11")
		r.Header.Set("Content-Encoding", "aws-chunked")
		r.Header.Set("X-Amz-Trailer", trailer)
		w := httptest.NewRecorder()
		_, serve, err := b.service.Route(r)
		check(t, err)
		if err := serve(w, r); err != nil {
			w.Code = http.StatusBadRequest
		}
		return w
	}
	const good = "5\r\nhello\r\n6;chunk-signature=x\r\n world\r\n0\r\nx-amz-checksum-crc32: DUoRhQ==\r\n\r\n"
	if w := put(good, "x-amz-checksum-crc32"); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := b.get(t, "chunked"); got != "hello world" {
		t.Errorf("stored %q", got)
	}
	head, err := b.client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("chunked")})
	check(t, err)
	if head.ContentEncoding != nil {
		t.Errorf("the object's encoding is %q", *head.ContentEncoding)
	}
	for name, body := range map[string]string{
		"wrong sum": strings.Replace(good, "DUoRhQ==", "AAAAAA==", 1),
		"cut":       good[:30],
		"cut data":  good[:strings.Index(good, "rld")],
		"no end":    strings.TrimSuffix(good, "\r\n"),
		"bad size":  "zz\r\n",
		"too long":  strings.Replace(good, "6;", "7;", 1),
	} {
		if w := put(body, "x-amz-checksum-crc32"); w.Code != 400 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
