package agent

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

// artifacts returns an edit that makes the primary artifacts those in the
// bucket, with changes.
func artifacts(changes ...func(*types.ProjectArtifacts)) edit {
	a := &types.ProjectArtifacts{Type: types.ArtifactsTypeS3, Location: aws.String(bucket), Name: aws.String("out")}
	for _, change := range changes {
		change(a)
	}
	return func(in *sdk.StartBuildInput) { in.ArtifactsOverride = a }
}

func inZIP(a *types.ProjectArtifacts) { a.Packaging = types.ArtifactPackagingZip }

// stored returns the objects of the bucket by their keys.
func (b *bench) stored(t testing.TB) map[string]string {
	t.Helper()
	client, all := b.client(t), map[string]string{}
	list, err := client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	must(t, err)
	for _, o := range list.Contents {
		object, err := client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String(bucket), Key: o.Key})
		must(t, err)
		data, err := io.ReadAll(object.Body)
		must(t, err)
		must(t, object.Body.Close())
		all[*o.Key] = string(data)
	}
	return all
}

// makeFiles is a phase that makes files, each of which has its name as content.
const makeFiles = `version: 0.2
phases:
  build:
    commands:
      - mkdir -p a/deep b empty
      - for name in top .dot a/one a/two.txt a/deep/three.txt b/one; do printf %s "$name" >$name; done
artifacts: `

func TestFilesOfArtifacts(t *testing.T) {
	for definition, want := range map[string]string{
		"{files: ['**/*']}":                                                                  ".dot a/deep/three.txt a/one a/two.txt b/one top",
		"{files: [./top, a/*]}":                                                              "a/one a/two.txt top",
		"{files: ['a/**/*']}":                                                                "a/deep/three.txt a/one a/two.txt",
		"{files: ['**/*.txt']}":                                                              "a/deep/three.txt a/two.txt",
		"{files: [top, none]}":                                                               "top",
		"{files: ['$CODE/one']}":                                                             "a/one",
		"{files: ['**/*'], base-directory: a}":                                               "deep/three.txt one two.txt",
		"{files: ['*/*.txt'], base-directory: ./a/}":                                         "deep/three.txt",
		"{files: [deep/*], base-directory: $CODEBUILD_SRC_DIR/a}":                            "deep/three.txt",
		"{files: [deep/*], base-directory: '${CODEBUILD_SRC_DIR}/?'}":                        "deep/three.txt",
		"{files: [top, 'a/**/*'], discard-paths: yes}":                                       "one three.txt top two.txt",
		"{files: ['**/*'], exclude-paths: ['**/.*', 'a/deep/**']}":                           "a/one a/two.txt b/one top",
		"{files: ['**/*'], exclude-paths: 'deep/**/*', base-directory: a}":                   "one two.txt",
		"{files: ['*'], base-directory: '[ab]', exclude-paths: [one], discard-paths: false}": "two.txt",
	} {
		t.Run(definition, func(t *testing.T) {
			b := newBench(t)
			r := b.run(t, artifacts(), buildspec(makeFiles+definition), variableOverride("CODE", "a"))
			r.want(t, types.StatusTypeSucceeded)
			wanted := map[string]string{}
			for name := range strings.FieldsSeq(want) {
				wanted["out/"+name] = ""
			}
			got := b.stored(t)
			for key, content := range got {
				name := strings.TrimPrefix(key, "out/")
				if !strings.HasSuffix("/"+content, "/"+name) {
					t.Errorf("%s has the content %q", key, content)
				}
				got[key] = ""
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("%s\n%s", diff, r.log)
			}
		})
	}
}

func variableOverride(name, value string) edit {
	return func(in *sdk.StartBuildInput) {
		in.EnvironmentVariablesOverride = append(in.EnvironmentVariablesOverride, variable(name, value))
	}
}

