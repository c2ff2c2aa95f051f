package standin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// runPush pushes images that the build has built. It has no time limit of its
// own: the build's ends it, as on AWS.
func runPush(ctx context.Context, in invocation) int {
	var quiet, all bool
	words, err := parseFlags(in.args[1:], nil, map[string]*bool{"--quiet": &quiet, "-q": &quiet, "--all-tags": &all, "-a": &all})
	if err != nil {
		return in.fail(exitRefused, "docker: %v", err)
	}
	if len(words) != 1 {
		return in.fail(1, `"docker push" requires exactly 1 argument.`)
	}
	images, err := in.toPush(words[0], all, !quiet)
	for _, image := range images {
		if err == nil {
			err = in.push(ctx, image, quiet)
		}
	}
	if err != nil {
		return in.fail(1, "%v", err)
	}
	return 0
}

// toPush returns the names to push: the one given, or all of its repository. It
// says what docker says before.
func (in invocation) toPush(text string, all, say bool) ([]namedImage, error) {
	tag, err := name.NewTag(text)
	if err != nil {
		return nil, fmt.Errorf("invalid reference format: %w", err)
	}
	repository := tag.Repository
	tagged := strings.HasSuffix(text, ":"+tag.TagStr())
	if all && tagged {
		return nil, errors.New("tag can't be used with --all-tags/-a")
	}
	if say && !all && !tagged {
		fmt.Fprintln(in.stdout, "Using default tag: latest")
	}
	if say {
		fmt.Fprintf(in.stdout, "The push refers to repository [%s]\n", repository.Name())
	}
	names, err := storeOf(in.getenv).names()
	if err != nil {
		return nil, err
	}
	var found []namedImage
	for _, n := range names {
		if n.Name == tag.Name() || all && strings.HasPrefix(n.Name, repository.Name()+":") {
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("An image does not exist locally with the tag: %s", repository.Name())
	}
	return found, nil
}

// push pushes one image with the login that docker login saved for its
// registry.
func (in invocation) push(ctx context.Context, n namedImage, quiet bool) error {
	tag, err := name.NewTag(n.Name)
	if err != nil {
		return err
	}
	image, err := storeOf(in.getenv).image(n.Digest)
	if err != nil {
		return err
	}
	login, err := authn.DefaultKeychain.Resolve(tag.Registry)
	if err != nil {
		return err
	}
	to, err := in.registry.reference(tag)
	if err != nil {
		return err
	}
	err = remote.Write(to, image, remote.WithContext(ctx), remote.WithAuth(login))
	if isSilent(err) { // docker asks for an upload then, and prints the answer
		err = cmp.Or(remote.CheckPushPermission(to, loggedIn{login}, remote.DefaultTransport), err)
	}
	if err != nil {
		return answered(err)
	}
	return in.pushed(tag, image, quiet)
}

// A loggedIn is the keychain of one login.
type loggedIn struct{ authn.Authenticator }

// Resolve implements authn.Keychain.
func (l loggedIn) Resolve(authn.Resource) (authn.Authenticator, error) { return l.Authenticator, nil }

// pushed prints docker's last line of a push.
func (in invocation) pushed(tag name.Tag, image v1.Image, quiet bool) error {
	if quiet {
		fmt.Fprintln(in.stdout, tag.Name())
		return nil
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	size, err := image.Size()
	fmt.Fprintf(in.stdout, "%s: digest: %s size: %d\n", tag.TagStr(), digest, size)
	return err
}
