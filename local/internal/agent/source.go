package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/codebuild-flex/flexbuild/local/internal/agent/spec"
	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
)

// maxBuildspec bounds a buildspec file in a source or a bucket, in bytes.
const maxBuildspec = 1 << 20

// downloadSource gets the source, reads its buildspec and prepares for the
// commands.
func (b *build) downloadSource(ctx context.Context) error {
	if err := b.fetchSources(ctx); err != nil {
		if failure, ok := errors.AsType[*phaseError](err); ok {
			b.log.text(failure.Error()) // as CodeBuild, which fetches before its agent runs, logs it
		}
		return err
	}
	b.log.agent("Phase is DOWNLOAD_SOURCE")
	for _, in := range b.inputs() {
		b.log.agent("%s=%s", in.variable("CODEBUILD_SRC_DIR"), in.dir)
	}
	if err := b.readBuildspec(ctx); err != nil {
		return &phaseError{"YAML_FILE_ERROR", err.Error()}
	}
	b.log.agent("Processing environment variables")
	if err := b.prepare(ctx); err != nil {
		return err
	}
	if err := b.admitUsers(ctx); err != nil {
		return err
	}
	b.logRuntimes()
	b.log.agent("Moving to directory %s", b.folder.source())
	b.log.agent("Cache is not defined in the buildspec")
	b.log.agent("Skip cache due to: no paths specified to be cached")
	b.log.agent("Registering with agent")
	b.log.agent("Phases found in YAML: %d", len(b.spec.Phases))
	for _, p := range b.spec.Phases {
		b.log.agent(" %s: %d commands", p.Name, len(p.Commands))
	}
	return nil
}

// An input is one of the build's sources, with the folder that it is put into.
type input struct {
	*build
	source codebuild.Source
	dir    string
}

// inputs returns the build's sources, the primary one first.
func (b *build) inputs() []*input {
	var all []*input
	for i, source := range codebuild.Sources(b.document) {
		dir := b.folder.source()
		if i > 0 {
			dir = b.folder.secondary(*source.SourceIdentifier)
		}
		all = append(all, &input{b, source, dir})
	}
	return all
}

func (in *input) primary() bool { return in.dir == in.folder.source() }

// variable returns the name of a variable of CodeBuild for this source.
func (in *input) variable(name string) string {
	if in.primary() {
		return name
	}
	return name + "_" + *in.source.SourceIdentifier
}

// String names the source in messages.
func (in *input) String() string {
	if in.primary() {
		return "primary source"
	}
	return "source " + *in.source.SourceIdentifier
}

