package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"

	"github.com/codebuild-flex/flexbuild/runner"
)

// request is what the flags ask for.
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
		Size:       runner.Size(o.size),
		Timeout:    o.timeout,
	}, nil
}

func (o *buildOptions) source(text string) (runner.Source, error) {
	source, err := runner.ParseSource(text)
	if err != nil || o.gitToken == "" {
		return source, err
	}
	git, isGit := source.(runner.Git)
	if !isGit {
		return nil, usagef("--git-token goes with a git URL, and %q is a directory", text)
	}
	git.Token = o.gitToken
	return git, nil
}

// dockerfile: as with docker, --file is relative to the working directory where
// the source is a directory.
func (o *buildOptions) dockerfile(source runner.Source) (string, error) {
	if o.file == "-" {
		return "", usagef("--file -: reading the Dockerfile from stdin is not supported: name a file")
	}
	if _, isDir := source.(runner.Dir); !isDir || o.file == "" {
		return o.file, nil
	}
	return filepath.Abs(o.file)
}

// pairs reads NAME=VALUE texts; missing finds the value of a NAME alone, which
// is left out if it has none.
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

// secretNames reads id=ID,name=NAME texts, as docker does its own.
func secretNames(texts []string) (map[string]string, error) {
	all := make(map[string]string, len(texts))
	for _, text := range texts {
		keys, err := csv.NewReader(strings.NewReader(text)).Read()
		if err != nil {
			return nil, usagef("--secret: write id=ID,name=NAME")
		}
		fields, err := pairs("--secret", keys, func(string) (string, bool) { return "", true })
		if err != nil {
			return nil, err
		}
		if err := checkSecret(fields); err != nil {
			return nil, err
		}
		all[fields["id"]] = fields["name"]
	}
	return all, nil
}

// checkSecret does not quote values: one could be the secret.
func checkSecret(fields map[string]string) error {
	for key := range fields {
		switch key {
		case "id", "name":
		case "src", "source", "env", "type":
			return usagef("--secret: %s names something of this machine, which builds cannot see: put it into Secrets Manager or Systems Manager's parameters, and write id=ID,name=NAME", key)
		default:
			return usagef("--secret: unknown key %q: write id=ID,name=NAME", key)
		}
	}
	if fields["id"] == "" || fields["name"] == "" {
		return usagef("--secret: write id=ID,name=NAME")
	}
	return nil
}
