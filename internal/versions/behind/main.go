// Command behind prints which tools, images and Go modules of the project have
// newer versions. It asks the Go module proxy by the go command, and npm. For
// what cannot be asked it prints the page that has the answer.
//
//	behind FOLDER…
//
// Each FOLDER has a go.mod, whose direct requirements and tools are asked about
// too.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/codebuild-flex/flexbuild/internal/versions"
)

// patience is the time limit of each question.
const patience = 2 * time.Minute

func main() {
	if err := run(context.Background(), os.Stdout, versions.All(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "behind:", err)
		os.Exit(1)
	}
}

// run prints a line for each version. A question that got no answer is an
// error, after all others were asked.
func run(ctx context.Context, out io.Writer, all []versions.Version, folders []string) error {
	var failed []error
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, v := range all {
		line, err := look(ctx, v)
		failed = append(failed, err)
		fmt.Fprint(table, line)
	}
	for _, folder := range folders {
		lines, err := lookAtModules(ctx, folder)
		failed = append(failed, err)
		fmt.Fprint(table, lines)
	}
	return errors.Join(append(failed, table.Flush())...)
}

// look returns the line about a version.
func look(ctx context.Context, v versions.Version) (string, error) {
	var newest string
	var err error
	switch v.From {
	case "page":
		return line("look", v.Name, v.Version, "?", "nobody can be asked; see "+v.Why), nil
	case "npm":
		newest, err = newestOfNPM(ctx, v)
	case "go":
		newest, err = newestModule(ctx, v.Name)
	default:
		err = fmt.Errorf("nobody can be asked about %q", v.From)
	}
	if err != nil {
		return line("unknown", v.Name, v.Version, "?", v.Why), fmt.Errorf("%s: %w", v.Name, err)
	}
	return line(state(v, newest), v.Name, v.Version, newest, v.Why), nil
}

func state(v versions.Version, newest string) string {
	switch {
	case v.Version == newest:
		return "newest"
	case v.Below == "held":
		return "held"
	}
	return "behind"
}

func line(state, name, version, newest, remark string) string {
	return strings.Join([]string{state, name, version, newest, remark}, "\t") + "\n"
}

// newestOfNPM returns the newest version that is wanted.
func newestOfNPM(ctx context.Context, v versions.Version) (string, error) {
	wanted := ">=" + v.Version
	if v.Below != "-" {
		wanted += " <" + v.Below
	}
	output, err := ask(ctx, ".", "npm", "view", "--json", v.Name+"@"+wanted, "version")
	if err != nil {
		return "", err
	}
	var several []string
	if json.Unmarshal(output, &several) != nil { // one version is no list
		several = make([]string, 1)
		if err := json.Unmarshal(output, &several[0]); err != nil {
			return "", fmt.Errorf("npm answered %q: %w", output, err)
		}
	}
	if len(several) == 0 {
		return "", fmt.Errorf("npm has no version %s", wanted)
	}
	return slices.MaxFunc(several, compare), nil // npm sorts 20.9.5 after 20.19.8
}

// compare compares versions that are numbers with dots.
func compare(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		m, _ := strconv.Atoi(x)
		n, _ := strconv.Atoi(y)
		return cmp.Compare(m, n)
	})
}

func newestModule(ctx context.Context, path string) (string, error) {
	output, err := ask(ctx, ".", "go", "list", "-m", "-f", "{{.Version}}", path+"@latest")
	return string(bytes.TrimSpace(output)), err
}

// lookAtModules returns the lines about a module's direct requirements.
func lookAtModules(ctx context.Context, folder string) (string, error) {
	direct, err := directModules(ctx, folder)
	if err != nil || len(direct) == 0 {
		return "", err
	}
	output, err := ask(ctx, folder, "go", append([]string{"list", "-m", "-u", "-json"}, direct...)...)
	if err != nil {
		return "", fmt.Errorf("modules of %s: %w", folder, err)
	}
	var lines strings.Builder
	for decoder := json.NewDecoder(bytes.NewReader(output)); decoder.More(); {
		var m struct {
			Path, Version string
			Update        *struct{ Version string }
		}
		if err := decoder.Decode(&m); err != nil {
			return "", fmt.Errorf("modules of %s: %w", folder, err)
		}
		if m.Update == nil {
			lines.WriteString(line("newest", m.Path, m.Version, m.Version, "go.mod of "+folder))
			continue
		}
		lines.WriteString(line("behind", m.Path, m.Version, m.Update.Version, "go.mod of "+folder))
	}
	return lines.String(), nil
}

// directModules returns the modules whose packages or tools a module uses
// itself.
func directModules(ctx context.Context, folder string) (direct []string, err error) {
	output, err := ask(ctx, folder, "go", "mod", "edit", "-json")
	if err != nil {
		return nil, err
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Tool []struct{ Path string }
	}
	if err := json.Unmarshal(output, &mod); err != nil {
		return nil, fmt.Errorf("go.mod of %s: %w", folder, err)
	}
	for _, r := range mod.Require {
		tool := slices.ContainsFunc(mod.Tool, func(t struct{ Path string }) bool {
			return strings.HasPrefix(t.Path+"/", r.Path+"/")
		})
		if tool || !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	return direct, nil
}

// ask runs a program in a folder and returns what it prints.
func ask(ctx context.Context, folder, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = folder
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", program, args[0], err, complaint.Bytes())
	}
	return output, nil
}
