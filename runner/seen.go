package runner

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"

	"github.com/codebuild-flex/flexbuild/runner/internal/buildcontext"
)

// lastUpload records how a directory looked when it was last known to be in the
// bucket. The record only decides the order of the work. A directory that looks
// the same is hashed first, without compressing it, because it will probably be
// found in the bucket. Any other directory is packed at once, so that its files
// are read only once. Its contents are hashed in both cases.
type lastUpload struct {
	file        string // in the user's cache directory; "" if there is none
	fingerprint string // of the directory now
}

func (c *Client) lastUpload(source *buildcontext.Context, tree *buildcontext.Tree) lastUpload {
	cache, errCache := os.UserCacheDir()
	dir, errDir := filepath.Abs(source.Path())
	if errCache != nil || errDir != nil {
		return lastUpload{}
	}
	id := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", dir, source.Dockerfile, c.stack.SourceBucketName, c.stack.SourcePrefix))
	return lastUpload{filepath.Join(cache, "flexbuild", "sources", fmt.Sprintf("%x", id)), tree.Fingerprint()}
}

// looksTheSame reports whether nothing seems to have changed. An unreadable
// record counts as none.
func (l lastUpload) looksTheSame() bool {
	text, err := os.ReadFile(l.file)
	return err == nil && string(text) == l.fingerprint
}

// remember writes the record. If it cannot be written, only the next upload is
// slower, so errors are ignored.
func (l lastUpload) remember() {
	if l.file == "" || os.MkdirAll(filepath.Dir(l.file), 0o700) != nil {
		return
	}
	_ = os.WriteFile(l.file, []byte(l.fingerprint), 0o600)
}
