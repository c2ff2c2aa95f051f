package s3_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/s3"
)

// version sets the state of the bucket's versioning, as a client does.
func (b *bench) version(t *testing.T, state types.BucketVersioningStatus) {
	t.Helper()
	_, err := b.client.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{
		Bucket: aws.String(bucket), VersioningConfiguration: &types.VersioningConfiguration{Status: state},
	})
	check(t, err)
	got, err := b.client.GetBucketVersioning(t.Context(), &awss3.GetBucketVersioningInput{Bucket: aws.String(bucket)})
	check(t, err)
	if got.Status != state {
		t.Errorf("the versioning is %q, and not %q", got.Status, state)
	}
}

// write puts an object and returns the id of its version.
func (b *bench) write(t *testing.T, key, content string) string {
	t.Helper()
	out, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(content)})
	check(t, err)
	return aws.ToString(out.VersionId)
}

// read returns the content of a version, or the code of the error.
func (b *bench) read(t *testing.T, key, version string) string {
	t.Helper()
	in := &awss3.GetObjectInput{Bucket: aws.String(bucket), Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := b.client.GetObject(t.Context(), in)
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return refused.ErrorCode()
	}
	check(t, err)
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	check(t, err)
	if version != "" && aws.ToString(out.VersionId) != version {
		t.Errorf("version %s says that it is %s", version, aws.ToString(out.VersionId))
	}
	return string(data)
}

// erase deletes a version, or adds a delete marker for "". It returns the id
// that the answer has, with a + if that is a delete marker's.
func (b *bench) erase(t *testing.T, key, version string) string {
	t.Helper()
	in := &awss3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := b.client.DeleteObject(t.Context(), in)
	check(t, err)
	if aws.ToBool(out.DeleteMarker) {
		return aws.ToString(out.VersionId) + "+"
	}
	return aws.ToString(out.VersionId)
}

// history lists all versions, two to a page: key=id, with ! for the latest and
// + for delete markers.
func (b *bench) history(t *testing.T, prefix string) string {
	t.Helper()
	var all []string
	in := &awss3.ListObjectVersionsInput{Bucket: aws.String(bucket), Prefix: &prefix, MaxKeys: aws.Int32(2)}
	for {
		page, err := b.client.ListObjectVersions(t.Context(), in)
		check(t, err)
		for _, v := range page.Versions {
			all = append(all, *v.Key+"="+*v.VersionId+strings.Repeat("!", map[bool]int{true: 1}[*v.IsLatest]))
		}
		for _, v := range page.DeleteMarkers {
			all = append(all, *v.Key+"="+*v.VersionId+strings.Repeat("!", map[bool]int{true: 1}[*v.IsLatest])+"+")
		}
		if !aws.ToBool(page.IsTruncated) {
			return strings.Join(all, " ")
		}
		in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	}
}

