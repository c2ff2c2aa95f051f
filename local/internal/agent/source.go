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

// maxBuildspec bounds a buildspec file in a source, in bytes.
const maxBuildspec = 1 << 20

// downloadSource gets the source, reads its buildspec and prepares for the
// commands.
func (b *build) downloadSource(ctx context.Context) error {
	if err := b.fetch(ctx); err != nil {
		if failure, ok := errors.AsType[*phaseError](err); ok {
			b.log.text(failure.Error()) // as CodeBuild, which fetches before its agent runs, logs it
		}
		return err
	}
	b.log.agent("Phase is DOWNLOAD_SOURCE")
	b.log.agent("CODEBUILD_SRC_DIR=%s", b.folder.source())
	if err := b.readBuildspec(); err != nil {
		return &phaseError{"YAML_FILE_ERROR", err.Error()}
	}
	b.log.agent("Processing environment variables")
	if err := b.prepare(ctx); err != nil {
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

func (b *build) fetch(ctx context.Context) error {
	switch b.document.Source.Type {
	case types.SourceTypeNoSource:
		return nil
	case types.SourceTypeS3:
		return b.fetchObject(ctx)
	default:
		return b.fetchRepository(ctx)
	}
}

// sourceFailed is why a source could not be had, in CodeBuild's words.
func (b *build) sourceFailed(reason string) error {
	message := reason + " for primary source"
	if version := aws.ToString(b.document.SourceVersion); version != "" {
		message += " and source version " + version
	}
	return clientError(message)
}

// fetchObject downloads and unpacks a ZIP file, which the role must be allowed
// to read.
func (b *build) fetchObject(ctx context.Context) error {
	bucket, key := codebuild.S3Location(*b.document.Source.Location)
	archive, err := os.CreateTemp(b.folder.agent(), "source-*.zip")
	if err != nil {
		return err
	}
	defer os.Remove(archive.Name())
	defer archive.Close()
	size, err := b.download(ctx, archive, bucket, key)
	if err != nil {
		return clientError(fmt.Sprintf("%s for primary source and source version arn:aws:s3:::%s/%s", answered(err), bucket, key))
	}
	if err := unzip(ctx, archive, size, b.folder.source(), b.KeepAllOfZIP); err != nil && ctx.Err() == nil {
		return clientError(fmt.Sprintf("cannot unpack s3://%s/%s: %v", bucket, key, err))
	}
	return nil
}

func (b *build) download(ctx context.Context, to io.Writer, bucket, key string) (int64, error) {
	object, err := b.clients.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return 0, err
	}
	defer object.Body.Close()
	return io.Copy(to, object.Body)
}

// readBuildspec parses the buildspec: inline text, or a file of the source.
func (b *build) readBuildspec() error {
	text := []byte(aws.ToString(b.document.Source.Buildspec))
	location := "/codebuild/readonly/buildspec.yml" // where an inline one is on AWS
	if !codebuild.InlineBuildspec(string(text)) {
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
	text, err := io.ReadAll(io.LimitReader(file, maxBuildspec+1))
	if err == nil && len(text) > maxBuildspec {
		err = fmt.Errorf("%s has more than %d bytes", name, maxBuildspec)
	}
	return text, err
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
