//go:build !linux

package local

// openBuilds names the folder of the builds' work folders.
func (e *Engine) openBuilds() error {
	e.builds = e.path("builds")
	return nil
}
