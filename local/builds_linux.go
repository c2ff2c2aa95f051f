package local

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// openBuilds makes the folder of the builds' work folders. If the engine is
// root, it lies outside of the state directory, which no other user may enter:
// with run-as, a build runs commands as another user. Everybody may pass
// through it, and nobody may list it.
func (e *Engine) openBuilds() error {
	e.builds = e.path("builds")
	if os.Geteuid() != 0 {
		return nil
	}
	sum := sha256.Sum256([]byte(e.options.Dir))
	e.builds = filepath.Join(cmp.Or(os.Getenv("TMPDIR"), "/var/tmp"), "flexbuild-builds-"+hex.EncodeToString(sum[:6]))
	if err := os.Mkdir(e.builds, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create the folder of builds: %w", err)
	}
	info, err := os.Lstat(e.builds)
	if err != nil {
		return fmt.Errorf("look at the folder of builds: %w", err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || owner.Uid != 0 {
		return fmt.Errorf("the folder of builds %s is not a directory of root's: remove it", e.builds)
	}
	if err := os.Chmod(e.builds, 0o711); err != nil {
		return fmt.Errorf("open the folder of builds: %w", err)
	}
	e.onClose(func() error {
		_ = os.Remove(e.builds) // it is empty, unless a build left files behind
		return nil
	})
	return nil
}