func TestTheLogOfAnUploadIsLikeCodeBuilds(t *testing.T) {
	b := newBench(t)
	r := b.run(t, artifacts(), buildspec(makeFiles+"{files: [top, none, '*.md'], base-directory: .}"))
	r.want(t, types.StatusTypeSucceeded, `[Container] Expanding base directory path: .
[Container] Assembling file list
[Container] Expanding .
[Container] Expanding file paths for base directory .
[Container] Assembling file list
[Container] Expanding top
[Container] Expanding none
[Container] Skipping invalid file path none
[Container] Expanding *.md
[Container] Found 1 file(s)
[Container] Phase complete: UPLOAD_ARTIFACTS State: SUCCEEDED
`)
}

func TestWhereAnArtifactIs(t *testing.T) {
	const one = "{files: [top], name: '$MADE-$(echo in \"the shell\")', s3-prefix: /before/}"
	makes := strings.Replace(makeFiles, "    commands:\n", "    commands:\n      - export MADE=name\n", 1) + one
	set := func(path, name string, byBuild, overrides bool) edit {
		return artifacts(func(a *types.ProjectArtifacts) {
			a.Path, a.Name, a.OverrideArtifactName = &path, &name, &overrides
			if byBuild {
				a.NamespaceType = types.ArtifactNamespaceBuildId
			}
		})
	}
	for want, edit := range map[string]edit{
		"out/top":                           set("", "out", false, false),
		"top":                               set("", "/", false, false),
		"p/q/out/top":                       set("/p/q/", "out", false, false),
		"p/before/UUID/top":                 set("p", "/", true, false),
		"before/UUID/name-in the shell/top": set("", "out", true, true),
		"name-in the shell/top":             set("", "out", false, true),
	} {
		b := newBench(t)
		r := b.run(t, edit, buildspec(makes))
		r.want(t, types.StatusTypeSucceeded)
		_, uuid, _ := strings.Cut(*r.Id, ":")
		want = strings.Replace(want, "UUID", uuid, 1)
		if diff := cmp.Diff(map[string]string{want: "top"}, b.stored(t)); diff != "" {
			t.Error(diff)
		}
		if at := *r.Artifacts.Location; strings.TrimSuffix(at, "/")+"/top" != "arn:aws:s3:::bucket/"+want || r.Artifacts.Sha256sum != nil {
			t.Errorf("%s is reported at %s", want, *r.Artifacts.Location)
		}
	}
}

func TestAnArtifactIsAZIPFile(t *testing.T) {
	b := newBench(t)
	const spec = `version: 0.2
phases:
  build:
    commands:
      - echo '#!/bin/sh' >run; chmod 755 run; mkdir dir; echo text >dir/text
      - ln -s dir/text link; ln -s ../../up out; ln -s none broken; ln -s dir folder; mkfifo pipe
artifacts: {files: ['**/*'], exclude-paths: out, enable-symlinks: `
	for choice, want := range map[string]string{
		"no}":  "dir/text=-rw-r--r-- link=-rw-r--r-- run=-rwxr-xr-x",
		"yes}": "broken=Lrwxrwxrwx dir/text=-rw-r--r-- folder=Lrwxrwxrwx link=Lrwxrwxrwx run=-rwxr-xr-x",
	} {
		r := b.run(t, artifacts(inZIP), buildspec(spec+choice))
		r.want(t, types.StatusTypeSucceeded, "Skipping invalid file path pipe")
		data := []byte(b.stored(t)["out"])
		archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		must(t, err)
		var got []string
		for _, f := range archive.File {
			got = append(got, f.Name+"="+f.Mode().String())
			if content, err := fs.ReadFile(archive, f.Name); f.Name == "dir/text" && (err != nil || string(content) != "text\n") {
				t.Errorf("%s: %q, %v", f.Name, content, err)
			}
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("enable-symlinks: %s: %s", choice, diff)
		}
		short, long := md5.Sum(data), sha256.Sum256(data)
		if *r.Artifacts.Md5sum != hex.EncodeToString(short[:]) || *r.Artifacts.Sha256sum != hex.EncodeToString(long[:]) || *r.Artifacts.Location != "arn:aws:s3:::bucket/out" {
			t.Errorf("the artifact is %+v", r.Artifacts)
		}
	}
}

