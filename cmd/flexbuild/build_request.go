package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/runner"
)

// request returns the request that the flags describe.
func (o *buildOptions) request(source string) (runner.Request, error) {
	parsed, err := o.source(source)
	if err != nil {
		return runner.Request{}, err
	}
	file, err := o.dockerfile(parsed)
	if err != nil {
		return runner.Request{}, err
	}
	buildArgs, err := pairs("--build-arg", o.buildArgs, os.LookupEnv)
	if err != nil {
		return runner.Request{}, err
	}
	secrets, err := secretNames(o.secrets)
	if err != nil {
		return runner.Request{}, err
	}
	provenance, err := provenanceOf(o.provenance)
	if err != nil {
		return runner.Request{}, err
	}
	sbom, err := strconv.ParseBool(o.sbom)
	if err != nil {
		return runner.Request{}, usagef("--sbom %q: give true or false; the generator is BuildKit's own", o.sbom)
	}
	noValue := func(string) (string, bool) { return "", true }
	labels, err := pairs("--label", o.labels, noValue)
	if err != nil {
		return runner.Request{}, err
	}
	return runner.Request{
		Source:     parsed,
		Tags:       o.tags,
		Dockerfile: file,
		Target:     o.stage,
		BuildArgs:  buildArgs,
		Secrets:    secrets,
		Labels:     labels,
		Platforms:  o.platforms,
		Pull:       o.pull,
		NoCache:    o.noCache,
		Provenance: provenance,
		SBOM:       sbom,
		Size:       runner.Size(o.size),
		Timeout:    o.timeout,
	}, nil
}

func (o *buildOptions) source(text string) (runner.Source, error) {
	if text == "-" && o.stdin != nil {
		if o.gitToken != "" {
			return nil, usagef("--git-token needs a git URL, and %q is stdin", text)
		}
		return o.stdin.source(o.file)
	}
	source, err := runner.ParseSource(text)
	if err != nil || o.gitToken == "" {
		return source, err
	}
	git, isGit := source.(runner.Git)
	if !isGit {
		return nil, usagef("--git-token needs a git URL, and %q is a directory", text)
	}
	git.Token = o.gitToken
	return git, nil
}

// dockerfile returns the path of the Dockerfile. As with docker, --file is
// relative to the working directory if the source is a directory.
func (o *buildOptions) dockerfile(source runner.Source) (string, error) {
	_, isDir := source.(runner.Dir)
	switch {
	case o.file == "-" && (!isDir || o.stdin == nil):
		return "", usagef("--file -: only \"flexbuild build DIRECTORY\" reads the Dockerfile from stdin: name a file")
	case o.file == "-":
		return o.stdin.dockerfile()
	case !isDir, o.file == "", strings.Contains(o.file, "://"):
		return o.file, nil // Start refuses a URL
	}
	return filepath.Abs(o.file)
}

// provenanceOf parses buildx's values. If no mode is named, the mode is max, as
// in BuildKit.
func provenanceOf(text string) (buildspec.Provenance, error) {
	if on, err := strconv.ParseBool(text); err == nil {
		if on {
			return buildspec.ProvenanceMax, nil
		}
		return buildspec.ProvenanceOff, nil
	}
	switch mode := buildspec.Provenance(strings.TrimPrefix(text, "mode=")); mode {
	case buildspec.ProvenanceMin, buildspec.ProvenanceMax:
		return mode, nil
	}
	return "", usagef("--provenance %q: give false, true, min, max, mode=min or mode=max", text)
}

// pairs parses NAME=VALUE texts. missing returns the value of a NAME alone; a
// NAME without a value is left out.
func pairs(flag string, texts []string, missing func(string) (string, bool)) (map[string]string, error) {
	all := make(map[string]string, len(texts))
	for _, text := range texts {
		name, value, found := strings.Cut(text, "=")
		if name == "" {
			return nil, usagef("%s %q: write NAME=VALUE", flag, text)
		}
		if !found {
			value, found = missing(name)
		}
		if found {
			all[name] = value
		}
	}
	return all, nil
}

// secretNames parses id=ID,name=NAME texts in the way of docker. Its errors
// quote nothing but docker's keys, because a wrong text may be the secret
// itself.
func secretNames(texts []string) (map[string]string, error) {
	all := make(map[string]string, len(texts))
	for _, text := range texts {
		keys, err := csv.NewReader(strings.NewReader(text)).Read()
		if err != nil {
			return nil, usagef("--secret: write id=ID,name=NAME")
		}
		fields := map[string]string{}
		for _, key := range keys {
			name, value, _ := strings.Cut(key, "=")
			fields[strings.TrimSpace(name)] = value
		}
		if err := checkSecret(fields); err != nil {
			return nil, err
		}
		if _, twice := all[fields["id"]]; twice {
			return nil, usagef("--secret: an id is there twice: give each one secret")
		}
		all[fields["id"]] = fields["name"]
	}
	return all, nil
}

func checkSecret(fields map[string]string) error {
	for key := range fields {
		switch key {
		case "id", "name":
		case "src", "source", "env", "type":
			return usagef("--secret: %s names something of this machine, which builds cannot see: put it into Secrets Manager or Systems Manager's parameters, and write id=ID,name=NAME", key)
		default:
			return usagef("--secret: it has a key that is neither id nor name: write id=ID,name=NAME, with the name of a secret in Secrets Manager, never the secret itself")
		}
	}
	if fields["id"] == "" || fields["name"] == "" {
		return usagef("--secret: write id=ID,name=NAME")
	}
	return nil
}