func TestABucketKeepsVersions(t *testing.T) {
	b := newBench(t)
	if got, err := b.client.GetBucketVersioning(t.Context(), &awss3.GetBucketVersioningInput{Bucket: aws.String(bucket)}); err != nil || got.Status != "" {
		t.Errorf("at first the versioning is %q, %v", got.Status, err)
	}
	if id := b.write(t, "k", "before"); id != "" {
		t.Errorf("without versioning an object has the version %s", id)
	}
	b.version(t, types.BucketVersioningStatusEnabled)
	one := b.write(t, "k", "one")
	two := b.write(t, "k", "two")
	b.open(t) // a restart keeps them
	for version, want := range map[string]string{"": "two", two: "two", one: "one", "null": "before", "none": "NoSuchVersion"} {
		if got := b.read(t, "k", version); got != want {
			t.Errorf("version %q is %q, and not %q", version, got, want)
		}
	}
	if one == two || b.files(t) != 3 {
		t.Errorf("the versions are %s and %s, in %d files", one, two, b.files(t))
	}

	marker := strings.TrimSuffix(b.erase(t, "k", ""), "+")
	if got := b.read(t, "k", "") + " " + b.read(t, "k", marker) + " " + b.read(t, "k", two); got != "NoSuchKey MethodNotAllowed two" {
		t.Errorf("after a deletion: %s", got)
	}
	listed, err := b.client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	check(t, err)
	if len(listed.Contents) != 0 {
		t.Errorf("a deleted object is listed: %v", listed.Contents)
	}
	b.write(t, "a", "other")
	b.erase(t, "z", "") // a marker of a key that never was
	if got, want := b.history(t, "k"), "k="+two+" k="+marker+"!+ k="+one+" k=null"; got != want {
		t.Errorf("the versions are %s, and not %s", got, want)
	}
	if got := strings.Fields(b.history(t, "")); len(got) != 6 || !strings.HasPrefix(got[0], "a=") || !strings.HasSuffix(got[5], "!+") {
		t.Errorf("all versions are %v", got)
	}

	if got := b.erase(t, "k", marker); got != marker+"+" || b.read(t, "k", "") != "two" {
		t.Errorf("without its delete marker (%s) the object is %s", got, b.read(t, "k", ""))
	}
	if got := b.erase(t, "k", two); got != two || b.read(t, "k", "") != "one" || b.files(t) != 3 {
		t.Errorf("without its newest version (%s) the object is %s, in %d files", got, b.read(t, "k", ""), b.files(t))
	}
	b.erase(t, "k", "null")
	b.erase(t, "k", "none")
	if got := b.history(t, "k"); got != "k="+one+"!" {
		t.Errorf("left are %s", got)
	}
	wantCode(t, b.service.DeleteBucket(bucket), "BucketNotEmpty")
	for _, k := range []string{"a", "k", "z"} {
		for _, v := range strings.Fields(b.history(t, k)) {
			b.erase(t, k, strings.Trim(strings.TrimPrefix(v, k+"="), "!+"))
		}
	}
	check(t, b.service.DeleteBucket(bucket))
}

// Names that XML cannot have are encoded for clients that ask for it.
func TestVersionsAreListedEncoded(t *testing.T) {
	b := newBench(t)
	b.put(t, "a b+\x01", "text")
	page, err := b.client.ListObjectVersions(t.Context(), &awss3.ListObjectVersionsInput{Bucket: aws.String(bucket), EncodingType: types.EncodingTypeUrl})
	check(t, err)
	if got := *page.Versions[0].Key; got != "a%20b%2B%01" {
		t.Errorf("the key is %q", got)
	}
}

func TestSuspendedVersioningReplacesTheVersionWithoutAnID(t *testing.T) {
	b := newBench(t)
	b.version(t, types.BucketVersioningStatusEnabled)
	one := b.write(t, "k", "one")
	b.version(t, types.BucketVersioningStatusSuspended)
	if id := b.write(t, "k", "two"); id != "null" {
		t.Errorf("the version is %s", id)
	}
	b.write(t, "k", "three")
	if got := b.history(t, "k"); got != "k=null! k="+one || b.read(t, "k", "null") != "three" {
		t.Errorf("the versions are %s", got)
	}
	if got := b.erase(t, "k", ""); got != "null+" || b.history(t, "k") != "k="+one+" k=null!+" {
		t.Errorf("a deletion answers %s and leaves %s", got, b.history(t, "k"))
	}
	_, err := b.client.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{Bucket: aws.String(bucket), VersioningConfiguration: &types.VersioningConfiguration{Status: "Off"}})
	wantCode(t, err, "MalformedXML")
	_, err = b.client.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{Bucket: aws.String(bucket), VersioningConfiguration: &types.VersioningConfiguration{Status: "Enabled", MFADelete: "Enabled"}})
	wantCode(t, err, "NotImplemented")
}

