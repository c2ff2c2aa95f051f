package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/codebuild-flex/flexbuild/runner"
)

// inActions reports whether the command runs in a job of GitHub Actions, which
// reads commands from the lines of a step's output:
// https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
func inActions() bool { return os.Getenv("GITHUB_ACTIONS") == "true" }

// actionsGroup is a display for a job of GitHub Actions. It folds the log into
// a group, in which lines of the log cannot be commands.
type actionsGroup struct {
	*progress
	token string // ends the group's immunity; empty while there is no group
}

func (g *actionsGroup) show(e runner.Event) {
	if e.Type == runner.EventLog && g.token == "" {
		g.token = rand.Text()
		fmt.Fprintf(g.out, "::group::log of build %s\n::stop-commands::%s\n", e.BuildID, g.token)
	}
	g.progress.show(e)
}

func (g *actionsGroup) finish(lastLines []string) error {
	if g.token != "" {
		fmt.Fprintf(g.out, "::%s::\n::endgroup::\n", g.token)
	}
	return g.progress.finish(lastLines)
}

// annotate prints an error that GitHub shows with the job and the commit.
func annotate(w io.Writer, text string) {
	text = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
	fmt.Fprintf(w, "::error title=flexbuild::%s\n", text)
}

// writeActionsOutputs writes what later steps of a job of GitHub Actions can
// use: steps.ID.outputs.build-id, and image and digest if there is an image.
func writeActionsOutputs(result *runner.Result) error {
	name := os.Getenv("GITHUB_OUTPUT")
	if !inActions() || name == "" || result == nil {
		return nil
	}
	text := "build-id=" + result.BuildID + "\n"
	if result.ImageURI != "" {
		text += "image=" + result.ImageURI + "\ndigest=" + result.Digest + "\n"
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
