package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/codebuild-flex/flexbuild/runner/internal/buildcontext"
)

// An upload is named by its content: PREFIX/SHA-256/DATE.zip. So a directory
// that has not changed is not uploaded again, nobody can take the source of a
// build away, and a build can verify that it got the source for which it was
// started. Only the bucket's expiry deletes an upload, days later, and nothing
// overwrites one. The day in the key gives a directory that is still in use a
// new upload before its last one expires.

// upload uploads the source if it is a directory that is not in the stack's
// source bucket yet. It returns the source with its place.
func (c *Client) upload(ctx context.Context, source prepared, emit func(Event)) (prepared, error) {
	if source.upload == nil {
		return source, nil
	}
	tree, err := source.upload.Scan(ctx)
	if err != nil {
		return source, cannotPack(err)
	}
	for _, name := range tree.Skipped {
		emit(note("%q is a socket or a device: it is not part of the upload", name))
	}
	var last lastUpload
	if source.remove == nil { // a temporary directory is never built again
		last = c.lastUpload(source.upload, tree)
	}
	var at uploaded
	if last.looksTheSame() {
		if at, err = c.readAndFind(ctx, tree, emit); err != nil {
			return source, err
		}
	}
	if at.key == "" {
		if at, err = c.packAndPut(ctx, tree, emit); err != nil {
			return source, err
		}
	}
	last.remember()
	emit(Event{Type: EventUploaded, Time: time.Now().UTC(), Files: tree.Files, Bytes: at.sent})
	source.location, source.sha256 = c.stack.SourceBucketName+"/"+at.key, at.digest
	return source, nil
}

// readAndFind looks for the tree in the bucket without packing it.
func (c *Client) readAndFind(ctx context.Context, tree *buildcontext.Tree, emit func(Event)) (at uploaded, err error) {
	var read meter
	var digest string
	withProgress(&read, Event{Type: EventPacking, Total: tree.Bytes}, emit, func() {
		digest, err = tree.Digest(ctx, read.add)
	})
	if err != nil {
		return uploaded{}, cannotPack(err)
	}
	return c.findUpload(ctx, digest, emit)
}

// cannotPack distinguishes mistakes of the caller from faults of the machine.
func cannotPack(err error) error {
	var content *buildcontext.ContentError
	if errors.As(err, &content) {
		return fmt.Errorf("%w: source: %w", ErrInvalidRequest, err)
	}
	return fmt.Errorf("pack the source: %w", err)
}

// uploaded is a directory in the source bucket.
type uploaded struct {
	digest string
	key    string    // "" if it is not there
	now    time.Time // by the service's clock
	sent   int64     // bytes of the upload; 0 if it was already there
}

// sourceMargin is how long before its expiry an upload is no longer used: a
// build may wait 8 hours in the queue and then has to download it. The wait for
// room in the queue (WithQueueWait) is added.
const sourceMargin = 9 * time.Hour

// findUpload looks for the newest upload with the digest, and returns it if it
// will last. Ages are by the service's clock, because this machine's clock may
// be wrong.
func (c *Client) findUpload(ctx context.Context, digest string, emit func(Event)) (uploaded, error) {
	prefix := c.stack.SourcePrefix + digest + "/"
	var out *s3.ListObjectsV2Output
	var err error
	withProgress(&meter{}, note("looking for the source in s3://%s/%s", c.stack.SourceBucketName, prefix), emit, func() {
		err = c.calls.retry(ctx, "ListObjectsV2", func(ctx context.Context) (err error) {
			out, err = c.objects.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &c.stack.SourceBucketName, Prefix: &prefix})
			return err
		})
	})
	if err != nil {
		return uploaded{}, explain(fmt.Sprintf("look for the source in s3://%s/%s", c.stack.SourceBucketName, prefix), err)
	}
	now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		return uploaded{}, fmt.Errorf("look for the source in s3://%s/%s: the answer has no date", c.stack.SourceBucketName, prefix)
	}
	found := uploaded{digest: digest, now: now}
	lasts := time.Duration(c.stack.SourceExpiryInDays)*24*time.Hour - sourceMargin - c.queueWait
	if newest := newestOf(prefix, out.Contents); newest != nil && now.Sub(*newest.LastModified) < lasts {
		found.key = *newest.Key
	}
	return found, nil
}

// newestOf returns the newest upload. An upload is named by its day. An object
// with another name was put there by somebody else and may hold anything.
func newestOf(prefix string, objects []s3types.Object) *s3types.Object {
	objects = slices.DeleteFunc(objects, func(o s3types.Object) bool {
		return o.LastModified == nil || *o.Key != uploadKey(prefix, *o.LastModified)
	})
	if len(objects) == 0 {
		return nil
	}
	newest := slices.MaxFunc(objects, func(a, b s3types.Object) int {
		return cmp.Or(a.LastModified.Compare(*b.LastModified), cmp.Compare(*a.Key, *b.Key))
	})
	return &newest
}

