package ecr

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/uuid"
)

// An upload is a layer that is arriving, in one part or more. Its bytes go to a
// file and through the hash at once, never all into memory.
type upload struct {
	id         string
	repository string

	mu   sync.Mutex
	path string // of the file; empty when the upload is over
	hash hash.Hash
	size int64
}

// begin starts an upload to a repository.
func (l *layerStore) begin(repository string) (*upload, error) {
	u := &upload{id: uuid.NewString(), repository: repository, hash: sha256.New()}
	u.path = filepath.Join(l.dir, "uploads", u.id)
	if err := os.WriteFile(u.path, nil, 0o600); err != nil {
		return nil, fmt.Errorf("begin the upload of a layer: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uploads[u.id] = u
	return u, nil
}

// upload finds an upload that is under way.
func (l *layerStore) upload(repository, id string) (*upload, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.uploads[id]; u != nil && u.repository == repository {
		return u, nil
	}
	return nil, uploadNotFound(repository, id)
}

// append adds a part, which must start at offset start when that is not
// negative. Bytes of a part whose connection breaks count: the client asks
// where to go on.
func (u *upload) append(start int64, part io.Reader) (size int64, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.path == "" {
		return 0, uploadNotFound(u.repository, u.id)
	}
	if start >= 0 && start != u.size {
		return u.size, invalidLayerPart(u.size-1, "the part starts at byte %d, but the next byte of upload %s is %d", start, u.id, u.size)
	}
	file, err := os.OpenFile(u.path, os.O_APPEND|os.O_WRONLY, 0) // not kept open: clients give uploads up in silence
	if err != nil {
		return u.size, fmt.Errorf("write the part of a layer: %w", err)
	}
	n, err := io.Copy(io.MultiWriter(file, u.hash), part)
	u.size += n
	return u.size, errors.Join(err, file.Close())
}

// length is the number of bytes that have arrived.
func (u *upload) length() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.size
}

// finish makes the upload the repository's layer with that digest. It is over
// then, whether it succeeds or not.
func (l *layerStore) finish(u *upload, digest string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.path == "" {
		return uploadNotFound(u.repository, u.id)
	}
	temporary := l.end(u)
	defer os.Remove(temporary) // nothing is there after success
	if got := "sha256:" + hex.EncodeToString(u.hash.Sum(nil)); got != digest {
		return invalidLayer(
			"Layer digest does not match: the upload was declared as '%s' but its %d bytes have the digest '%s'", digest, u.size, got)
	}
	if err := os.Rename(temporary, l.path(digest)); err != nil {
		return fmt.Errorf("keep layer %s: %w", digest, err)
	}
	return l.sizes.Put(u.repository+"@"+digest, u.size)
}

// drop gives an upload up.
func (l *layerStore) drop(u *upload) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.path == "" {
		return uploadNotFound(u.repository, u.id)
	}
	return os.Remove(l.end(u))
}

// end makes an upload be over, and returns the path of its file. The caller
// holds u.mu.
func (l *layerStore) end(u *upload) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.uploads, u.id)
	path := u.path
	u.path = ""
	return path
}
