package agent

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const showFolder = "version: 0.2\nphases: {build: {commands: ['find . -type f | sort | xargs stat -c \"%n %a\"', 'cat sub/b', 'test -d empty']}}"

func TestASourceIsAFolderInS3(t *testing.T) {
	b := newBench(t)
	b.upload(t, "src/a", []byte("A\n"))
	b.upload(t, "src/sub/b", []byte("the content of b\n"))
	b.upload(t, "src/empty/", nil)
	b.upload(t, "srcs/c", []byte("C\n"))
	for _, location := range []string{bucket + "/src/", "arn:aws:s3:::" + bucket + "/src/"} {
		b.run(t, buildspec(showFolder), source(types.SourceTypeS3, location)).
			want(t, types.StatusTypeSucceeded, "\n./a 644\n./sub/b 644\n", "\nthe content of b\n")
	}
}

func TestAFolderInS3ThatCannotBeHad(t *testing.T) {
	b := newBench(t)
	b.upload(t, "src/a", []byte("A\n"))
	b.upload(t, "out/../../a", []byte("A\n"))
	b.upload(t, "twice/a", []byte("A\n"))
	b.upload(t, "twice/a/b", []byte("A\n"))
	fails := func(folder, want string) {
		t.Helper()
		r := b.run(t, buildspec(showFolder), source(types.SourceTypeS3, bucket+"/"+folder))
		if !strings.Contains(r.context(), want) || !strings.HasPrefix(r.context(), "CLIENT_ERROR: ") || r.BuildStatus != types.StatusTypeFailed {
			t.Errorf("%s: %s", folder, r.context())
		}
	}
	fails("nothing/", "the folder has no objects for primary source and source version arn:aws:s3:::bucket/nothing/")
	fails("out/", "the path leads out of the source")
	fails("twice/", "for primary source and source version arn:aws:s3:::bucket/twice/a/b")
	b.role(t, trust, `{"Statement":[{"Effect":"Allow","Action":["logs:*","s3:GetObject"],"Resource":"*"}]}`)
	fails("src/", "AccessDenied")
	b.role(t, trust, `{"Statement":[{"Effect":"Allow","Action":["logs:*","s3:ListBucket"],"Resource":"*"}]}`)
	fails("src/", "AccessDenied")
}

func TestASourceIsAVersionOfAnObject(t *testing.T) {
	b := newBench(t)
	const show = "version: 0.2\nphases: {build: {commands: ['echo \"which=$(cat which) version=$CODEBUILD_SOURCE_VERSION lib=$(cat $CODEBUILD_SRC_DIR_lib/which)\"']}}"
	bucketOf := aws.String(bucket)
	_, err := b.client(t).PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{Bucket: bucketOf, VersioningConfiguration: &s3types.VersioningConfiguration{Status: "Enabled"}})
	must(t, err)
	b.upload(t, "source.zip", zipped(t, zipEntry{"which", 0o644, "old"}))
	old, err := b.client(t).HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: bucketOf, Key: aws.String("source.zip")})
	must(t, err)
	b.upload(t, "source.zip", zipped(t, zipEntry{"which", 0o644, "new"}))
	from, lib := source(types.SourceTypeS3, bucket+"/source.zip"), func(version string) edit { return secondary("lib", types.SourceTypeS3, bucket+"/source.zip", version) }
	b.run(t, from, sourceVersion(*old.VersionId), buildspec(show), lib("")).want(t, types.StatusTypeSucceeded, "\nwhich=old version="+*old.VersionId+" lib=new\n")
	b.run(t, from, buildspec(show), lib(*old.VersionId)).want(t, types.StatusTypeSucceeded, "\nwhich=new version= lib=old\n")
	fails := func(want string) {
		t.Helper()
		r := b.run(t, from, sourceVersion(*old.VersionId), buildspec(show))
		if !strings.HasPrefix(r.context(), "CLIENT_ERROR: "+want) || !strings.Contains(r.context(), "for primary source") {
			t.Errorf("the build is %s: %s", r.BuildStatus, r.context())
		}
	}
	b.role(t, trust, `{"Statement":[{"Effect":"Allow","Action":["logs:*","s3:GetObject"],"Resource":"*"}]}`)
	fails("AccessDenied")
	b.role(t, trust, allowAll)
	_, err = b.client(t).DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: bucketOf, Key: aws.String("source.zip"), VersionId: old.VersionId})
	must(t, err)
	fails("NoSuchVersion")
}

func TestABuildspecIsInS3(t *testing.T) {
	b := newBench(t)
	b.upload(t, "specs/one.yml", []byte("version: 0.2\nphases: {build: {commands: ['echo from S3']}}"))
	b.upload(t, "specs/long.yml", make([]byte, maxBuildspec+1))
	const arn = "arn:aws:s3:::bucket/specs/"
	b.run(t, buildspec(arn+"one.yml")).want(t, types.StatusTypeSucceeded, "YAML location is "+arn+"one.yml", "\nfrom S3\n")
	for name, want := range map[string]string{"none.yml": "NoSuchKey", "long.yml": "has more than 1048576 bytes"} {
		if r := b.run(t, buildspec(arn+name)); !strings.HasPrefix(r.context(), "YAML_FILE_ERROR: "+arn+name) || !strings.Contains(r.context(), want) {
			t.Errorf("%s: %s", name, r.context())
		}
	}
	b.role(t, trust, `{"Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`)
	if r := b.run(t, buildspec(arn+"one.yml")); !strings.Contains(r.context(), "AccessDenied") {
		t.Errorf("without permission: %s", r.context())
	}
}