func TestVersionsAreCopiedAndDeletedTogether(t *testing.T) {
	b := newBench(t)
	b.version(t, types.BucketVersioningStatusEnabled)
	one := b.write(t, "k", "one")
	b.write(t, "k", "two")
	back, err := b.client.CopyObject(t.Context(), &awss3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), CopySource: aws.String(bucket + "/k?versionId=" + one)})
	check(t, err)
	if b.read(t, "k", "") != "one" || b.read(t, "k", aws.ToString(back.VersionId)) != "one" {
		t.Errorf("the copy is %s", b.read(t, "k", ""))
	}
	condition := &awss3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader("new"), IfNoneMatch: aws.String("*")}
	_, err = b.client.PutObject(t.Context(), condition)
	wantCode(t, err, "PreconditionFailed")
	out, err := b.client.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: aws.String("k"), VersionId: &one}, {Key: aws.String("k")},
	}}})
	check(t, err)
	if d := out.Deleted; len(d) != 2 || *d[0].VersionId != one || aws.ToBool(d[0].DeleteMarker) || !aws.ToBool(d[1].DeleteMarker) || aws.ToString(d[1].DeleteMarkerVersionId) == "" {
		t.Errorf("deleted are %+v", out.Deleted)
	}
	if got := b.read(t, "k", one) + " " + b.read(t, "k", ""); got != "NoSuchVersion NoSuchKey" {
		t.Errorf("afterwards they are %s", got)
	}
	condition.Body = strings.NewReader("new")
	_, err = b.client.PutObject(t.Context(), condition)
	check(t, err) // a delete marker is no object
}

func TestVersionsNeedPermissionsOfTheirOwn(t *testing.T) {
	b := newBench(t)
	b.version(t, types.BucketVersioningStatusEnabled)
	id := b.write(t, "k", "one")
	check(t, b.iam.PutRole(iam.Role{Name: "reader", TrustPolicy: json.RawMessage(`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole"}]}`),
		Policies: map[string]json.RawMessage{"p": json.RawMessage(`{"Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:DeleteObject","s3:ListBucket","s3:PutObject"],"Resource":"*"}]}`)}}))
	c, name, key := b.as(t, "reader"), aws.String(bucket), aws.String("k")
	for action, call := range map[string]func() error{
		"s3:GetObjectVersion": func() error {
			_, err := c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: name, Key: key, VersionId: &id})
			return err
		},
		"s3:GetObjectVersion on": func() error {
			_, err := c.CopyObject(t.Context(), &awss3.CopyObjectInput{Bucket: name, Key: aws.String("to"), CopySource: aws.String(bucket + "/k?versionId=" + id)})
			return err
		},
		"s3:DeleteObjectVersion": func() error {
			_, err := c.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: name, Key: key, VersionId: &id})
			return err
		},
		"s3:ListBucketVersions": func() error {
			_, err := c.ListObjectVersions(t.Context(), &awss3.ListObjectVersionsInput{Bucket: name})
			return err
		},
		"s3:GetBucketVersioning": func() error {
			_, err := c.GetBucketVersioning(t.Context(), &awss3.GetBucketVersioningInput{Bucket: name})
			return err
		},
		"s3:PutBucketVersioning": func() error {
			_, err := c.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{Bucket: name, VersioningConfiguration: &types.VersioningConfiguration{Status: "Suspended"}})
			return err
		},
	} {
		err := call()
		wantCode(t, err, "AccessDenied")
		if !strings.Contains(err.Error(), action) {
			t.Errorf("%s: %v", action, err)
		}
	}
	out, err := c.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: name, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: key, VersionId: &id}}}})
	check(t, err)
	if len(out.Errors) != 1 || *out.Errors[0].VersionId != id || len(out.Deleted) != 0 {
		t.Errorf("deleted are %v, errors %v", out.Deleted, out.Errors)
	}
}

func TestExpiryLeavesVersions(t *testing.T) {
	b := newBench(t)
	b.version(t, types.BucketVersioningStatusEnabled)
	id := b.write(t, "k", "one")
	check(t, b.service.PutLifecycle(bucket, []s3.Expiry{{Days: 1}}))
	for range 2 { // a delete marker does not expire
		b.clock.Advance(25 * time.Hour)
		b.open(t)
	}
	b.clock.Advance(-50 * time.Hour) // so that the client and the engine agree on the time
	if got := b.history(t, ""); b.read(t, "k", "") != "NoSuchKey" || b.read(t, "k", id) != "one" || strings.Count(got, "+") != 1 {
		t.Errorf("the versions are %s", got)
	}
	if n := b.files(t); n != 1 {
		t.Errorf("there are %d files", n)
	}
}