func TestSecondaryArtifacts(t *testing.T) {
	b := newBench(t)
	b.upload(t, "lib/from", []byte("lib"))
	more := func(id string) edit {
		return func(in *sdk.StartBuildInput) {
			in.SecondaryArtifactsOverride = append(in.SecondaryArtifactsOverride,
				types.ProjectArtifacts{Type: types.ArtifactsTypeS3, Location: aws.String(bucket), ArtifactIdentifier: &id, Name: aws.String("more-" + id)})
		}
	}
	text := buildspec(makeFiles + `
  files: [none]
  secondary-artifacts:
    one: {files: [top]}
    two: {files: ['**/*'], base-directory: $CODEBUILD_SRC_DIR_lib}
`)
	lib := secondary("lib", types.SourceTypeS3, bucket+"/lib/", "")
	r := b.run(t, text, lib, more("one"), more("two")) // no primary artifact, so its files do not matter
	r.want(t, types.StatusTypeSucceeded)
	if diff := cmp.Diff(map[string]string{"lib/from": "lib", "more-one/top": "top", "more-two/from": "lib"}, b.stored(t)); diff != "" {
		t.Error(diff)
	}
	if a := r.SecondaryArtifacts[1]; *a.ArtifactIdentifier != "two" || *a.Location != "arn:aws:s3:::bucket/more-two" || *r.Artifacts.Location != "" {
		t.Errorf("the artifacts are %+v and %+v", r.Artifacts, a)
	}
	for want, edits := range map[string][]edit{
		"the buildspec has the secondary artifact two, which the project does not have": {more("one")},
		"no definition for secondary artifact three in buildspec":                       {more("one"), more("two"), more("three")},
	} {
		if r := b.run(t, append(edits, text, lib)...); r.context() != "CLIENT_ERROR: "+want || r.BuildStatus != types.StatusTypeFailed {
			t.Errorf("%s: %s", want, r.context())
		}
	}
}

func TestUploadsThatFail(t *testing.T) {
	b := newBench(t)
	elsewhere := func(a *types.ProjectArtifacts) { a.Location = aws.String("nowhere") }
	named := func(a *types.ProjectArtifacts) { a.OverrideArtifactName = aws.Bool(true) }
	for name, c := range map[string]struct {
		artifacts  edit
		definition string
		want       string
	}{
		"no files":         {artifacts(), "{files: [none, '*.md']}", "no matching artifact paths found"},
		"a directory":      {artifacts(), "{files: [a]}", "no matching artifact paths found"},
		"outside":          {artifacts(), "{files: [/etc/hostname, ../x]}", "no matching artifact paths found"},
		"no base":          {artifacts(), "{files: ['**/*'], base-directory: dist}", "no matching base directory path found for dist"},
		"a file as base":   {artifacts(), "{files: ['**/*'], base-directory: top}", "no matching base directory path found for top"},
		"a base outside":   {artifacts(), "{files: ['**/*'], base-directory: ../home}", "base-directory ../home leads out of the source"},
		"two of a name":    {artifacts(), "{files: ['*/one'], discard-paths: yes}", "would both be one in the artifact"},
		"an empty name":    {artifacts(named), "{files: [top], name: $NONE}", `the artifact's name "$NONE" is empty when the shell has expanded it`},
		"a ZIP of no name": {artifacts(named, inZIP), "{files: [top], name: /}", `the artifact's name "/" leaves no name for a ZIP file`},
		"no bucket":        {artifacts(elsewhere), "{files: [top]}", "NoSuchBucket: The specified bucket does not exist: nowhere"},
	} {
		r := b.run(t, c.artifacts, buildspec(makeFiles+c.definition))
		if !strings.HasPrefix(r.context(), "CLIENT_ERROR: ") || !strings.Contains(r.context(), c.want) || r.BuildStatus != types.StatusTypeFailed {
			t.Errorf("%s: the build is %s: %s", name, r.BuildStatus, r.context())
		}
		if !strings.HasSuffix(r.phases(), "UPLOAD_ARTIFACTS:FAILED FINALIZING:SUCCEEDED COMPLETED:") {
			t.Errorf("%s: %s", name, r.phases())
		}
	}
	without := buildspec(strings.TrimSuffix(makeFiles, "artifacts: "))
	if r := b.run(t, artifacts(), without); r.context() != "CLIENT_ERROR: no definition for primary artifacts in buildspec" {
		t.Errorf("without a definition: %s", r.context())
	}
	b.run(t, without).want(t, types.StatusTypeSucceeded)
	b.run(t, buildspec(makeFiles+"{files: [none]}")).want(t, types.StatusTypeSucceeded) // the project has no artifacts
}

