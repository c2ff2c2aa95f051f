package agent

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"runtime"
	"strconv"
)

// A user is who runs commands. The zero value is the engine's own user.
type user struct {
	name     string
	uid, gid int
}

// setpriv is the program of util-linux that runs a command as another user,
// without a shell or a session of that user.
const setpriv = "setpriv"

// commandAs returns a command that runs a program as a user, with the build's
// environment.
func (b *build) commandAs(u user, program string, args ...string) task {
	if u.name == "" {
		return b.command(program, args...)
	}
	change := []string{"--reuid=" + strconv.Itoa(u.uid), "--regid=" + strconv.Itoa(u.gid), "--init-groups", "--", lookUp(program, b.path())}
	return b.command(setpriv, append(change, args...)...)
}

// admitUsers looks up the users that the buildspec names in run-as and lets
// them into the work folder. It refuses those as whom the engine cannot run
// commands.
func (b *build) admitUsers(ctx context.Context) error {
	names := map[string]bool{b.spec.RunAs: true}
	for _, p := range b.spec.Phases {
		names[p.RunAs] = true
	}
	delete(names, "")
	b.users = map[string]user{}
	for name := range names {
		u, err := b.findUser(name)
		if err != nil {
			return &phaseError{"YAML_FILE_ERROR", fmt.Sprintf("run-as %s: %v", name, err)}
		}
		b.users[name] = u
	}
	for name, u := range b.users {
		if u.name == "" {
			continue
		}
		if err := b.grantRead(); err != nil {
			return err
		}
		if b.run(ctx, b.commandAs(u, "test", "-x", b.folder.source())) != nil && ctx.Err() == nil {
			return &phaseError{"YAML_FILE_ERROR", fmt.Sprintf("run-as %s: the user cannot enter %s: start the engine with a TMPDIR that every user can enter", name, b.folder.source())}
		}
	}
	return nil
}

// findUser returns a user of this machine. It is the zero value for the
// engine's own user.
func (b *build) findUser(name string) (user, error) {
	if runtime.GOOS != "linux" {
		return user{}, fmt.Errorf("the local engine runs commands as another user on Linux only")
	}
	found, err := osuser.Lookup(name)
	if err != nil {
		return user{}, fmt.Errorf("this machine has no such user: %w", err)
	}
	uid, err := strconv.Atoi(found.Uid)
	if err != nil {
		return user{}, err
	}
	gid, err := strconv.Atoi(found.Gid)
	switch {
	case err != nil:
		return user{}, err
	case uid == os.Geteuid():
		return user{}, nil
	case os.Geteuid() != 0:
		return user{}, fmt.Errorf("the local engine runs as the user %d, and only root runs commands as others: start it as root, or leave run-as out", os.Geteuid())
	case lookUp(setpriv, systemPath) == setpriv:
		return user{}, fmt.Errorf("the local engine needs the program %s for it: install util-linux", setpriv)
	}
	return user{name, uid, gid}, nil
}

// grantRead lets every user enter the work folder, and read and run what is in
// the sources. That is all: AWS documents "read and run permissions". They can
// write to the folder of temporary files.
func (b *build) grantRead() error {
	for _, dir := range []string{b.folder.root, b.folder.agent(), filepath.Join(b.folder.root, "secondary")} {
		if err := os.Chmod(dir, 0o711); err != nil {
			return err
		}
	}
	if err := os.Chmod(b.folder.temporary(), 0o777|fs.ModeSticky); err != nil {
		return err
	}
	for _, in := range b.inputs() {
		if err := filepath.WalkDir(in.dir, readable); err != nil {
			return err
		}
	}
	return nil
}

// readable gives everybody the owner's right to read and run a file, or to
// enter a directory.
func readable(path string, entry fs.DirEntry, err error) error {
	if err != nil || (!entry.IsDir() && !entry.Type().IsRegular()) {
		return err
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	allowed := info.Mode().Perm() & 0o500
	if entry.IsDir() {
		allowed = 0o500
	}
	return os.Chmod(path, info.Mode()|allowed>>3|allowed>>6)
}

// handOver gives the files between two commands, and the output, to the user
// who runs the next one.
func (b *build) handOver(script string) error {
	if len(b.users) == 0 || os.Geteuid() != 0 {
		return nil
	}
	for _, file := range []string{script, b.saved("environment"), b.saved("directory")} {
		if err := os.Chown(file, b.as.uid, b.as.gid); err != nil {
			return err
		}
	}
	return b.output.write.Chown(b.as.uid, b.as.gid) // so that /dev/stdout can be opened
}
