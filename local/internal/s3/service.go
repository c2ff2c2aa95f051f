package s3

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	Document   json.RawMessage `json:",omitempty"` // its policy; nil for none
	Policy     json.RawMessage `json:",omitempty"` // what the engine enforces of it; nil for nothing
	Tags       map[string]string
	Versioning string `json:",omitempty"` // VersioningEnabled, VersioningSuspended, or "" if it never had any
}

// An Expiry is a lifecycle rule: objects under Prefix are deleted after Days.
type Expiry struct {
	Prefix string
	Days   int
}

// An object is the entry of a key in the store, which is its newest version, or
// that of a part of a multipart upload.
type object struct {
	File     string // the name of its file
	Size     int64
	ETag     string // without quotes
	Modified time.Time
	Headers  map[string]string // Content-Type and others, x-amz-meta-… included
	Checksum map[string]string // by header name: "x-amz-checksum-crc32"

	VersionID string   `json:",omitempty"` // "" for the version without an id
	Marker    bool     `json:",omitempty"` // whether it says that the key was deleted
	Older     []object `json:",omitempty"` // in a key's entry: the versions before, from the newest to the oldest
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
	editing sync.Mutex           // held while the versions of a key change
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
	switch {
	case len(name) < 3 || len(name) > 63 || strings.TrimFunc(name, allowed) != "" || strings.Trim(name, ".-") != name:
		return failure("InvalidBucketName", "The specified bucket is not valid: %q must be 3 to 63 of a-z, 0-9, '.' and '-', with a letter or digit at both ends", name)
	case strings.Contains(name, "..") || net.ParseIP(name) != nil || strings.HasPrefix(name, "xn--"):
		return failure("InvalidBucketName", "The specified bucket is not valid: %q must not contain two periods in a row, be an IP address, or begin with xn--", name)
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
	file, _, err := s.open(bucket, key, "")
	return file, err
}

// open opens a version of an object, or the newest for "". It tries again when
// the object was replaced between looking it up and opening its file.
func (s *Service) open(bucket, key, version string) (*os.File, object, error) {
	for {
		o, err := s.lookUp(bucket, key, version)
		if err != nil {
			return nil, o, err
		}
		file, err := os.Open(s.path(o.File))
		if err == nil {
			return file, o, nil
		}
		again, lookErr := s.lookUp(bucket, key, version)
		if lookErr != nil || again.File == o.File {
			return nil, o, cmp.Or(lookErr, err)
		}
	}
}

// lookUp returns a version of an object, or the newest for "". With an error
// it returns the delete marker that is the reason.
func (s *Service) lookUp(bucket, key, version string) (object, error) {
	if err := s.requireBucket(bucket); err != nil {
		return object{}, err
	}
	o, found, err := s.find(bucket, key, version)
	switch {
	case err != nil:
		return o, err
	case version == "" && (!found || o.Marker):
		return o, failure("NoSuchKey", "The specified key does not exist: %s", key)
	case !found:
		return o, failure("NoSuchVersion", "The specified version does not exist: %s of %s", version, key)
	case o.Marker:
		return o, failure("MethodNotAllowed", "The specified method is not allowed against this resource: version %s of %s is a delete marker", version, key)
	}
	return o, nil
}

func (s *Service) requireBucket(name string) error {
	_, found, err := s.buckets.Get(name)
	if err == nil && !found {
		err = noSuchBucket(name)
	}
	return err
}

// replace stores o under a key if the condition holds, and returns it with the
// id of its version. If several writes at the same time require a new object,
// the first complete one wins.
func (s *Service) replace(name, key string, o object, c condition) (object, error) {
	b, _, err := s.buckets.Get(name)
	if err == nil {
		err = s.edit(name, key, func(versions []object) ([]object, error) {
			if c == ifNew && len(versions) > 0 && !versions[0].Marker {
				return nil, errPrecondition
			}
			after := b.add(versions, o)
			o = after[0]
			return after, nil
		})
	}
	if err != nil {
		return o, errors.Join(err, s.removeFile(o.File))
	}
	return o, nil
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
		if e.Value.Marker || e.Value.Modified.After(oldest) {
			continue
		}
		if _, err := s.remove(bucket, e.Key[len(objectKey(bucket, "")):]); err != nil {
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
		for _, v := range e.Value.versions() {
			used[v.File] = true
		}
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
