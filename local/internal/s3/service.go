package s3

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// Options are the settings of a Service. All are required.
type Options struct {
	Store  *store.Store
	Clock  clockwork.Clock
	Region string
	IAM    *iam.Service
	Dir    string // the folder of the objects' files, created if missing
}

type bucket struct {
	Name       string
	Created    time.Time
	Lifecycle  []Expiry
	Encryption Encryption
	Policy     json.RawMessage `json:",omitempty"` // nil for none
}

// An Expiry is a lifecycle rule: objects under Prefix are deleted after Days.
type Expiry struct {
	Prefix string
	Days   int
}

// An object is the entry of a key in the store, or of a part of a multipart
// upload.
type object struct {
	File     string // the name of its file
	Size     int64
	ETag     string // without quotes
	Modified time.Time
	Headers  map[string]string // Content-Type and others, x-amz-meta-… included
	Checksum map[string]string // by header name: "x-amz-checksum-crc32"
}

type upload struct {
	Bucket, Key string
	Headers     map[string]string
	Checksum    string // the name of its checksum's header; "" for none
	Type        string // of its checksum: composite or fullObject
}

// A Service keeps buckets and objects. It is safe for concurrent use.
type Service struct {
	Options
	buckets *store.Table[bucket]
	objects *store.Table[object] // by objectKey
	uploads *store.Table[upload] // by upload id
	parts   *store.Table[object] // by partKey
}

// New returns the service whose state is in options.Store and options.Dir.
func New(options Options) (*Service, error) {
	s := &Service{Options: options}
	if err := errors.Join(
		store.OpenTable(s.Store, "s3.buckets", &s.buckets),
		store.OpenTable(s.Store, "s3.objects", &s.objects),
		store.OpenTable(s.Store, "s3.uploads", &s.uploads),
		store.OpenTable(s.Store, "s3.parts", &s.parts),
	); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of S3 objects: %w", err)
	}
	return s, errors.Join(s.applyLifecycle(), s.removeOrphans())
}

func objectKey(bucket, key string) string { return bucket + "\x00" + key }

// AddBucket creates a bucket. It returns BucketAlreadyOwnedByYou if there is a
// bucket of that name.
func (s *Service) AddBucket(name string) error {
	if err := checkBucketName(name); err != nil {
		return err
	}
	_, err := s.buckets.Update(name, func(b bucket, found bool) (bucket, error) {
		if found {
			return b, failure("BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it: %s", name)
		}
		return bucket{Name: name, Created: s.Clock.Now().UTC()}, nil
	})
	return err
}

// HasBucket reports whether there is a bucket of that name.
func (s *Service) HasBucket(name string) (bool, error) {
	_, found, err := s.buckets.Get(name)
	return found, err
}

