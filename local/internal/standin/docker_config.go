package standin

import (
	"path/filepath"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
)

// dockerConfig returns the folder in which docker and buildx look for logins.
func dockerConfig(getenv func(string) string) string {
	if dir := getenv(config.EnvOverrideConfigDir); dir != "" {
		return dir
	}
	return filepath.Join(getenv("HOME"), ".docker")
}

// save adds the login to docker's configuration in dir, under each of the
// registry's names, as docker does.
func (l login) save(dir string, registries ...string) error {
	file, err := config.Load(dir)
	if err != nil {
		return err
	}
	for _, registry := range registries {
		file.AuthConfigs[registry] = types.AuthConfig{Username: l.user, Password: l.password}
	}
	return file.Save()
}
