package standin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// A Registry is a registry that builds reach at another address than its name
// says.
type Registry struct {
	Host    string // its name on AWS: "ACCOUNT.dkr.ecr.REGION.amazonaws.com"
	Address string // host:port at which the engine serves it
}

// served returns the host to connect to for a registry's name.
func (r Registry) served(host string) string {
	if host == r.Host {
		return cmp.Or(r.Address, host)
	}
	return host
}

// reference returns the reference to connect to for an image's name.
func (r Registry) reference(tag name.Tag) (name.Tag, error) {
	host := tag.RegistryStr()
	return name.NewTag(r.served(host) + strings.TrimPrefix(tag.Name(), host))
}

// registryFile is the file, beside the links to the machine's own tools, with
// the Registry that Install was given.
const registryFile = "registry.json"

func (r Registry) install(dir string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, realDir, registryFile), text, 0o644)
}

// installedRegistry reads the file of Install beside the running stand-in.
func installedRegistry() (r Registry, err error) {
	self, err := exec.LookPath(os.Args[0]) // os.Executable would return the engine's path
	if err != nil {                        // and realTool finds nothing either
		return r, nil
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(self), realDir, registryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// isSilent reports whether a registry refused access and did not say to what,
// because an answer to HEAD has no text.
func isSilent(err error) bool {
	refused, ok := errors.AsType[*transport.Error](err)
	return ok && refused.StatusCode == http.StatusForbidden && len(refused.Errors) == 0
}

// answered returns what a registry answered, in docker's words: "denied: User:
// … is not authorized to perform: ecr:PutImage on …".
func answered(err error) error {
	refused, ok := errors.AsType[*transport.Error](err)
	switch {
	case isSilent(err):
		return errors.New("denied: requested access to the resource is denied")
	case !ok || len(refused.Errors) == 0:
		return err
	}
	first := refused.Errors[0]
	return fmt.Errorf("%s: %s", strings.ToLower(strings.ReplaceAll(string(first.Code), "_", " ")), first.Message)
}