func checkBucketName(name string) error {
	allowed := func(r rune) bool { return strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-", r) }
	if len(name) < 3 || len(name) > 63 || strings.TrimFunc(name, allowed) != "" || strings.Trim(name, ".-") != name {
		return failure("InvalidBucketName", "The specified bucket is not valid: %q must be 3 to 63 of a-z, 0-9, '.' and '-', with a letter or digit at both ends", name)
	}
	return nil
}

// PutLifecycle sets a bucket's expiry rules, replacing the ones before.
func (s *Service) PutLifecycle(name string, rules []Expiry) error {
	return s.changeBucket(name, func(b *bucket) { b.Lifecycle = rules })
}

func (s *Service) changeBucket(name string, change func(*bucket)) error {
	_, err := s.buckets.Update(name, func(b bucket, found bool) (bucket, error) {
		if !found {
			return b, noSuchBucket(name)
		}
		change(&b)
		return b, nil
	})
	return err
}

// DeleteBucket removes an empty bucket and its unfinished uploads. It returns
// BucketNotEmpty for a bucket with objects. Removing a missing bucket is not an
// error.
func (s *Service) DeleteBucket(name string) error {
	empty := true
	err := s.objects.Walk(objectKey(name, ""), objectKey(name, ""), func(store.Entry[object]) bool {
		empty = false
		return false
	})
	if err != nil {
		return err
	}
	if !empty {
		return failure("BucketNotEmpty", "The bucket you tried to delete is not empty: %s", name)
	}
	uploads, err := s.uploads.List("")
	if err != nil {
		return err
	}
	for _, u := range uploads {
		if u.Value.Bucket != name {
			continue
		}
		if err := s.dropUpload(u.Key); err != nil {
			return err
		}
	}
	return s.buckets.Delete(name)
}

// Open opens an object for reading if the principal of ctx may s3:GetObject it.
// It returns NoSuchKey or NoSuchBucket for a missing one.
func (s *Service) Open(ctx context.Context, bucket, key string) (*os.File, error) {
	if err := s.authorize(ctx, bucket, "s3:GetObject", key); err != nil {
		return nil, err
	}
	file, _, err := s.open(bucket, key)
	return file, err
}

// open tries again when the object was replaced between looking it up and
// opening its file.
func (s *Service) open(bucket, key string) (*os.File, object, error) {
	for {
		o, err := s.lookUp(bucket, key)
		if err != nil {
			return nil, o, err
		}
		file, err := os.Open(s.path(o.File))
		if err == nil {
			return file, o, nil
		}
		again, lookErr := s.lookUp(bucket, key)
		if lookErr != nil || again.File == o.File {
			return nil, o, cmp.Or(lookErr, err)
		}
	}
}

func (s *Service) lookUp(bucket, key string) (object, error) {
	if err := s.requireBucket(bucket); err != nil {
		return object{}, err
	}
	o, found, err := s.objects.Get(objectKey(bucket, key))
	if err == nil && !found {
		err = failure("NoSuchKey", "The specified key does not exist: %s", key)
	}
	return o, err
}

func (s *Service) requireBucket(name string) error {
	_, found, err := s.buckets.Get(name)
	if err == nil && !found {
		err = noSuchBucket(name)
	}
	return err
}

// replace stores o under a key if the condition holds, and removes the former
// object's file. If several writes at the same time require a new object, the
// first complete one wins.
func (s *Service) replace(bucket, key string, o object, c condition) error {
	var old object
	_, err := s.objects.Update(objectKey(bucket, key), func(was object, found bool) (object, error) {
		if c == ifNew && found {
			return was, errPrecondition
		}
		old = was
		return o, nil
	})
	if err != nil {
		return errors.Join(err, s.removeFile(o.File))
	}
	return s.removeFile(old.File)
}

// remove deletes a key. As in S3, removing a missing key is not an error.
func (s *Service) remove(bucket, key string) error {
	o, found, err := s.objects.Get(objectKey(bucket, key))
	if err != nil || !found {
		return err
	}
	return errors.Join(s.objects.Delete(objectKey(bucket, key)), s.removeFile(o.File))
}

func (s *Service) path(file string) string { return filepath.Join(s.Dir, file) }

func (s *Service) removeFile(file string) error {
	if file == "" {
		return nil
	}
	if err := os.Remove(s.path(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// newFile creates an empty file with a name that was never used.
func (s *Service) newFile() (*os.File, error) {
	return os.OpenFile(s.path(rand.Text()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func (s *Service) applyLifecycle() error {
	buckets, err := s.buckets.List("")
	if err != nil {
		return err
	}
	for _, b := range buckets {
		for _, rule := range b.Value.Lifecycle {
			if err := s.expire(b.Key, rule); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) expire(bucket string, rule Expiry) error {
	oldest := s.Clock.Now().AddDate(0, 0, -rule.Days)
	entries, err := s.objects.List(objectKey(bucket, rule.Prefix))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Value.Modified.After(oldest) {
			continue
		}
		if err := s.objects.Delete(e.Key); err != nil { // its file goes as an orphan
			return err
		}
	}
	return nil
}

// removeOrphans removes the files that no object points at: what a killed
// engine left behind. Unfinished multipart uploads do not survive a restart.
func (s *Service) removeOrphans() error {
	if err := errors.Join(s.uploads.DeletePrefix(""), s.parts.DeletePrefix("")); err != nil {
		return err
	}
	entries, err := s.objects.List("")
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, e := range entries {
		used[e.Value.File] = true
	}
	files, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if used[f.Name()] {
			continue
		}
		if err := s.removeFile(f.Name()); err != nil {
			return err
		}
	}
	return nil
}

func bucketARN(bucket string) string      { return "arn:aws:s3:::" + bucket }
func objectARN(bucket, key string) string { return bucketARN(bucket) + "/" + key }