func (b *build) fetchSources(ctx context.Context) error {
	for _, in := range b.inputs() {
		if err := os.Mkdir(in.dir, 0o700); err != nil {
			return err
		}
		if err := in.fetch(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (in *input) fetch(ctx context.Context) error {
	switch in.source.Type {
	case types.SourceTypeNoSource:
		return nil
	case types.SourceTypeS3:
		return in.fetchObject(ctx)
	default:
		return in.fetchRepository(ctx)
	}
}

// sourceFailed is why a source could not be had, in CodeBuild's words.
func (in *input) sourceFailed(reason string) error {
	message := fmt.Sprintf("%s for %s", reason, in)
	if version := in.source.Version; version != "" {
		message += " and source version " + version
	}
	return clientError(message)
}

// fetchObject downloads and unpacks a ZIP file, which the role must be allowed
// to read: s3:GetObject, or s3:GetObjectVersion with a source version.
func (in *input) fetchObject(ctx context.Context) error {
	bucket, key := codebuild.S3Location(*in.source.Location)
	if strings.HasSuffix(key, "/") {
		return in.fetchFolder(ctx, bucket, key)
	}
	archive, err := os.CreateTemp(in.folder.agent(), "source-*.zip")
	if err != nil {
		return err
	}
	defer os.Remove(archive.Name())
	defer archive.Close()
	size, err := in.download(ctx, archive, bucket, key)
	if err != nil {
		return in.notRead(err, bucket, key)
	}
	if err := unzip(ctx, archive, size, in.dir, in.KeepAllOfZIP); err != nil && ctx.Err() == nil {
		return clientError(fmt.Sprintf("cannot unpack s3://%s/%s: %v", bucket, key, err))
	}
	return nil
}

// notRead says why a source in S3 could not be had, in CodeBuild's words.
func (in *input) notRead(err error, bucket, key string) error {
	return clientError(fmt.Sprintf("%s for %s and source version arn:aws:s3:::%s/%s", answered(err), in, bucket, key))
}

// fetchFolder downloads the objects whose keys begin with a prefix. The role
// must be allowed to list and to read them. Objects have no modes, so no file
// is executable.
func (in *input) fetchFolder(ctx context.Context, bucket, prefix string) error {
	root, err := os.OpenRoot(in.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	pages, found := s3.NewListObjectsV2Paginator(in.clients.objects, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix}), false
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return in.notRead(err, bucket, prefix)
		}
		for _, object := range page.Contents {
			found = true
			if err := in.fetchFile(ctx, root, bucket, prefix, *object.Key); err != nil {
				return in.notRead(err, bucket, *object.Key)
			}
		}
	}
	if !found {
		return in.notRead(errors.New("the folder has no objects"), bucket, prefix)
	}
	return nil
}

// fetchFile downloads an object of a folder to its place in the source. An
// object whose key ends in a slash stands for a folder.
func (in *input) fetchFile(ctx context.Context, root *os.Root, bucket, prefix, key string) error {
	name := strings.TrimPrefix(key, prefix)
	if strings.HasSuffix(key, "/") {
		return root.MkdirAll(filepath.Clean(name), 0o755)
	}
	if !filepath.IsLocal(name) {
		return errors.New("the path leads out of the source")
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = in.download(ctx, file, bucket, key)
	return errors.Join(err, file.Close(), root.Chmod(name, 0o644)) // the engine's umask must not matter
}

func (in *input) download(ctx context.Context, to io.Writer, bucket, key string) (int64, error) {
	get := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if in.source.Version != "" {
		get.VersionId = &in.source.Version
	}
	object, err := in.clients.objects.GetObject(ctx, get)
	if err != nil {
		return 0, err
	}
	defer object.Body.Close()
	return io.Copy(to, object.Body)
}

// readBuildspec parses the buildspec: inline text, an object in S3, or a file
// of the source.
func (b *build) readBuildspec(ctx context.Context) error {
	text := []byte(aws.ToString(b.document.Source.Buildspec))
	location := "/codebuild/readonly/buildspec.yml" // where an inline one is on AWS
	switch {
	case codebuild.InlineBuildspec(string(text)):
	case codebuild.BuildspecInS3(string(text)):
		location = string(text)
		var err error
		if text, err = b.downloadBuildspec(ctx, location); err != nil {
			return fmt.Errorf("%s: %s", location, answered(err))
		}
	default:
		name := strings.TrimPrefix(string(text), "./")
		if name == "" {
			name = "buildspec.yml"
		}
		location = filepath.Join(b.folder.source(), name)
		var err error
		if text, err = readInside(b.folder.source(), name); err != nil {
			return notThere(err, location)
		}
	}
	b.log.agent("YAML location is %s", location)
	parsed, err := spec.Parse(text)
	b.spec = parsed
	return err
}

func (b *build) downloadBuildspec(ctx context.Context, arn string) ([]byte, error) {
	bucket, key := codebuild.S3Location(arn)
	object, err := b.clients.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer object.Body.Close()
	return readBounded(object.Body, arn)
}

// readBounded reads a buildspec that is not too long.
func readBounded(from io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxBuildspec+1))
	if err == nil && len(text) > maxBuildspec {
		err = fmt.Errorf("%s has more than %d bytes", name, maxBuildspec)
	}
	return text, err
}

// readInside reads a file of the source; neither its name nor a link leads out.
func readInside(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if info, err := root.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readBounded(file, name)
}

// notThere words a missing buildspec as CodeBuild does.
func notThere(err error, location string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("stat %s: no such file or directory", location)
	}
	return err
}

// logRuntimes says that runtime-versions have no effect here.
func (b *build) logRuntimes() {
	if len(b.spec.Runtimes) == 0 {
		b.log.agent("No runtime version selected in buildspec.")
	}
	for _, runtime := range b.spec.Runtimes {
		b.log.agent("The local engine does not install %s %s: the build uses what this machine has", runtime.Name, runtime.Value)
	}
}
