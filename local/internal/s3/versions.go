package s3

import (
	"crypto/rand"
	"encoding/xml"
	"net/http"
	"strconv"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// The states of a bucket's versioning. It is "" until somebody sets it.
const (
	VersioningEnabled   = "Enabled"
	VersioningSuspended = "Suspended"
)

// nullVersion is how S3 names the version that has no id: one that was written
// while its bucket's versioning was not enabled.
const nullVersion = "null"

// The headers by which S3 reports versions.
const (
	versionHeader = "X-Amz-Version-Id"
	markerHeader  = "X-Amz-Delete-Marker"
)

// PutVersioning sets the state of a bucket's versioning: VersioningEnabled or
// VersioningSuspended.
func (s *Service) PutVersioning(name, state string) error {
	return s.changeBucket(name, func(b *bucket) { b.Versioning = state })
}

// versions returns the versions of a key, the newest first, given its entry.
func (o object) versions() []object {
	older := o.Older
	o.Older = nil
	return append([]object{o}, older...)
}

// id returns the version's id as S3 names it.
func (o object) id() string {
	if o.VersionID == "" {
		return nullVersion
	}
	return o.VersionID
}

// without returns the versions but for the one of the given id. There is at
// most one.
func without(versions []object, id string) []object {
	var rest []object
	for _, v := range versions {
		if v.id() != id {
			rest = append(rest, v)
		}
	}
	return rest
}

// add returns the versions with a new one, which gets the id that the bucket's
// versioning gives it. One without an id replaces another without.
func (b bucket) add(versions []object, o object) []object {
	if b.Versioning == VersioningEnabled {
		o.VersionID = rand.Text()
	}
	return append([]object{o}, without(versions, o.id())...)
}

// edit replaces the versions of a key by the result of change, and removes the
// files that none of them has any more.
func (s *Service) edit(bucket, key string, change func(versions []object) ([]object, error)) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	entry, found, err := s.objects.Get(objectKey(bucket, key))
	if err != nil {
		return err
	}
	var before []object
	if found {
		before = entry.versions()
	}
	after, err := change(before)
	if err != nil {
		return err
	}
	if len(after) == 0 {
		err = s.objects.Delete(objectKey(bucket, key))
	} else {
		entry = after[0]
		entry.Older = after[1:]
		err = s.objects.Put(objectKey(bucket, key), entry)
	}
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, v := range after {
		used[v.File] = true
	}
	for _, v := range before {
		if !used[v.File] {
			if err := s.removeFile(v.File); err != nil {
				return err
			}
		}
	}
	return nil
}

// find returns a version of a key, or its newest for "", and whether there is
// one. It may be a delete marker.
func (s *Service) find(bucket, key, version string) (object, bool, error) {
	entry, found, err := s.objects.Get(objectKey(bucket, key))
	if err != nil || !found {
		return object{}, false, err
	}
	for _, v := range entry.versions() {
		if version == "" || v.id() == version {
			return v, true, nil
		}
	}
	return object{}, false, nil
}

// setVersion answers with the id of a version, in a bucket that ever had any.
func (s *Service) setVersion(answer http.Header, bucket string, o object) error {
	b, _, err := s.buckets.Get(bucket)
	if err == nil && b.Versioning != "" {
		answer.Set(versionHeader, o.id())
		if o.Marker {
			answer.Set(markerHeader, "true")
		}
	}
	return err
}

// remove deletes the newest version of a key: in a bucket with versions by a
// delete marker, which it returns. As in S3, removing a missing key is not an
// error.
func (s *Service) remove(name, key string) (marker object, err error) {
	b, _, err := s.buckets.Get(name)
	if err != nil {
		return object{}, err
	}
	err = s.edit(name, key, func(versions []object) ([]object, error) {
		if b.Versioning == "" {
			return nil, nil
		}
		after := b.add(versions, object{Marker: true, Modified: s.Clock.Now().UTC()})
		marker = after[0]
		return after, nil
	})
	return marker, err
}

// removeVersion deletes one version for good, and returns it. Removing a
// missing one is not an error.
func (s *Service) removeVersion(bucket, key, version string) (removed object, err error) {
	if version != nullVersion {
		removed.VersionID = version
	}
	err = s.edit(bucket, key, func(versions []object) ([]object, error) {
		for _, v := range versions {
			if v.id() == version {
				removed = v
			}
		}
		return without(versions, version), nil
	})
	return removed, err
}

// delete deletes a version of a key, or adds a delete marker for "".
func (s *Service) delete(bucket, key, version string) (object, error) {
	if version == "" {
		return s.remove(bucket, key)
	}
	return s.removeVersion(bucket, key, version)
}

