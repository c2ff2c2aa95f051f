package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// Stack is a deployed image builder: the name by which it was found, and its
// outputs.
type Stack struct {
	Name string
	buildspec.Outputs
}

// parseStack parses a builder's outputs and checks that this package can work
// with it.
func parseStack(name string, outputs map[string]string) (Stack, error) {
	parsed, err := buildspec.ParseOutputs(outputs)
	if err != nil {
		return Stack{}, fmt.Errorf("%w: %q: %w: deploy the stack again with the flexbuild of this program, or use the program that the stack was deployed with",
			ErrIncompatibleStack, name, err)
	}
	for _, key := range requiredOutputs {
		if outputs[key] == "" {
			return Stack{}, fmt.Errorf("%w: %q has no output %s: name a stack that flexbuild's construct made, or deploy it again", ErrIncompatibleStack, name, key)
		}
	}
	return Stack{name, parsed}, nil
}

// requiredOutputs are the outputs without which no build can be started.
var requiredOutputs = []string{
	buildspec.OutputContractVersion,
	buildspec.OutputProjectName,
	buildspec.OutputSourceBucketName,
	buildspec.OutputSourcePrefix,
	buildspec.OutputRegistry,
}

// withoutRegistry returns the tags without the stack's registry. A tag with
// another registry is refused, because builds push nowhere else.
func (s Stack) withoutRegistry(tags []string) ([]string, error) {
	bare := make([]string, len(tags))
	for i, tag := range tags {
		bare[i] = strings.TrimPrefix(tag, s.Registry+"/")
		if host := hostOf(bare[i]); host != "" && !s.allowsRepository(repositoryOf(bare[i])) {
			return nil, fmt.Errorf("%w: tag %q names the registry %s: builds of the stack %q push to %s: name that one, or none",
				ErrRepositoryNotAllowed, tag, host, s.Name, s.Registry)
		}
	}
	return bare, nil
}

// hostOf returns the part of a name that docker would take for the registry, if
// there is one. A repository may have a dot before its first slash too.
func hostOf(tag string) string {
	first, _, found := strings.Cut(tag, "/")
	if found && (first == "localhost" || strings.ContainsAny(first, ".:")) {
		return first
	}
	return ""
}

// allows returns an error for a tag to whose repository the stack's builds may
// not push.
func (s Stack) allows(tags []string) error {
	for _, tag := range tags {
		repository := repositoryOf(tag)
		if repository == s.CacheRepository && repository != "" {
			return fmt.Errorf("%w: tag %q names the repository of the stack's build caches, which an image would overwrite: use another", ErrRepositoryNotAllowed, tag)
		}
		if !s.allowsRepository(repository) {
			return fmt.Errorf("%w: tag %q: the stack %q allows %s: use one of these%s, or add %q to the stack and deploy it again",
				ErrRepositoryNotAllowed, tag, s.Name, s.allowed(), s.example(tag), repository)
		}
	}
	return nil
}

func (s Stack) allowsRepository(name string) bool {
	below, isBelow := strings.CutPrefix(name, s.RepositoryPrefix)
	return slices.Contains(s.RepositoryNames, name) || s.RepositoryPrefix != "" && isBelow && below != ""
}

// example returns the tag that is like the given one and allowed, as part of a
// sentence.
func (s Stack) example(tag string) string {
	if s.RepositoryPrefix == "" {
		return ""
	}
	return fmt.Sprintf(", such as %s%s", s.RepositoryPrefix, tag)
}

func (s Stack) allowed() string {
	all := slices.Clone(s.RepositoryNames)
	if s.RepositoryPrefix != "" {
		all = append(all, s.RepositoryPrefix+"*")
	}
	if len(all) == 0 {
		return "no repository"
	}
	return strings.Join(all, ", ")
}