// uploadKey returns the key of an upload of the given day.
func uploadKey(prefix string, day time.Time) string {
	return prefix + day.UTC().Format("20060102") + ".zip"
}

// packAndPut packs the tree and uploads it, unless the packed tree is found in
// the bucket.
func (c *Client) packAndPut(ctx context.Context, tree *buildcontext.Tree, emit func(Event)) (uploaded, error) {
	file, err := c.pack(ctx, tree, emit)
	if err != nil {
		return uploaded{}, err
	}
	defer file.remove()
	at, err := c.findUpload(ctx, file.digest, emit)
	if err != nil || at.key != "" {
		return at, err
	}
	if file.size > largeUpload {
		emit(note("the upload has %s, most of it in %s: name what the build does not need in .dockerignore", megabytes(file.size), largestOf(tree)))
	}
	at.key = uploadKey(c.stack.SourcePrefix+file.digest+"/", at.now)
	isNew, err := c.put(ctx, at.key, file, emit)
	if isNew {
		at.sent = file.size
	}
	return at, err
}

// largeUpload is the size in bytes above which an upload gets a note.
const largeUpload = 100_000_000

func largestOf(tree *buildcontext.Tree) string {
	var paths []string
	for _, u := range tree.Largest(5) {
		paths = append(paths, fmt.Sprintf("%q (%s)", u.Path, megabytes(u.Bytes)))
	}
	return strings.Join(paths, ", ")
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// putPatience is how long a failed upload is repeated, and how long an upload
// waits for another one of the same content.
const putPatience = 2 * time.Minute

// put uploads the file unless there is an object with the key, and reports
// whether it did. An object with the key will last: S3 counts an object's days
// from the next midnight, and the key has today's date. An attempt whose answer
// is lost does no harm, because the next one finds the object.
func (c *Client) put(ctx context.Context, key string, file *packedFile, emit func(Event)) (isNew bool, err error) {
	var sent meter
	withProgress(&sent, Event{Type: EventUploading, Total: file.size}, emit, func() {
		began, wait := time.Now(), newBackoff(10*time.Second)
		for {
			err = c.putOnce(ctx, key, file, &sent)
			again := hasCode(err, "ConditionalRequestConflict") || isTransient(err)
			if !again || time.Since(began) > putPatience || sleep(ctx, wait.next()) != nil {
				return
			}
		}
	})
	switch {
	case hasCode(err, "PreconditionFailed"):
		return false, nil
	case err != nil:
		return false, explain(fmt.Sprintf("upload the source to s3://%s/%s", c.stack.SourceBucketName, key), err)
	}
	return true, nil
}

func (c *Client) putOnce(ctx context.Context, key string, file *packedFile, sent *meter) error {
	body := metered{file.File, sent}
	if _, err := body.Seek(0, 0); err != nil {
		return err
	}
	ctx, stop := whileMoving(ctx, sent)
	defer stop()
	err := c.calls.observe(ctx, "PutObject", func() error {
		_, err := c.objects.PutObject(ctx, &s3.PutObjectInput{
			Bucket:        &c.stack.SourceBucketName,
			Key:           &key,
			Body:          body,
			ContentLength: &file.size,
			ContentType:   aws.String("application/zip"),
			IfNoneMatch:   aws.String("*"),
		})
		return err
	})
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrUnreachable) {
		return cause
	}
	return err
}

// packedFile is an archive in a temporary file. S3 needs the length in advance,
// and a repeated attempt reads the file again.
type packedFile struct {
	*os.File
	size   int64
	digest string
}

func (f *packedFile) remove() {
	f.Close()
	os.Remove(f.Name())
}

func (c *Client) pack(ctx context.Context, tree *buildcontext.Tree, emit func(Event)) (*packedFile, error) {
	temp, err := os.CreateTemp("", "flexbuild-source-*.zip")
	if err != nil {
		return nil, fmt.Errorf("pack the source: %w", err)
	}
	file := &packedFile{File: temp}
	var packed meter
	withProgress(&packed, Event{Type: EventPacking, Total: tree.Bytes}, emit, func() {
		if file.digest, err = tree.WriteZip(ctx, temp, packed.add); err == nil {
			file.size, err = temp.Seek(0, 1)
		}
	})
	if err != nil {
		file.remove()
		return nil, cannotPack(err)
	}
	return file, nil
}