type versioningConfiguration struct {
	XMLName   xml.Name `xml:"VersioningConfiguration"`
	Namespace string   `xml:"xmlns,attr,omitempty"`
	Status    string   `xml:",omitempty"`
	MfaDelete string   `xml:",omitempty"`
}

func (s *Service) getBucketVersioning(w http.ResponseWriter, r request) error {
	b, _, err := s.buckets.Get(r.bucket)
	if err != nil {
		return err
	}
	return writeXML(w, versioningConfiguration{Namespace: "http://s3.amazonaws.com/doc/2006-03-01/", Status: b.Versioning})
}

func (s *Service) putBucketVersioning(_ http.ResponseWriter, r request) error {
	text, err := document(r.Request)
	if err != nil {
		return err
	}
	var asked versioningConfiguration
	switch err := xml.Unmarshal(text, &asked); {
	case err != nil || (asked.Status != VersioningEnabled && asked.Status != VersioningSuspended):
		return failure("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema: Status must be Enabled or Suspended")
	case asked.MfaDelete == VersioningEnabled:
		return failure("NotImplemented", "the local engine does not implement MfaDelete of s3:PutBucketVersioning")
	}
	return s.PutVersioning(r.bucket, asked.Status)
}

type listedVersion struct {
	Key, VersionId string
	IsLatest       bool
	LastModified   string
	ETag           string `xml:",omitempty"`
	Size           *int64 `xml:",omitempty"`
	StorageClass   string `xml:",omitempty"`
	Owner          struct{ ID string }
}

type versionListing struct {
	XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	Name, Prefix        string
	KeyMarker           string
	VersionIdMarker     string
	NextKeyMarker       string `xml:",omitempty"`
	NextVersionIdMarker string `xml:",omitempty"`
	MaxKeys             int
	EncodingType        string `xml:",omitempty"`
	IsTruncated         bool
	Version             []listedVersion
	DeleteMarker        []listedVersion
}

// listVersions answers ListObjectVersions: keys in order, and the versions of
// each from the newest to the oldest.
func (s *Service) listVersions(w http.ResponseWriter, r request) error {
	q := r.query
	l := &versionListing{
		Name: r.bucket, Prefix: q.Get("prefix"), KeyMarker: q.Get("key-marker"), VersionIdMarker: q.Get("version-id-marker"),
		MaxKeys: maxKeys, EncodingType: q.Get("encoding-type"),
	}
	if text := q.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return failure("InvalidArgument", "max-keys is %q, which must be a number from 0 to %d", text, maxKeys)
		}
		l.MaxKeys = min(n, maxKeys)
	}
	prefix := objectKey(r.bucket, l.Prefix)
	err := s.objects.Walk(prefix, objectKey(r.bucket, max(l.KeyMarker, l.Prefix)), func(e store.Entry[object]) bool {
		return l.add(e.Key[len(objectKey(r.bucket, "")):], e.Value.versions())
	})
	if err != nil {
		return err
	}
	l.encode()
	return writeXML(w, l)
}

// add puts the versions of a key into the listing. It reports false when the
// page is full.
func (l *versionListing) add(key string, versions []object) bool {
	passed := key != l.KeyMarker // whether the marker's version lies behind
	if key == l.KeyMarker && l.VersionIdMarker == "" {
		return true
	}
	for i, v := range versions {
		if !passed {
			passed = v.id() == l.VersionIdMarker
			continue
		}
		if len(l.Version)+len(l.DeleteMarker) == l.MaxKeys {
			l.IsTruncated = l.MaxKeys > 0
			return false
		}
		l.NextKeyMarker, l.NextVersionIdMarker = key, v.id()
		listed := listedVersion{Key: key, VersionId: v.id(), IsLatest: i == 0, LastModified: v.Modified.Format(timeFormat)}
		listed.Owner.ID = iam.AccountID
		if v.Marker {
			l.DeleteMarker = append(l.DeleteMarker, listed)
			continue
		}
		listed.ETag, listed.Size, listed.StorageClass = quote(v.ETag), &v.Size, "STANDARD"
		l.Version = append(l.Version, listed)
	}
	return true
}

// encode removes where the next page begins if there is none, and encodes keys
// if the caller asks for that.
func (l *versionListing) encode() {
	if !l.IsTruncated {
		l.NextKeyMarker, l.NextVersionIdMarker = "", ""
	}
	if l.EncodingType != "url" {
		return
	}
	for _, text := range []*string{&l.Prefix, &l.KeyMarker, &l.NextKeyMarker} {
		*text = encodeKey(*text)
	}
	for _, list := range [][]listedVersion{l.Version, l.DeleteMarker} {
		for i := range list {
			list[i].Key = encodeKey(list[i].Key)
		}
	}
}
