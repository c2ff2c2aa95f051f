package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
	"github.com/codebuild-flex/flexbuild/local/internal/wire"
)

var (
	// ErrNotRunning is returned by ReadEndpoint if no engine uses the
	// directory.
	ErrNotRunning = errors.New("the local engine is not running")
	// ErrRunning is returned by Start if another engine uses the directory.
	ErrRunning = errors.New("a local engine is already running")
)

// An Endpoint is the address of an engine with the keys to it. It contains a
// secret.
type Endpoint struct {
	URL             string `json:"url"` // "http://127.0.0.1:PORT"
	Region          string `json:"region"`
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	PID             int    `json:"pid"` // of the engine's process
}

// Config returns a configuration that points the SDK at the engine.
func (e Endpoint) Config() aws.Config {
	return aws.Config{
		Region:       e.Region,
		BaseEndpoint: aws.String(e.URL),
		HTTPClient:   wire.NewHTTPClient(),
		Credentials:  credentials.NewStaticCredentialsProvider(e.AccessKeyID, e.SecretAccessKey, ""),
	}
}

// Env returns variables, in the form NAME=value, that point any AWS client at
// the engine. AWS_SESSION_TOKEN is empty, so that a token of other keys has no
// effect. The configuration files of the AWS CLI are set to nothing, because
// they can name endpoints too, or say that those of the environment are to be
// ignored.
func (e Endpoint) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + e.URL,
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false",
		"AWS_ACCESS_KEY_ID=" + e.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + e.SecretAccessKey,
		"AWS_SESSION_TOKEN=",
		"AWS_REGION=" + e.Region,
		"AWS_DEFAULT_REGION=" + e.Region,
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	}
}

func newEndpoint(listener net.Listener, region string, identities *iam.Service) (Endpoint, error) {
	key, err := identities.RootCredentials()
	return Endpoint{
		URL: "http://" + listener.Addr().String(), Region: region, PID: os.Getpid(),
		AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretAccessKey,
	}, err
}

func endpointPath(dir string) string { return filepath.Join(dir, "endpoint.json") }
func statePath(dir string) string    { return filepath.Join(dir, "state.db") }

// announce writes the endpoint to the file where ReadEndpoint finds it, until
// the engine closes.
func (e *Engine) announce(context.Context) error {
	data, err := json.MarshalIndent(e.endpoint, "", "  ")
	if err != nil {
		return err
	}
	path := endpointPath(e.options.Dir)
	e.onClose(func() error {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return replaceFile(path, append(data, '\n'))
}

// ReadEndpoint returns the endpoint of the engine that uses dir. It returns
// ErrNotRunning if there is none, also if an engine was killed and left its
// endpoint behind.
func ReadEndpoint(dir string) (Endpoint, error) {
	var e Endpoint
	data, err := os.ReadFile(endpointPath(dir))
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !locked(statePath(dir))) {
		return e, fmt.Errorf("%w in %s: start it with `flexbuild local`", ErrNotRunning, dir)
	}
	if err != nil {
		return e, fmt.Errorf("read the local engine's endpoint: %w", err)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("read the local engine's endpoint, %s: %w", endpointPath(dir), err)
	}
	return e, nil
}

// runningPID returns the process id of the engine of dir, as far as it is
// known.
func runningPID(dir string) string {
	if e, err := ReadEndpoint(dir); err == nil {
		return fmt.Sprintf(" (process %d)", e.PID)
	}
	return ""
}

// checkRegion returns an error if the directory was used with another region,
// because ARNs in it contain the region.
func checkRegion(db *store.Store, region string) error {
	settings, err := store.NewTable[string](db, "settings")
	if err != nil {
		return err
	}
	began, err := settings.Update("region", func(old string, found bool) (string, error) {
		if found {
			return old, nil
		}
		return region, nil
	})
	if err == nil && began != region {
		err = fmt.Errorf("the state directory was begun for region %s and cannot serve %s: choose another directory, or that region", began, region)
	}
	return err
}

// DefaultDir returns the state directory of this user's engine:
// $XDG_STATE_HOME/flexbuild, or ~/.local/state/flexbuild.
func DefaultDir() string {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "flexbuild")
	}
	home, err := os.UserHomeDir()
	if err != nil { // no HOME: a daemon's environment, or a container's
		home = os.TempDir()
	}
	return filepath.Join(home, ".local", "state", "flexbuild")
}
