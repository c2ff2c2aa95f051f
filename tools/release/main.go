// Command release makes the files of a release: the command flexbuild for each
// platform in an archive with its manual pages and the licences of what is in
// it, a list of the modules in it (SBOM), one container image for all Linux
// platforms, and SHA256SUMS.
//
//	release [-platforms linux/amd64,…] CLONE FOLDER
//
// CLONE is a clone of the repository without changes. Its commit, and the tag
// of that commit, become the version. FOLDER must be empty or missing. The same
// commit, compiled by the same version of Go, gives the same bytes in every
// folder and on every machine. Nothing is pushed or published.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const everyPlatform = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string, progress io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.SetOutput(progress)
	platforms := flags.String("platforms", everyPlatform, "systems and architectures, separated by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return fmt.Errorf("%d arguments: usage: release [-platforms linux/amd64,…] CLONE FOLDER", flags.NArg())
	}
	clone, into := flags.Arg(0), flags.Arg(1)
	if err := checkEmpty(into); err != nil {
		return err
	}
	var binaries []*binary
	for _, platform := range strings.Split(*platforms, ",") {
		fmt.Fprintf(progress, "release: compiling flexbuild for %s\n", platform)
		b, err := compile(clone, platform)
		if err != nil {
			return err
		}
		binaries = append(binaries, b)
	}
	files, err := filesOf(clone, binaries)
	if err != nil {
		return err
	}
	return write(into, files)
}

// checkEmpty returns an error unless a folder is empty or missing.
func checkEmpty(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: remove it, or name another folder", folder)
	}
	return nil
}

// filesOf returns the files of a release by name.
func filesOf(clone string, binaries []*binary) (map[string][]byte, error) {
	files := map[string][]byte{}
	licence, err := os.ReadFile(filepath.Join(clone, "LICENSE"))
	if err != nil {
		return nil, err
	}
	var systems []*system
	for _, b := range binaries {
		notices, err := notices(clone, b.info)
		if err != nil {
			return nil, err
		}
		papers := []entry{{name: "LICENSE", mode: 0o644, content: licence}, {name: "NOTICES", mode: 0o644, content: notices}}
		pages, err := manual(clone, b)
		if err != nil {
			return nil, err
		}
		name, content, err := archive(b, papers, pages)
		if err != nil {
			return nil, fmt.Errorf("archive for %s: %w", b.platform, err)
		}
		files[name] = content
		if files[b.name()+".spdx.json"], err = sbom(b); err != nil {
			return nil, fmt.Errorf("SBOM for %s: %w", b.platform, err)
		}
		if b.platform.OS == "linux" {
			systems = append(systems, &system{b, papers})
		}
	}
	if len(systems) > 0 {
		if files["flexbuild_"+binaries[0].version()+"_image.tar"], err = image(systems); err != nil {
			return nil, fmt.Errorf("container image: %w", err)
		}
	}
	files["SHA256SUMS"] = sums(files)
	return files, nil
}

// archive returns the archive that people of a platform download: a zip file
// for Windows, which has no manual pages, a compressed tar file for all others.
func archive(b *binary, papers, pages []entry) (name string, content []byte, err error) {
	if b.platform.OS == "windows" {
		content, err = zipOf(append([]entry{{name: "flexbuild.exe", mode: 0o755, content: b.content}}, papers...), b.time)
		return b.name() + ".zip", content, err
	}
	content, err = tarGzipOf(slices.Concat([]entry{{name: "flexbuild", mode: 0o755, content: b.content}}, papers, pages), b.time)
	return b.name() + ".tar.gz", content, err
}

// sums returns what `sha256sum --check` reads.
func sums(files map[string][]byte) []byte {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return []byte(lines.String())
}

func write(folder string, files map[string][]byte) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// stamp is how SPDX and OCI write a time.
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }
