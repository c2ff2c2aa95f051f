package codebuild

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/go-cmp/cmp"
)

func secondary(id, location string) types.ProjectSource {
	return types.ProjectSource{Type: types.SourceTypeGithub, SourceIdentifier: &id, Location: &location}
}

func versionOf(id, version string) types.ProjectSourceVersion {
	return types.ProjectSourceVersion{SourceIdentifier: &id, SourceVersion: &version}
}

func TestABuildHasTheSecondarySourcesOfItsProjectOrItsCall(t *testing.T) {
	b := newBench(t, 1)
	p := project("demo")
	p.SecondarySources = []types.ProjectSource{secondary("lib", "https://github.com/org/lib"), secondary("tools", "https://github.com/org/tools")}
	p.SecondarySourceVersions = []types.ProjectSourceVersion{versionOf("lib", "v1")}
	b.put(t, p)
	versions := func(build types.Build) map[string]string {
		found := map[string]string{}
		for _, s := range Sources(build)[1:] {
			found[*s.SourceIdentifier] = s.Version
		}
		return found
	}
	call := func(edit func(*codebuild.StartBuildInput), want map[string]string) {
		t.Helper()
		if diff := cmp.Diff(want, versions(b.mustStart(t, edit))); diff != "" {
			t.Error(diff)
		}
	}
	call(func(*codebuild.StartBuildInput) {}, map[string]string{"lib": "v1", "tools": ""})
	call(func(in *codebuild.StartBuildInput) {
		in.SecondarySourcesVersionOverride = []types.ProjectSourceVersion{versionOf("tools", "v2")}
	}, map[string]string{"lib": "", "tools": "v2"})
	call(func(in *codebuild.StartBuildInput) {
		in.SecondarySourcesOverride = []types.ProjectSource{secondary("lib", "https://github.com/org/fork")}
	}, map[string]string{"lib": "v1"})
}

func TestSecondarySourcesThatAreRefused(t *testing.T) {
	b := newBench(t, 1)
	sources := func(all ...types.ProjectSource) func(*codebuild.StartBuildInput) {
		return func(in *codebuild.StartBuildInput) { in.SecondarySourcesOverride = all }
	}
	versions := func(all ...types.ProjectSourceVersion) func(*codebuild.StartBuildInput) {
		return func(in *codebuild.StartBuildInput) {
			in.SecondarySourcesOverride = []types.ProjectSource{secondary("lib", "https://github.com/org/lib")}
			in.SecondarySourcesVersionOverride = all
		}
	}
	const identifiers = "identifier must contain only alphanumeric characters and underscores and be less than 128 characters in length"
	lib := secondary("lib", "https://github.com/org/lib")
	oauth, nothing, object, pipeline := lib, lib, lib, lib
	oauth.Auth = &types.SourceAuth{Type: types.SourceAuthTypeOauth}
	nothing.Type, object.Type, pipeline.Type = types.SourceTypeNoSource, types.SourceTypeS3, types.SourceTypeCodepipeline
	object.Location, object.GitCloneDepth = aws.String("bucket/lib.zip"), aws.Int32(1)
	for want, edit := range map[string]func(*codebuild.StartBuildInput){
		"there are 13 secondary sources; at most 12": sources(make([]types.ProjectSource, 13)...),
		identifiers:               sources(types.ProjectSource{Type: types.SourceTypeNoSource}),
		identifiers + `: "a-b"`:   sources(secondary("a-b", "https://github.com/org/lib")),
		identifiers + `: "xxxxxx`: sources(secondary(strings.Repeat("x", 128), "https://github.com/org/lib")),
		"two secondary sources have the identifier lib":                    sources(lib, lib),
		"sourceLocation of the secondary source lib":                       sources(secondary("lib", "git@github.com:org/lib")),
		"source.auth.type is not supported":                                sources(oauth),
		"location of the secondary source lib must be empty":               sources(nothing),
		"gitCloneDepth of the secondary source lib is not supported":       sources(object),
		"sourceType of the secondary source lib CODEPIPELINE is not":       sources(pipeline),
		`identifier "other" of a secondary source version must be that of`: versions(versionOf("other", "main")),
		`identifier "lib" of a secondary source version must be that of`:   versions(versionOf("lib", "a"), versionOf("lib", "b")),
		`Invalid source version "refs/heads/main"`:                         versions(versionOf("lib", "refs/heads/main")),
	} {
		_, err := b.start(edit)
		wantError(t, err, "InvalidInputException", want)
	}
}

func inS3(edit func(*types.ProjectArtifacts)) *types.ProjectArtifacts {
	a := &types.ProjectArtifacts{Type: types.ArtifactsTypeS3, Location: aws.String("bucket")}
	edit(a)
	return a
}

func TestABuildSaysWhereItsArtifactsWillBe(t *testing.T) {
	b := newBench(t, 1)
	for want, edit := range map[string]func(*types.ProjectArtifacts){
		"bucket/demo": func(*types.ProjectArtifacts) {},
		"bucket/out.zip": func(a *types.ProjectArtifacts) {
			a.Name, a.Packaging = aws.String("out.zip"), types.ArtifactPackagingZip
		},
		"bucket/a/b/demo": func(a *types.ProjectArtifacts) { a.Path = aws.String("/a/b/") },
		"bucket/a/UUID/demo": func(a *types.ProjectArtifacts) {
			a.Path, a.NamespaceType = aws.String("a"), types.ArtifactNamespaceBuildId
		},
		"bucket/a/UUID": func(a *types.ProjectArtifacts) {
			a.Path, a.NamespaceType, a.Name = aws.String("a"), types.ArtifactNamespaceBuildId, aws.String("/")
		},
		"bucket/": func(a *types.ProjectArtifacts) { a.Name = aws.String("/") },
		"bucket/UUID/x (public)": func(a *types.ProjectArtifacts) {
			a.NamespaceType, a.Name, a.EncryptionDisabled = types.ArtifactNamespaceBuildId, aws.String("x"), aws.Bool(true)
		},
	} {
		build := b.mustStart(t, func(in *codebuild.StartBuildInput) { in.ArtifactsOverride = inS3(edit) })
		want, open := strings.CutSuffix(want, " (public)")
		_, uuid, _ := strings.Cut(*build.Id, ":")
		want = "arn:aws:s3:::" + strings.Replace(want, "UUID", uuid, 1)
		if a := build.Artifacts; *a.Location != want || *a.EncryptionDisabled != open || *a.OverrideArtifactName {
			t.Errorf("the artifacts are %+v, %s, and not at %s", a, *a.Location, want)
		}
		_, err := b.StopBuild(root(), &codebuild.StopBuildInput{Id: build.Id})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestARetriedBuildHasTheArtifactsOfTheEarlierOne(t *testing.T) {
	b := newBench(t, 1)
	docs := *inS3(func(a *types.ProjectArtifacts) {
		a.ArtifactIdentifier, a.NamespaceType = aws.String("docs"), types.ArtifactNamespaceBuildId
	})
	first := b.mustStart(t, func(in *codebuild.StartBuildInput) { in.SecondaryArtifactsOverride = []types.ProjectArtifacts{docs} })
	c := b.running(t)
	c.record.Stored(1, "arn:aws:s3:::bucket/other", "md5", "sha256")
	c.finish <- types.StatusTypeSucceeded
	done := b.completed(t, *first.Id).SecondaryArtifacts[0]
	if *done.Location != "arn:aws:s3:::bucket/other" || *done.Md5sum != "md5" || *done.Sha256sum != "sha256" {
		t.Errorf("the artifact is %+v", done)
	}
	b.open(t) // what is retried is on disk
	again, err := b.RetryBuild(root(), &codebuild.RetryBuildInput{Id: first.Id})
	if err != nil {
		t.Fatal(err)
	}
	record := b.running(t).record
	_, uuid, _ := strings.Cut(*again.Build.Id, ":")
	if a := again.Build.SecondaryArtifacts[0]; *a.Location != "arn:aws:s3:::bucket/"+uuid+"/demo" || a.Md5sum != nil {
		t.Errorf("the retried build has the artifact %+v", a)
	}
	if defined := record.Artifacts(); len(defined) != 2 || *defined[1].ArtifactIdentifier != "docs" {
		t.Errorf("its definitions are %+v", defined)
	}
}

func TestArtifactsThatAreRefused(t *testing.T) {
	b := newBench(t, 1)
	primary := func(edit func(*types.ProjectArtifacts)) func(*codebuild.StartBuildInput) {
		return func(in *codebuild.StartBuildInput) { in.ArtifactsOverride = inS3(edit) }
	}
	more := func(all ...types.ProjectArtifacts) func(*codebuild.StartBuildInput) {
		return func(in *codebuild.StartBuildInput) { in.SecondaryArtifactsOverride = all }
	}
	docs := *inS3(func(a *types.ProjectArtifacts) { a.ArtifactIdentifier = aws.String("docs") })
	none := types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts, ArtifactIdentifier: aws.String("docs")}
	for want, edit := range map[string]func(*codebuild.StartBuildInput){
		"artifactsOverride.type CODEPIPELINE is not supported": primary(func(a *types.ProjectArtifacts) { a.Type = types.ArtifactsTypeCodepipeline }),
		"artifactsOverride.encryptionDisabled needs the type S3": primary(func(a *types.ProjectArtifacts) {
			a.Type, a.EncryptionDisabled = types.ArtifactsTypeNoArtifacts, aws.Bool(true)
		}),
		`artifactsOverride.location "b/path" is not the name`:      primary(func(a *types.ProjectArtifacts) { a.Location = aws.String("b/path") }),
		"artifactsOverride.bucketOwnerAccess FULL is not":          primary(func(a *types.ProjectArtifacts) { a.BucketOwnerAccess = types.BucketOwnerAccessFull }),
		"artifactsOverride.name / with the packaging ZIP":          primary(func(a *types.ProjectArtifacts) { a.Name, a.Packaging = aws.String("/"), types.ArtifactPackagingZip }),
		"'artifactsOverride.packaging'":                            primary(func(a *types.ProjectArtifacts) { a.Packaging = "TAR" }),
		"'artifactsOverride.namespaceType'":                        primary(func(a *types.ProjectArtifacts) { a.NamespaceType = "DATE" }),
		"'artifactsOverride.type'":                                 primary(func(a *types.ProjectArtifacts) { a.Type = "FTP" }),
		"identifier must contain only":                             more(*inS3(func(*types.ProjectArtifacts) {})),
		"two secondary artifacts have the identifier docs":         more(docs, docs),
		`secondaryArtifactsOverride.type must be S3, not "NO_ART`:  more(none),
		"there are 13 secondary artifacts; at most 12 are allowed": more(make([]types.ProjectArtifacts, 13)...),
	} {
		_, err := b.start(edit)
		wantError(t, err, "InvalidInputException", want)
	}
}
