package standin

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/pflag"
)

// An imageBuild is what a call of docker build asks for.
type imageBuild struct {
	tags    []name.Tag
	pull    bool     // no image of the build's own is a base image
	idFile  string   // for the image's id; "" for none
	flags   []string // of buildx, for the rest
	context string   // folder, URL, or - for stdin
}

// runBuild builds an image with buildx and BuildKit, and keeps it where docker
// push and docker tag find it.
func runBuild(ctx context.Context, in invocation) int {
	b, err := parseBuild(in.args[1:])
	if err != nil {
		return in.fail(exitRefused, "docker: %v", err)
	}
	buildx, found := in.real("buildx")
	host := in.getenv("BUILDKIT_HOST")
	if !found || host == "" {
		return in.fail(1, "ERROR: %s", noDaemon)
	}
	store := storeOf(in.getenv)
	mark := rand.Text()
	err = in.withBuilder(ctx, buildx, host, func(builder []string) error {
		args, err := b.arguments(store, mark)
		if err != nil {
			return err
		}
		return in.command(ctx, builder, buildx, args...).Run()
	})
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1) // buildx has said why
	}
	if err == nil {
		err = in.keep(b, store, mark)
	}
	if err != nil {
		return in.fail(1, "ERROR: %v", err)
	}
	return 0
}

// The flags of docker build that buildx gets, by how they are given, and those
// that change nothing where BuildKit builds.
var (
	switches = []string{"no-cache", "pull", "quiet"}
	values   = []string{"file", "platform", "progress", "target"}
	lists    = []string{"build-arg", "cache-from", "label", "secret"}
	ignored  = []string{"compress", "force-rm", "rm"}

	shorthands = map[string]string{"file": "f", "quiet": "q"}
)

// parseBuild parses docker build's flags.
func parseBuild(args []string) (imageBuild, error) {
	var b imageBuild
	flags := pflag.NewFlagSet("docker build", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	tags := flags.StringArrayP("tag", "t", nil, "")
	flags.StringVar(&b.idFile, "iidfile", "", "")
	for _, flag := range slices.Concat(switches, ignored) {
		flags.BoolP(flag, shorthands[flag], false, "")
	}
	for _, flag := range values {
		flags.StringP(flag, shorthands[flag], "", "")
	}
	for _, flag := range lists {
		flags.StringArray(flag, nil, "")
	}
	if err := flags.Parse(args); err != nil {
		return b, notDone(fmt.Sprintf("docker build (%v)", err))
	}
	return b, b.read(flags, *tags)
}

func (b *imageBuild) read(flags *pflag.FlagSet, tags []string) error {
	for _, tag := range tags {
		parsed, err := name.NewTag(tag)
		if err != nil {
			return fmt.Errorf("invalid tag %q: %w", tag, err)
		}
		b.tags = append(b.tags, parsed)
	}
	if platform := flags.Lookup("platform").Value.String(); strings.Contains(platform, ",") {
		return notDone("docker build --platform " + platform)
	}
	if flags.NArg() != 1 {
		return errors.New(`"docker build" requires exactly 1 argument`)
	}
	b.context = flags.Arg(0)
	b.pull = flags.Lookup("pull").Value.String() == "true"
	for _, flag := range slices.Concat(switches, values, lists) {
		if flags.Changed(flag) {
			b.flags = append(b.flags, again(flags.Lookup(flag))...)
		}
	}
	return nil
}

// again returns a flag as it can be given again.
func again(flag *pflag.Flag) []string {
	values := []string{flag.Value.String()}
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	for i := range values {
		values[i] = "--" + flag.Name + "=" + values[i]
	}
	return values
}

// arguments returns buildx's. The image gets the media types that docker
// pushes, and no attestations, which it does not make. An image that the build
// has built before is a base image by its name, as in docker.
func (b imageBuild) arguments(store imageStore, mark string) ([]string, error) {
	output, err := asCSV("type=oci", "tar=false", "oci-mediatypes=false", "dest="+string(store), "name=stand-in:"+mark)
	if err != nil {
		return nil, err
	}
	args := append([]string{"build", "--output=" + output, "--provenance=false"}, b.flags...)
	names, err := store.names()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if !b.pull {
			args = append(args, fmt.Sprintf("--build-context=%s=oci-layout://%s@%s", n.Name, store, n.Digest))
		}
	}
	return append(args, "--", b.context), nil
}

// asCSV joins the fields of one of buildx's options.
func asCSV(fields ...string) (string, error) {
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	err := w.Write(fields)
	w.Flush()
	return strings.TrimSuffix(text.String(), "\n"), errors.Join(err, w.Error())
}

// withBuilder calls do with the environment of a buildx that builds with the
// BuildKit at an address.
func (in invocation) withBuilder(ctx context.Context, buildx, address string, do func(environment []string) error) error {
	dir, err := os.MkdirTemp("", "docker-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	environment := []string{"BUILDX_CONFIG=" + dir, "BUILDX_BUILDER=stand-in"}
	create := in.command(ctx, environment, buildx, "create", "--name=stand-in", "--driver=remote", address)
	create.Stdin, create.Stdout = nil, nil
	if err := create.Run(); err != nil {
		return fmt.Errorf("use the BuildKit at %s: %w", address, err)
	}
	return do(environment)
}

func (in invocation) command(ctx context.Context, environment []string, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in.stdin, in.stdout, in.stderr
	cmd.Env = append(os.Environ(), environment...)
	return cmd
}

// keep names the image that was built, and writes its id where it was asked
// for. buildx has printed it if the build is quiet.
func (in invocation) keep(b imageBuild, store imageStore, mark string) error {
	digest, err := store.built(mark)
	if err != nil {
		return err
	}
	for _, tag := range b.tags {
		if err := store.name(tag, digest); err != nil {
			return err
		}
	}
	if b.idFile == "" {
		return nil
	}
	id, err := store.config(digest)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Clean(b.idFile), []byte(id.String()), 0o644)
}
