package agent

import (
	"archive/zip"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/codebuild-flex/flexbuild/local/internal/agent/spec"
	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// uploadArtifacts stores the artifacts of the build in S3, one after the other
// until one fails.
func (b *build) uploadArtifacts(ctx context.Context) error {
	defined := b.record.Artifacts()
	if len(defined) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, a := range defined[1:] {
		known[*a.ArtifactIdentifier] = true
	}
	for id := range b.spec.SecondaryArtifacts {
		if !known[id] {
			return clientError(fmt.Sprintf("the buildspec has the secondary artifact %s, which the project does not have", id))
		}
	}
	for place, a := range defined {
		if a.Type != types.ArtifactsTypeS3 {
			continue
		}
		files, name := b.spec.Artifacts, "primary artifacts"
		if place > 0 {
			files, name = b.spec.SecondaryArtifacts[*a.ArtifactIdentifier], "secondary artifact "+*a.ArtifactIdentifier
		}
		if files == nil {
			return clientError(fmt.Sprintf("no definition for %s in buildspec", name))
		}
		if err := (&artifact{b, a, files, place}).upload(ctx); err != nil {
			return err
		}
	}
	return nil
}

// An artifact is one of the build's artifacts.
type artifact struct {
	*build
	defined types.ProjectArtifacts
	files   *spec.Artifacts
	place   int // in the list of the definitions
}

func (a *artifact) upload(ctx context.Context) error {
	files, err := a.collect()
	if err != nil {
		return err
	}
	key, err := a.key(ctx)
	if err != nil {
		return err
	}
	if err := a.lookAtBucket(ctx); err != nil {
		return refusedUpload(err)
	}
	var md5, sha256 string
	if a.zips() {
		md5, sha256, err = a.uploadZIP(ctx, key, files)
	} else {
		err = a.uploadFiles(ctx, key, files)
	}
	if err != nil {
		return refusedUpload(err)
	}
	a.record.Stored(a.place, codebuild.ArtifactARN(a.defined, key), md5, sha256)
	return nil
}

func (a *artifact) zips() bool { return a.defined.Packaging == types.ArtifactPackagingZip }

// refusedUpload makes what S3 answers the customer's error. Other errors are
// the engine's.
func refusedUpload(err error) error {
	if text := answered(err); text != err.Error() {
		return clientError(text)
	}
	return err
}

// key returns the artifact's key. With overrideArtifactName it has the name of
// the buildspec, which the shell expands.
func (a *artifact) key(ctx context.Context) (string, error) {
	name := ""
	if aws.ToBool(a.defined.OverrideArtifactName) && a.files.Name != "" {
		text, err := a.printed(ctx, "cat <<END_OF_NAME\n"+a.files.Name+"\nEND_OF_NAME\n")
		if err != nil {
			return "", err
		}
		if name = strings.TrimSpace(text); name == "" {
			return "", clientError(fmt.Sprintf("the artifact's name %q is empty when the shell has expanded it", a.files.Name))
		}
	}
	key := codebuild.ArtifactKey(a.defined, a.document, a.files.Prefix, name)
	if key == "" && a.zips() {
		return "", clientError(fmt.Sprintf("the artifact's name %q leaves no name for a ZIP file", name))
	}
	return key, nil
}

// lookAtBucket does what CodeBuild's service role needs permissions for besides
// writing. Source: "Allow CodeBuild to interact with other AWS services" of the
// user guide. The engine's buckets have no access control lists.
func (a *artifact) lookAtBucket(ctx context.Context) error {
	if _, err := a.clients.objects.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: a.defined.Location}); err != nil {
		return err
	}
	return a.authorize(ctx, iam.Permission{
		Action: "s3:GetBucketAcl", Resource: "arn:aws:s3:::" + *a.defined.Location, Keys: iam.Keys{"s3:ResourceAccount": {iam.AccountID}},
	})
}

