package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/codebuild-flex/flexbuild/local"
)

// sourceArchive is the file of an uploaded source that build.sh unpacks.
const sourceArchive = "source.tar.gz"

// put uploads an archive where the stack's builds may read it, and removes it
// when the test ends. It returns its location in CodeBuild's form.
func (d deployed) put(t *testing.T, archive []byte) string {
	t.Helper()
	stack := d.client.Stack()
	client, key := s3.NewFromConfig(d.cfg), stack.SourcePrefix+"flexbuild-test/"+uuid.NewString()+".zip"
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &stack.SourceBucketName, Key: &key, Body: bytes.NewReader(archive), IfNoneMatch: aws.String("*")}); err != nil {
		t.Fatal(err)
	}
	afterwards(t, func(ctx context.Context) {
		if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &stack.SourceBucketName, Key: &key}); err != nil {
			t.Logf("s3://%s/%s stays until the bucket expires it: %v", stack.SourceBucketName, key, err)
		}
	})
	return stack.SourceBucketName + "/" + key
}

// keepsItsUploads asks whether the bucket's policy denies whoever runs this, an
// administrator for instance, to overwrite an upload, at once or in parts.
func keepsItsUploads(t *testing.T, d deployed) {
	bucket, key, _ := strings.Cut(d.put(t, []byte("first")), "/")
	client := s3.NewFromConfig(d.cfg)
	denied := func(what string, err error) {
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != "AccessDenied" {
			t.Errorf("%s: error %v, want AccessDenied", what, err)
		}
	}
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("second")})
	denied("overwriting an upload", err)
	upload, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	check(t, err)
	part, err := client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("second")})
	check(t, err)
	_, err = client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: upload.UploadId,
		MultipartUpload: &s3types.CompletedMultipartUpload{Parts: []s3types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}},
	})
	denied("overwriting an upload in parts", err)
	_, err = client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: upload.UploadId})
	check(t, err)
}

// A zipped is an entry of a ZIP file. A link's text is where it leads.
type zipped struct {
	name string
	mode fs.FileMode
	text string
}

// entryTime is that of each entry: ZIP files have whole seconds.
var entryTime = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

