package standin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// dockerConfig returns the path of the file in which docker and buildx look for
// logins.
func dockerConfig(getenv func(string) string) string {
	dir := getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(getenv("HOME"), ".docker")
	}
	return filepath.Join(dir, "config.json")
}

// save adds the login to the file at path, under each of the registry's names,
// and keeps the file's other settings. Readers see the old file or the new one,
// and only this user can read either.
func (l login) save(path string, registries ...string) error {
	settings, err := readSettings(path)
	if err != nil {
		return err
	}
	auths := map[string]any{}
	if old, ok := settings["auths"].(map[string]any); ok {
		auths = old
	}
	for _, registry := range registries {
		auths[registry] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(l.user + ":" + l.password))}
	}
	settings["auths"] = auths
	text, err := json.MarshalIndent(settings, "", "\t")
	if err != nil {
		return err
	}
	return replaceFile(path, text)
}

func readSettings(path string) (map[string]any, error) {
	settings := map[string]any{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return settings, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &settings); err != nil {
		return nil, fmt.Errorf("%s is not a JSON object: %w", path, err)
	}
	if settings == nil { // the file contains null
		settings = map[string]any{}
	}
	return settings, nil
}

// replaceFile writes a file with mode 0600 under another name first, and then
// renames it.
func replaceFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".config-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // has no effect after success
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
