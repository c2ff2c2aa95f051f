package main

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/runner"
)

// checkOutputs finds out before the build whether its outcome can be told.
func (o *buildOptions) checkOutputs() error {
	files := slices.DeleteFunc([]string{o.iidFile, o.metadataFile}, func(name string) bool { return name == "" })
	if o.detach && (len(files) > 0 || o.quiet) {
		return usagef("--detach does not wait for a digest: it goes without --quiet, --iidfile and --metadata-file")
	}
	if o.queueWait < 0 {
		return usagef("--queue-wait %v: give 0 or more", o.queueWait)
	}
	if o.quiet && (o.json || o.raw) {
		return usagef("--quiet goes without --json and --raw")
	}
	for _, name := range files {
		if err := clearFile(name); err != nil {
			return usagef("%s cannot be written: %w: name another file", name, err)
		}
	}
	return nil
}

// clearFile makes sure that the file can be written, and removes what an earlier
// build wrote, so that nobody takes it for this one's. A pipe or a device stays,
// and a link, such as /dev/stdout, to a file that is emptied.
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
		_ = os.Remove(name) // if it stays, and matters, opening it says why
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return errors.Unwrap(err) // without the name, which has been said
	}
	if link == "" {
		_ = os.Remove(name) // it may stay, empty
	}
	return file.Close()
}

func (o *buildOptions) writeFiles(registry string, result *runner.Result) error {
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

// metadata has buildx's keys where buildx has them.
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