func zipOf(t *testing.T, entries []zipped) []byte {
	t.Helper()
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, entry := range entries {
		header := &zip.FileHeader{Name: entry.name, Method: zip.Store, Modified: entryTime}
		header.SetMode(entry.mode)
		file, err := archive.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte(entry.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (d deployed) surveySource(t *testing.T, archive []byte) survey {
	t.Helper()
	s := d.survey(t, codebuild.StartBuildInput{
		SourceTypeOverride: types.SourceTypeS3, SourceLocationOverride: aws.String(d.put(t, archive)),
	}, surveyScript(t, "source.sh"))
	for _, phase := range s.build.Phases {
		for _, context := range phase.Contexts {
			if phase.PhaseStatus != types.StatusTypeSucceeded {
				t.Logf("%s is %s: %s %s", phase.PhaseType, phase.PhaseStatus, aws.ToString(context.StatusCode), aws.ToString(context.Message))
			}
		}
	}
	return s
}

// unpacksAZip asks what comes of a zipped source. Uploads depend on one thing:
// an ordinary file at the top arrives byte for byte. What comes of modes,
// times, links and empty directories is logged.
func unpacksAZip(t *testing.T, d deployed) {
	random := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(random)
	s := d.surveySource(t, zipOf(t, []zipped{
		{sourceArchive, 0o644, string(random)},
		{"executable", 0o755, "#!/bin/sh\n"},
		{"private", 0o600, "private"},
		{"read-only", 0o444, "read-only"},
		{"set-uid", fs.ModeSetuid | 0o755, "set-uid"},
		{"set-gid", fs.ModeSetgid | 0o755, "set-gid"},
		{"sticky/", fs.ModeDir | fs.ModeSticky | 0o777, ""},
		{"empty/", fs.ModeDir | 0o755, ""},
		{"locked/", fs.ModeDir | 0o500, ""},
		{"locked/file", 0o400, "locked"},
		{"link", fs.ModeSymlink | 0o777, "executable"},
		{"dangling", fs.ModeSymlink | 0o777, "nothing"},
		{"linked", fs.ModeSymlink | 0o777, "locked"},
		{"upward", fs.ModeSymlink | 0o777, "../.."},
	}))
	if s.build.BuildStatus != types.StatusTypeSucceeded {
		t.Fatalf("the build is %s", s.build.BuildStatus)
	}
	if got := s.facts["entry "+sourceArchive]; !strings.Contains(got, "sha256 "+digestOf(random)) {
		t.Errorf("the archive in the zip is %q, want SHA-256 %s: build.sh unpack depends on it", got, digestOf(random))
	}
	if url := s.facts["CODEBUILD_SOURCE_REPO_URL"]; strings.HasPrefix(url, "http") || url == "" {
		t.Errorf("CODEBUILD_SOURCE_REPO_URL of an S3 source is %q: build.sh fetch_source would take it for a repository", url)
	}
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// unpacksStrangeNames asks which names a zipped source may have. Nothing
// depends on the answer, since uploads hold one file.
func unpacksStrangeNames(t *testing.T, d deployed) {
	s := d.surveySource(t, zipOf(t, []zipped{
		{"plain", 0o644, "plain"},
		{"with a space", 0o644, "space"},
		{"ü and 日本", 0o644, "UTF-8"},
		{"not UTF-8: \xff\xfe", 0o644, "bytes"},
		{`back\slash`, 0o644, "backslash"},
		{"line\nbreak", 0o644, "line break"},
		{"-rf", 0o644, "option"},
	}))
	t.Logf("a zipped source with such names: the build is %s", s.build.BuildStatus)
}

// An archived is an entry of a tar archive, with its text.
type archived struct {
	tar.Header
	text string
}

// arrivesByteForByte uploads an archive as docs/contract.md asks callers to
// do, and compares the files of the image with it.
func arrivesByteForByte(t *testing.T, d deployed) {
	entries := []archived{
		{tar.Header{Name: "Dockerfile", Mode: 0o644}, "FROM scratch\nCOPY . /\n"},
		{tar.Header{Name: "set-uid", Mode: 0o4755}, "\x00\r\n\xff"},
		{tar.Header{Name: "set-gid", Mode: 0o2755}, "no line end"},
		{tar.Header{Name: "sticky", Mode: 0o1777, Typeflag: tar.TypeDir}, ""},
		{tar.Header{Name: "empty", Mode: 0o700, Typeflag: tar.TypeDir}, ""},
		{tar.Header{Name: "private", Mode: 0o600}, "private"},
		{tar.Header{Name: "read-only", Mode: 0o400}, ""},
		{tar.Header{Name: `back\slash ü`, Mode: 0o644}, "text"},
		{tar.Header{Name: "link", Mode: 0o777, Typeflag: tar.TypeSymlink, Linkname: "set-uid"}, ""},
		{tar.Header{Name: "dangling", Mode: 0o777, Typeflag: tar.TypeSymlink, Linkname: "nothing"}, ""},
		{tar.Header{Name: "twin", Mode: 0o600, Typeflag: tar.TypeLink, Linkname: "private"}, ""},
	}
	for i := range entries {
		entries[i].ModTime = entryTime.Add(time.Duration(i) * time.Hour)
	}
	entries[10].ModTime = entries[5].ModTime // they are one file
	archive, digest := tarOf(t, entries)
	source := d.put(t, zipOf(t, []zipped{{sourceArchive, 0o644, string(archive)}}))
	build := d.startWith(t, codebuild.StartBuildInput{
		SourceTypeOverride: types.SourceTypeS3, SourceLocationOverride: &source,
		EnvironmentVariablesOverride: plain(map[string]string{"TAG": d.tag, "SOURCE_SHA256": digest}),
	})
	result, err := build.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, entry := range entries {
		want = append(want, describeEntry(entry.Header, []byte(entry.text)))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, files(t, d.pull(t, result.ImageURI), describeEntry)); diff != "" {
		t.Errorf("the image is not the archive (-want +got):\n%s", diff)
	}
}

// describeEntry returns all of a file that an image keeps.
func describeEntry(h tar.Header, text []byte) string {
	kind := map[byte]string{tar.TypeReg: "file", 0: "file", tar.TypeDir: "directory", tar.TypeSymlink: "link to", tar.TypeLink: "same as"}[h.Typeflag]
	return fmt.Sprintf("%s: %s %s mode %o of %s with %q", strings.TrimSuffix(h.Name, "/"), kind, h.Linkname, h.Mode, h.ModTime.UTC().Format(time.RFC3339), text)
}

// tarOf returns the archive, compressed, and the SHA-256 of what is in it.
func tarOf(t *testing.T, entries []archived) (archive []byte, digest string) {
	t.Helper()
	var plain, packed bytes.Buffer
	writer, zipper := tar.NewWriter(&plain), gzip.NewWriter(&packed)
	for _, entry := range entries {
		entry.Size = int64(len(entry.text))
		if err := writer.WriteHeader(&entry.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write([]byte(entry.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := zipper.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := zipper.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes(), digestOf(plain.Bytes())
}

// inheriting is a project with all the git settings that flexbuild's own does
// not have. No build of it runs.
const inheriting = `{
	"Resources": {
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
			{"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}]}}},
		"Project": {"Type": "AWS::CodeBuild::Project", "Properties": {
			"ServiceRole": {"Fn::GetAtt": ["Role", "Arn"]},
			"Artifacts": {"Type": "NO_ARTIFACTS"},
			"Environment": {"Type": "LINUX_CONTAINER", "ComputeType": "BUILD_GENERAL1_SMALL", "Image": "aws/codebuild/amazonlinux-x86_64-standard:5.0"},
			"SourceVersion": "flexbuild-test",
			"Source": {"Type": "GITHUB", "Location": "https://github.com/octocat/Hello-World", "GitCloneDepth": 7,
				"GitSubmodulesConfig": {"FetchSubmodules": true}, "BuildSpec": "{\"version\": 0.2, \"phases\": {\"build\": {\"commands\": [\"true\"]}}}"}}}
	},
	"Outputs": {"Project": {"Value": {"Ref": "Project"}}}
}`

// inheritsWhatIsNotOverridden asks what a build with another source type keeps
// of its project's source. What the runner sends must be what the build has.
// The builds are stopped at once, and need no permission.
func inheritsWhatIsNotOverridden(t *testing.T, d deployed) {
	project := d.deployInheriting(t)
	archive := aws.String(d.client.Stack().SourceBucketName + "/" + d.client.Stack().SourcePrefix + "flexbuild-test.zip")
	for _, call := range []struct {
		what string
		in   codebuild.StartBuildInput
		want string
	}{
		{"no override", codebuild.StartBuildInput{}, `GITHUB "https://github.com/octocat/Hello-World" version "flexbuild-test" depth 7 submodules true`},
		{"its own type, all of it sent", codebuild.StartBuildInput{
			SourceTypeOverride: types.SourceTypeGithub, SourceLocationOverride: aws.String("https://github.com/octocat/Spoon-Knife"), SourceVersion: aws.String("main"),
			GitCloneDepthOverride: aws.Int32(1), GitSubmodulesConfigOverride: &types.GitSubmodulesConfig{FetchSubmodules: aws.Bool(false)},
		}, `GITHUB "https://github.com/octocat/Spoon-Knife" version "main" depth 1 submodules false`},
		{"its own type", codebuild.StartBuildInput{SourceTypeOverride: types.SourceTypeGithub, SourceLocationOverride: aws.String("https://github.com/octocat/Spoon-Knife")}, ""},
		{"another git type", codebuild.StartBuildInput{SourceTypeOverride: types.SourceTypeBitbucket, SourceLocationOverride: aws.String("https://bitbucket.org/a/b.git")}, ""},
		{"S3", codebuild.StartBuildInput{SourceTypeOverride: types.SourceTypeS3, SourceLocationOverride: archive}, ""},
		{"no source", codebuild.StartBuildInput{SourceTypeOverride: types.SourceTypeNoSource}, ""},
	} {
		call.in.ProjectName = &project
		got := d.sourceOf(t, call.in)
		t.Logf("%s: %s", call.what, got)
		if call.want != "" && !strings.HasPrefix(got, call.want) {
			t.Errorf("%s: the build has %s, want %s: runner/start.go depends on it", call.what, got, call.want)
		}
	}
}

// hasOnlyWhatIsSent asks the same of flexbuild's own project, on which the
// runner sends no git settings for other sources.
func hasOnlyWhatIsSent(t *testing.T, d deployed) {
	location := d.put(t, zipOf(t, nil))
	got := d.sourceOf(t, codebuild.StartBuildInput{
		ProjectName: aws.String(d.client.Stack().ProjectName), SourceTypeOverride: types.SourceTypeS3, SourceLocationOverride: &location,
	})
	if want := fmt.Sprintf(`S3 %q version "" depth 0 submodules false auth ""`, location); got != want {
		t.Errorf("the build has %s, want %s: runner/start.go depends on it", got, want)
	}
}

// sourceOf starts a build, stops it and returns what source it has, or why
// CodeBuild refused it.
func (d deployed) sourceOf(t *testing.T, in codebuild.StartBuildInput) string {
	t.Helper()
	client := codebuild.NewFromConfig(d.cfg)
	out, err := client.StartBuild(t.Context(), &in)
	if err != nil {
		return "refused: " + err.Error()
	}
	if _, err := client.StopBuild(t.Context(), &codebuild.StopBuildInput{Id: out.Build.Id}); err != nil {
		t.Errorf("stop %s: %v", *out.Build.Id, err)
	}
	build := d.describe(t, *out.Build.Id)
	source, submodules, auth := build.Source, false, ""
	if source.GitSubmodulesConfig != nil {
		submodules = aws.ToBool(source.GitSubmodulesConfig.FetchSubmodules)
	}
	if source.Auth != nil {
		auth = string(source.Auth.Type)
	}
	return fmt.Sprintf("%s %q version %q depth %d submodules %v auth %q", source.Type, aws.ToString(source.Location),
		aws.ToString(build.SourceVersion), aws.ToInt32(source.GitCloneDepth), submodules, auth)
}

// deployInheriting makes the project, which goes with the test. With
// FLEXBUILD_TEST_CONNECTION, the ARN of a connection to GitHub, it logs in too.
func (d deployed) deployInheriting(t *testing.T) string {
	t.Helper()
	stack := "flexbuild-test-" + uuid.NewString()[:8]
	client := cloudformation.NewFromConfig(d.cfg)
	afterwards(t, func(ctx context.Context) { deleteStack(ctx, t, client, stack) })
	if err := local.Deploy(t.Context(), d.cfg, stack, withConnection(t, inheriting)); err != nil {
		t.Fatal(err)
	}
	out, err := client.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: &stack})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Stacks[0].Outputs[0].OutputValue
}

// withConnection adds the connection to the project of a template.
func withConnection(t *testing.T, template string) string {
	t.Helper()
	connection := os.Getenv("FLEXBUILD_TEST_CONNECTION")
	if connection == "" {
		t.Log("whether a build inherits the project's login is not asked: FLEXBUILD_TEST_CONNECTION names no connection")
		return template
	}
	auth, err := json.Marshal(map[string]string{"Type": "CODECONNECTIONS", "Resource": connection})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(template, `"GitCloneDepth": 7,`, `"GitCloneDepth": 7, "Auth": `+string(auth)+`,`, 1)
}

func deleteStack(ctx context.Context, t *testing.T, client *cloudformation.Client, stack string) {
	t.Helper()
	if _, err := client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &stack}); err != nil {
		t.Errorf("delete the stack %s: %v", stack, err)
		return
	}
	wait := cloudformation.NewStackDeleteCompleteWaiter(client, func(o *cloudformation.StackDeleteCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, 5*time.Second
	})
	if err := wait.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &stack}, 5*time.Minute); err != nil {
		t.Errorf("delete the stack %s: %v", stack, err)
	}
}