func TestAnUploadNeedsTheRolesPermissions(t *testing.T) {
	b := newBench(t)
	const key = "arn:aws:kms:us-east-1:000000000000:key/k"
	full := map[string]string{
		"logs:*": "*", "s3:GetBucketLocation": "arn:aws:s3:::bucket", "s3:GetBucketAcl": "arn:aws:s3:::bucket", "s3:PutObject": "arn:aws:s3:::bucket/out/*",
		"kms:GenerateDataKey": key, "kms:Decrypt": key,
	}
	encrypted := func(in *sdk.StartBuildInput) { in.EncryptionKeyOverride = aws.String(key) }
	run := func(without string) result {
		var statements []map[string]string
		for action, resource := range full {
			if action != without {
				statements = append(statements, map[string]string{"Effect": "Allow", "Action": action, "Resource": resource})
			}
		}
		policy, err := json.Marshal(map[string]any{"Statement": statements})
		must(t, err)
		b.role(t, trust, string(policy))
		return b.run(t, artifacts(), encrypted, buildspec(makeFiles+"{files: [top]}"))
	}
	for _, action := range []string{"s3:GetBucketLocation", "s3:GetBucketAcl", "s3:PutObject", "kms:GenerateDataKey"} {
		r := run(action)
		if !strings.HasPrefix(r.context(), "CLIENT_ERROR: AccessDenied") || !strings.Contains(r.context(), action) {
			t.Errorf("without %s: %s", action, r.context())
		}
	}
	if left := b.stored(t); len(left) != 0 {
		t.Errorf("the bucket has %v", left)
	}
	r := run("")
	r.want(t, types.StatusTypeSucceeded)
	object, err := b.client(t).HeadObject(context.Background(), &awss3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("out/top")})
	must(t, err)
	if object.Metadata["codebuild-buildarn"] != *r.Arn || aws.ToString(object.SSEKMSKeyId) != key || object.ServerSideEncryption != "aws:kms" {
		t.Errorf("the object is %+v", object)
	}
	open := artifacts(func(a *types.ProjectArtifacts) { a.EncryptionDisabled = aws.Bool(true) })
	b.role(t, trust, allowAll)
	b.run(t, open, buildspec(makeFiles+"{files: [top]}")).want(t, types.StatusTypeSucceeded)
	object, err = b.client(t).HeadObject(context.Background(), &awss3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("out/top")})
	must(t, err)
	if object.ServerSideEncryption != "AES256" {
		t.Errorf("without CodeBuild's encryption, the object has %s", object.ServerSideEncryption)
	}
}

func TestPatternsOfPaths(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"**/*", "a", true}, {"**/*", "a/b/c", true}, {"**", "a/b", true}, {"a/**/*", "a/b", true}, {"a/**/*", "b/a/c", false},
		{"*", "a/b", false}, {"a/*", "a/b/c", false}, {"**/x/**/*", "x/y", true}, {"**/x/**/*", "a/x/b/y", true}, {"**/.*/**/*", "a/.b/c", true},
		{"**/.*", "a/.b", true}, {"**/**/**/**/a", "b/b/b/b/b/b/b", false}, {"a?.[ch]", "ab.c", true}, {"[", "[", false}, {"a", "a/b", false}, {"a/b", "a", false},
	} {
		if got := matches(c.pattern, c.name); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}
