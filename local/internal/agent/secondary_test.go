package agent

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

func secondary(id string, kind types.SourceType, location, version string) edit {
	return func(in *sdk.StartBuildInput) {
		s := types.ProjectSource{Type: kind, SourceIdentifier: &id}
		if location != "" {
			s.Location = &location
		}
		in.SecondarySourcesOverride = append(in.SecondarySourcesOverride, s)
		if version != "" {
			v := types.ProjectSourceVersion{SourceIdentifier: &id, SourceVersion: &version}
			in.SecondarySourcesVersionOverride = append(in.SecondarySourcesVersionOverride, v)
		}
	}
}

func TestEachSecondarySourceHasAFolderOfItsOwn(t *testing.T) {
	b, r, main := newBench(t), newRepository(t), newRepository(t)
	first := r.commit(t, "first")
	r.commit(t, "second")
	head := main.commit(t, "main")
	b.upload(t, "lib.zip", zipped(t, zipEntry{"a", 0o644, "in the archive"}))
	b.upload(t, "lib/a", []byte("in the folder"))
	build := b.run(t, source(types.SourceTypeGithub, main.url),
		secondary("old", types.SourceTypeGithub, r.url, first), secondary("new_1", types.SourceTypeGithub, r.url, ""),
		secondary("archive", types.SourceTypeS3, bucket+"/lib.zip", ""), secondary("folder", types.SourceTypeS3, bucket+"/lib/", ""),
		secondary("nothing", types.SourceTypeNoSource, "", ""),
		buildspec(`version: 0.2
phases:
  build:
    commands:
      - echo "$PWD"; echo "main=$(cat content) resolved=$CODEBUILD_RESOLVED_SOURCE_VERSION"
      - echo "old=$(cat $CODEBUILD_SRC_DIR_old/content) new=$(cat $CODEBUILD_SRC_DIR_new_1/content)"
      - echo "archive=$(cat $CODEBUILD_SRC_DIR_archive/a) folder=$(cat $CODEBUILD_SRC_DIR_folder/a)"
      - echo "nothing=$(ls $CODEBUILD_SRC_DIR_nothing)."; ls
`))
	build.want(t, types.StatusTypeSucceeded, "\nmain=main resolved="+head+"\n", "\nold=first new=second\n", "\narchive=in the archive folder=in the folder\n",
		"\nnothing=.\ncontent\n", "[Container] CODEBUILD_SRC_DIR_old=/")
	if aws.ToString(build.ResolvedSourceVersion) != head || len(build.SecondarySources) != 5 || *build.SecondarySourceVersions[0].SourceVersion != first {
		t.Errorf("the build is %+v", build.Build)
	}
}

func TestASecondarySourceThatCannotBeHadFailsTheBuild(t *testing.T) {
	b, r := newBench(t), newRepository(t)
	r.commit(t, "first")
	for want, s := range map[string]edit{
		"CLIENT_ERROR: reference not found for source lib and source version none":                               secondary("lib", types.SourceTypeGithub, r.url, "none"),
		"CLIENT_ERROR: NoSuchKey: The specified key does not exist: x.zip for source lib and source version arn": secondary("lib", types.SourceTypeS3, bucket+"/x.zip", ""),
	} {
		build := b.run(t, source(types.SourceTypeGithub, r.url), buildspec(showSource), s)
		if got := build.context(); len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("the build ends with %s, and not %s", got, want)
		}
	}
	b.role(t, trust, `{"Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`)
	b.run(t, secondary("lib", types.SourceTypeS3, bucket+"/x.zip", "")).want(t, types.StatusTypeFailed, "AccessDenied", "for source lib")
}
