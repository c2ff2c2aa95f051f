package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/codebuild-flex/flexbuild/runner/internal/buildcontext"
)

// sourceObject is a directory that was uploaded. The zero value is none.
type sourceObject struct{ bucket, key string }

// location is the form that CodeBuild wants.
func (o sourceObject) location() string { return o.bucket + "/" + o.key }

// upload packs the source, if it is a directory, and sends it to the stack's
// source bucket.
func (c *Client) upload(ctx context.Context, source prepared, token string, emit func(Event)) (sourceObject, error) {
	if source.upload == nil {
		return sourceObject{}, nil
	}
	file, err := c.pack(ctx, source.upload, emit)
	if err != nil {
		return sourceObject{}, err
	}
	defer file.remove()
	for _, name := range file.summary.Skipped {
		emit(c.note("%s is a socket, a pipe or a device: it is not part of the upload", name))
	}
	object := sourceObject{c.stack.SourceBucketName, objectKey(c.stack.SourcePrefix, token, file.digest)}
	if err := c.put(ctx, object, file, emit); err != nil {
		return sourceObject{}, err
	}
	emit(Event{Type: EventUploaded, Time: c.clock.Now(), Files: file.summary.Files, Bytes: file.size})
	return object, nil
}

// objectKey is a new one with each token, so that no build can see another's
// source, and the same one when a Start is repeated: otherwise that would be
// another request to CodeBuild.
func objectKey(prefix, token, digest string) string {
	sum := sha256.Sum256([]byte(token + "\n" + digest))
	return prefix + hex.EncodeToString(sum[:16]) + ".zip"
}

func (c *Client) pack(ctx context.Context, source *buildcontext.Context, emit func(Event)) (file *packedFile, err error) {
	var packed meter
	c.whileTelling(&packed, Event{Type: EventPacking}, emit, func() {
		file, err = packToFile(ctx, source, &packed)
	})
	return file, err
}

func (c *Client) put(ctx context.Context, object sourceObject, file *packedFile, emit func(Event)) (err error) {
	var sent meter
	c.whileTelling(&sent, Event{Type: EventUploading, Total: file.size}, emit, func() {
		_, err = c.objects.PutObject(ctx, &s3.PutObjectInput{
			Bucket:        &object.bucket,
			Key:           &object.key,
			Body:          metered{file.File, &sent},
			ContentLength: &file.size,
			ContentType:   aws.String("application/zip"),
		})
	})
	if err != nil {
		return explain(fmt.Sprintf("upload the source to s3://%s", object.location()), err)
	}
	return nil
}

const discardTimeout = 10 * time.Second

// discard removes an uploaded source that has served. Whoever may not remove it
// leaves it to the bucket's expiry, so this cannot fail.
func (c *Client) discard(ctx context.Context, object sourceObject) {
	if object.key == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	_, _ = c.objects.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &object.bucket, Key: &object.key})
}

// packedFile is an archive in a temporary file: S3 wants to know the length
// beforehand, and a repeated attempt reads it again.
type packedFile struct {
	*os.File
	summary buildcontext.Summary
	size    int64
	digest  string
}

func (f *packedFile) remove() {
	f.Close()
	os.Remove(f.Name())
}

// maxUpload is what S3 takes in one PutObject.
const maxUpload = 5 << 30

func packToFile(ctx context.Context, source *buildcontext.Context, packed *meter) (*packedFile, error) {
	temp, err := os.CreateTemp("", "flexbuild-source-*.zip")
	if err != nil {
		return nil, fmt.Errorf("pack the source: %w", err)
	}
	file := &packedFile{File: temp}
	if err := file.pack(ctx, source, packed); err != nil {
		file.remove()
		return nil, err
	}
	return file, nil
}

func (f *packedFile) pack(ctx context.Context, source *buildcontext.Context, packed *meter) (err error) {
	hash := sha256.New()
	f.summary, err = source.WriteZip(ctx, io.MultiWriter(f.File, hash, packed))
	var content *buildcontext.ContentError
	switch {
	case errors.As(err, &content):
		return fmt.Errorf("%w: source: %w", ErrInvalidRequest, err)
	case err != nil:
		return fmt.Errorf("pack the source: %w", err)
	}
	f.digest = hex.EncodeToString(hash.Sum(nil))
	if f.size, err = f.Seek(0, io.SeekCurrent); err != nil {
		return fmt.Errorf("pack the source: %w", err)
	}
	if f.size > maxUpload {
		return invalid("the packed source has %d bytes, an upload at most %d: name what the build does not need in .dockerignore", f.size, int64(maxUpload))
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
