package main

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/runner"
)

// checkOutputs checks before the build that the files for its result can be
// written.
func (o *buildOptions) checkOutputs() error {
	files := slices.DeleteFunc([]string{o.iidFile, o.metadataFile}, func(name string) bool { return name == "" })
	if o.detach && (len(files) > 0 || o.quiet) {
		return usagef("--detach cannot be combined with --quiet, --iidfile or --metadata-file: it does not wait for a digest")
	}
	if o.queueWait < 0 {
		return usagef("--queue-wait %v: give 0 or more", o.queueWait)
	}
	if o.quiet && (o.json || o.raw) {
		return usagef("--quiet cannot be combined with --json or --raw")
	}
	for _, name := range files {
		if err := clearFile(name); err != nil {
			return usagef("%s cannot be written: %w: name another file", name, err)
		}
	}
	return nil
}

// clearFile checks that the file can be written, and removes the result of an
// earlier build, so that nobody takes it for that of this build. A pipe or a
// device stays, and so does a link, such as /dev/stdout; the file that a link
// leads to is emptied.
func clearFile(name string) error {
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return errors.New("it is a directory")
	case err == nil && !info.Mode().IsRegular():
		return nil
	}
	link, _ := os.Readlink(name)
	if link == "" {
		_ = os.Remove(name) // if that fails and matters, opening the file fails too
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return errors.Unwrap(err) // the caller adds the name
	}
	if link == "" {
		_ = os.Remove(name) // if that fails, the file is empty
	}
	return file.Close()
}

// writeFiles writes the result to files. A build that ended with buildErr has
// nothing for them but its id.
func (o *buildOptions) writeFiles(registry string, result *runner.Result, buildErr error) error {
	if err := writeActionsOutputs(result); err != nil || buildErr != nil {
		return err
	}
	if o.iidFile != "" {
		if err := os.WriteFile(o.iidFile, []byte(result.Digest), 0o644); err != nil {
			return err
		}
	}
	if o.metadataFile == "" {
		return nil
	}
	text, err := json.Marshal(metadata(registry, result))
	if err != nil {
		return err
	}
	return os.WriteFile(o.metadataFile, append(text, '\n'), 0o644)
}

// metadata returns the result under the keys that buildx uses, as far as buildx
// has them.
func metadata(registry string, result *runner.Result) map[string]string {
	names := make([]string, len(result.Tags))
	for i, tag := range result.Tags {
		names[i] = registry + "/" + tag
	}
	all := map[string]string{
		"containerimage.digest": result.Digest,
		"image.name":            strings.Join(names, ","),
		"flexbuild.build.id":    result.BuildID,
		"flexbuild.image.uri":   result.ImageURI,
	}
	if result.Commit != "" {
		all["flexbuild.source.commit"] = result.Commit
	}
	return all
}