// put stores an object. Artifacts are encrypted with the build's key unless the
// project says otherwise, and S3 knows them by their build.
func (a *artifact) put(ctx context.Context, key string, body io.ReadSeeker) error {
	in := &s3.PutObjectInput{
		Bucket: a.defined.Location, Key: &key, Body: body,
		Metadata: map[string]string{"codebuild-buildarn": *a.document.Arn},
	}
	if !aws.ToBool(a.defined.EncryptionDisabled) {
		in.ServerSideEncryption = s3types.ServerSideEncryptionAwsKms
		if key := aws.ToString(a.document.EncryptionKey); !strings.HasSuffix(key, "alias/aws/s3") { // which is S3's default
			in.SSEKMSKeyId = &key
		}
	}
	_, err := a.clients.objects.PutObject(ctx, in)
	return err
}

func (a *artifact) uploadFiles(ctx context.Context, prefix string, files []outputFile) error {
	for _, f := range files {
		content, err := os.Open(f.path)
		if err != nil {
			return err
		}
		err = a.put(ctx, strings.TrimPrefix(prefix+"/"+f.name, "/"), content)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return nil
}

// uploadZIP stores the files in a ZIP file, whose sums it returns.
func (a *artifact) uploadZIP(ctx context.Context, key string, files []outputFile) (md5sum, sha256sum string, err error) {
	file, err := os.CreateTemp(a.folder.agent(), "artifact-*.zip")
	if err != nil {
		return "", "", err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	short, long := md5.New(), sha256.New()
	archive := zip.NewWriter(io.MultiWriter(file, short, long))
	for _, f := range files {
		if ctx.Err() != nil {
			return "", "", context.Cause(ctx)
		}
		if err := f.addTo(archive); err != nil {
			return "", "", err
		}
	}
	if err := archive.Close(); err != nil {
		return "", "", err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", "", err
	}
	return hex.EncodeToString(short.Sum(nil)), hex.EncodeToString(long.Sum(nil)), a.put(ctx, key, file)
}

// An outputFile is a file of an artifact.
type outputFile struct {
	path   string // of the file on this machine
	name   string // in the artifact
	target string // what a symbolic link says, if it is kept as one; else ""
}

// addTo adds a file to a ZIP file, with its permissions and its time.
func (f outputFile) addTo(archive *zip.Writer) error {
	info, err := os.Stat(f.path)
	if f.target != "" {
		info, err = os.Lstat(f.path)
	}
	if err != nil {
		return err
	}
	header, err := zip.FileInfoHeader(info)
	if err != nil {
		return err
	}
	header.Name, header.Method = f.name, zip.Deflate
	entry, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	if f.target != "" {
		_, err = io.WriteString(entry, f.target)
		return err
	}
	content, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(entry, content)
	return err
}

// collect returns the files of the artifact, and logs what it does as CodeBuild
// does.
func (a *artifact) collect() ([]outputFile, error) {
	bases, err := a.bases()
	if err != nil {
		return nil, err
	}
	var files []outputFile
	for _, base := range bases {
		found, err := a.filesOf(base)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, clientError("no matching artifact paths found")
	}
	names := map[string]string{}
	for _, f := range files {
		if other, twice := names[f.name]; twice {
			return nil, clientError(fmt.Sprintf("%s and %s would both be %s in the artifact", other, f.path, f.name))
		}
		names[f.name] = f.path
	}
	a.log.agent("Found %d file(s)", len(files))
	return files, nil
}

// expand puts the values of the build's variables into a path.
func (b *build) expand(name string) string {
	return os.Expand(name, func(variable string) string { return b.variables[variable] })
}

// A baseFolder is a directory whose files are those of an artifact.
type baseFolder struct{ name, dir string }

// bases returns the directories that base-directory stands for.
func (a *artifact) bases() ([]baseFolder, error) {
	a.log.agent("Expanding base directory path: %s", a.files.Base)
	a.log.agent("Assembling file list")
	a.log.agent("Expanding %s", a.files.Base)
	root, pattern := a.folder.source(), path.Clean(a.expand(a.files.Base))
	if path.IsAbs(pattern) {
		root, pattern = a.rootOf(pattern)
	}
	if !filepath.IsLocal(pattern) {
		return nil, clientError(fmt.Sprintf("base-directory %s leads out of the source", a.files.Base))
	}
	names, err := fs.Glob(os.DirFS(root), pattern)
	if err != nil {
		return nil, clientError(fmt.Sprintf("base-directory %s: %v", a.files.Base, err))
	}
	var bases []baseFolder
	for _, name := range names {
		dir := filepath.Join(root, name)
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			bases = append(bases, baseFolder{name, dir})
		}
	}
	if len(bases) == 0 {
		a.log.agent("Skipping invalid file path %s", a.files.Base)
		return nil, clientError("no matching base directory path found for " + a.files.Base)
	}
	return bases, nil
}

// rootOf splits an absolute path into a folder of the build, whose name is no
// pattern, and the rest.
func (a *artifact) rootOf(name string) (root, rest string) {
	for _, in := range a.inputs() {
		if rest, err := filepath.Rel(in.dir, name); err == nil && filepath.IsLocal(rest) {
			return in.dir, rest
		}
	}
	return "/", strings.TrimPrefix(name, "/")
}

// filesOf returns the files of a directory that the patterns select.
func (a *artifact) filesOf(base baseFolder) ([]outputFile, error) {
	a.log.agent("Expanding file paths for base directory %s", base.name)
	a.log.agent("Assembling file list")
	all, err := a.walk(base)
	if err != nil {
		return nil, err
	}
	chosen := make([]bool, len(all))
	for _, file := range a.files.Files {
		a.log.agent("Expanding %s", file)
		pattern := path.Clean(a.expand(file))
		found := false
		for i, f := range all {
			if matches(pattern, f.name) {
				chosen[i], found = true, true
			}
		}
		if !found && !strings.ContainsAny(pattern, `*?[`) {
			a.log.agent("Skipping invalid file path %s", file)
		}
	}
	var files []outputFile
	for i, f := range all {
		if !chosen[i] {
			continue
		}
		if a.files.DiscardPaths {
			f.name = path.Base(f.name)
		}
		files = append(files, f)
	}
	return files, nil
}

// walk returns the files of a directory that are not excluded. A symbolic link
// to a file is that file, unless links are kept. What is neither a file nor
// such a link is left out.
func (a *artifact) walk(base baseFolder) ([]outputFile, error) {
	var all []outputFile
	err := filepath.WalkDir(base.dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(base.dir, name)
		if err != nil {
			return err
		}
		for _, pattern := range a.files.Exclude {
			if matches(path.Clean(a.expand(pattern)), relative) {
				return nil
			}
		}
		f := outputFile{path: name, name: relative}
		if entry.Type() == fs.ModeSymlink && a.zips() && a.files.KeepsSymlinks {
			if f.target, err = os.Readlink(name); err != nil {
				return err
			}
			if filepath.IsLocal(filepath.Join(filepath.Dir(relative), f.target)) && !filepath.IsAbs(f.target) {
				all = append(all, f)
				return nil
			}
			f.target = "" // it leads out of the artifact, where nothing would be
		}
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			all = append(all, f)
		} else {
			a.log.agent("Skipping invalid file path %s", relative)
		}
		return nil
	})
	return all, err
}

// matches reports whether a pattern selects a path. ** stands for any number of
// directories, and the rest is that of path.Match within a name.
func matches(pattern, name string) bool {
	return matchParts(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

func matchParts(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == "**" && len(pattern) > 1 && pattern[1] == "**": // the same as one
		return matchParts(pattern[1:], name)
	case pattern[0] == "**":
		for skip := range len(name) + 1 {
			if matchParts(pattern[1:], name[skip:]) {
				return true
			}
		}
		return false
	case len(name) == 0:
		return false
	}
	ok, err := path.Match(pattern[0], name[0])
	return err == nil && ok && matchParts(pattern[1:], name[1:])
}
