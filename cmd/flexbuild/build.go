package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/runner"
)

// buildOptions are the flags of build.
type buildOptions struct {
	*target
	tags, buildArgs, secrets, labels, platforms []string
	file, stage                                 string
	pull, noCache                               bool
	provenance, sbom                            string
	size                                        string
	gitToken                                    string
	timeout, queueWait                          time.Duration
	detach, quiet, json, raw                    bool
	iidFile, metadataFile                       string
	stdin                                       *stdin // nil in a batch
}

func newBuild(t *target) *cobra.Command {
	o := &buildOptions{target: t}
	cmd := &cobra.Command{
		Use:   "build SOURCE --tag NAME[:TAG]",
		Short: "Build an image and push it",
		Long: `Build the Dockerfile of SOURCE, push the image, and print it as
registry/repository@digest, the last line of stdout. Progress goes to stderr.

SOURCE is a directory, a git URL or -, as for docker build:
  .                                      this directory
  -                                      a tar archive, or a Dockerfile, on stdin
  https://host/org/repo.git              a repository
  https://host/org/repo.git#v1.2:api     the directory api of its ref v1.2
  https://host/org/repo.git?tag=v1.2&checksum=1a2b3c4
                                         the tag, if its commit begins with that
  git+https://host/org/repo              a repository whose URL does not end in .git

Ctrl-C stops the build and waits until it has stopped; a second one exits at once.`,
		Example: `  flexbuild build . -t app:1
  flexbuild build https://github.com/org/repo.git#v1.2:api -t app:1.2 -t app:latest
  flexbuild build . -t app:1 --secret id=npm,name=team/npm-token --size large
  id=$(flexbuild build . -t app:1 --detach) && flexbuild wait "$id"`,
		Args: exactArgs("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	o.addFlags(cmd)
	return cmd
}

func (o *buildOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVarP(&o.tags, "tag", "t", nil, "name of the image, repository[:tag], with or without the stack's registry; repeatable, the first one names the result")
	flags.StringVarP(&o.file, "file", "f", "", "Dockerfile; of a git source, relative to its directory; - for stdin (default SOURCE/Dockerfile)")
	flags.StringArrayVar(&o.buildArgs, "build-arg", nil, "NAME=VALUE for an ARG; NAME alone takes the value from the environment; not for secrets")
	flags.StringArrayVar(&o.secrets, "secret", nil, "id=ID,name=NAME for RUN --mount=type=secret,id=ID; NAME is a secret in Secrets Manager, or the path of a parameter in Systems Manager")
	flags.StringVar(&o.stage, "target", "", "stage to build (default the last one)")
	flags.StringArrayVar(&o.labels, "label", nil, "NAME=VALUE for a label of the image")
	flags.StringSliceVar(&o.platforms, "platform", nil, "platform of the image, such as linux/arm64 (default the build machine's)")
	flags.BoolVar(&o.noCache, "no-cache", false, "run every step again")
	flags.BoolVar(&o.pull, "pull", false, "look for newer versions of the base images")
	flags.StringVar(&o.provenance, "provenance", "false", "attach an attestation of how the image was built: false, min, max, or true for max; the result is then an OCI index with a new digest each time")
	flags.StringVar(&o.sbom, "sbom", "false", "attach a list of the software in the image: true or false; the result is then an OCI index")
	flags.StringVar(&o.gitToken, "git-token", "", "secret in Secrets Manager with the token for a git host that CodeBuild does not know: its name or ARN, never the token")
	flags.StringVar(&o.size, "size", "", "size of the build machine: small, medium, large, xlarge or 2xlarge (default the project's)")
	flags.DurationVar(&o.timeout, "timeout", 0, "stop the build after this long, 5m to 36h (default the project's)")
	flags.DurationVar(&o.queueWait, "queue-wait", 10*time.Minute, "wait this long for room when the build queue is full; 0 to fail at once")
	flags.BoolVarP(&o.detach, "detach", "d", false, "print the build's id and leave it running")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "print only the digest, and errors")
	flags.BoolVar(&o.json, "json", false, "print a line of JSON for each event on stdout")
	flags.BoolVar(&o.raw, "raw", false, "show the whole log, with the lines of CodeBuild's agent")
	flags.StringVar(&o.iidFile, "iidfile", "", "write the digest to this file")
	flags.StringVar(&o.metadataFile, "metadata-file", "", "write the result to this file, as JSON")
}

func (o *buildOptions) run(cmd *cobra.Command, source string) error {
	o.stdin = newStdin(cmd.Context(), cmd.InOrStdin())
	defer o.stdin.remove()
	o.useSettings(cmd)
	request, err := o.request(source)
	if err != nil {
		return inFlags(err)
	}
	if err := o.checkOutputs(); err != nil {
		return err
	}
	client, err := o.client(cmd.Context(), runner.WithQueueWait(o.queueWait))
	if err != nil {
		return err
	}
	if err := o.checkRepositories(cmd.Context(), client.Stack(), o.tags); err != nil {
		return err
	}
	if o.detach {
		return o.start(cmd, client, request)
	}
	shown := o.display(cmd)
	result, err := client.Run(cmd.Context(), request, runner.WithEvents(o.interruption.see), runner.WithEvents(shown.show), runner.WithLogMode(o.logMode()))
	// The files are written first, so that a reader of stdout finds them.
	fileErr := o.writeFiles(client.Stack().Registry, result, err)
	shownErr := shown.finish(lastLinesOf(err))
	if err != nil {
		o.explain(cmd, err)
		return inFlags(err) // the build's error is more important
	}
	if !o.quiet && !o.json {
		o.explainPull(cmd, result.ImageURI)
	}
	if err := errors.Join(fileErr, shownErr, o.printResult(cmd, result)); err != nil {
		return fmt.Errorf("image %s is pushed, but %w", result.ImageURI, err)
	}
	return nil
}

// logMode returns which logs the output needs.
func (o *buildOptions) logMode() runner.LogMode {
	if o.quiet {
		return runner.LogFailures
	}
	return runner.LogFollow
}

func (o *buildOptions) start(cmd *cobra.Command, client *runner.Client, request runner.Request) error {
	show := (&progress{out: cmd.ErrOrStderr()}).show
	if o.json {
		show = func(runner.Event) {}
	}
	build, err := client.Start(cmd.Context(), request, runner.WithEvents(show))
	if err != nil {
		return inFlags(err)
	}
	// From here on CodeBuild knows the id, wherever it is used.
	if _, err := build.Info(cmd.Context()); err != nil {
		return fmt.Errorf("build %s was started, but: %w", build.ID(), err)
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), startedJSON{build.ID()})
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), build.ID())
	return err
}

// startedJSON is the JSON of a build that was left running.
type startedJSON struct {
	BuildID string `json:"buildId"`
}

// display shows the events of one build.
type display interface {
	show(runner.Event)
	// finish shows how the build ended. It shows the given last lines of a
	// failed build's log if show has not shown the log.
	finish(lastLines []string) error
}

func (o *buildOptions) display(cmd *cobra.Command) display {
	switch {
	case o.json:
		return &jsonEvents{out: cmd.OutOrStdout(), raw: o.raw, target: o.target}
	case o.quiet:
		return silent{cmd.ErrOrStderr()}
	}
	return newDisplay(cmd.ErrOrStderr(), o.raw)
}

// newDisplay returns the display for people: on a terminal a view that is drawn
// again and again, elsewhere lines.
func newDisplay(out io.Writer, raw bool) display {
	if terminal := terminalOf(out); terminal != nil && !raw {
		return newView(terminal)
	}
	lines := &progress{out: out, raw: raw}
	if inActions() {
		return &actionsGroup{progress: lines}
	}
	return lines
}

// silent shows nothing but the last lines of a build that failed.
type silent struct{ out io.Writer }

func (silent) show(runner.Event) {}

func (s silent) finish(lastLines []string) error {
	for _, line := range lastLines {
		fmt.Fprintln(s.out, line)
	}
	return nil
}

// printResult prints the image as build's flags want it.
func (o *buildOptions) printResult(cmd *cobra.Command, result *runner.Result) (err error) {
	switch {
	case o.json: // it is in the last event
	case o.quiet:
		_, err = fmt.Fprintln(cmd.OutOrStdout(), result.Digest)
	default:
		_, err = fmt.Fprintln(cmd.OutOrStdout(), result.ImageURI)
	}
	return err
}

// lastLinesOf returns the last lines of a failed build's log.
func lastLinesOf(err error) []string {
	var failed *runner.BuildError
	if errors.As(err, &failed) {
		return failed.LastLines
	}
	return nil
}

// explain prints where the log of a failed build is.
func (o *buildOptions) explain(cmd *cobra.Command, err error) {
	var failed *runner.BuildError
	if !errors.As(err, &failed) {
		return
	}
	if log := o.logOf(cmd, failed.BuildID, failed.LogURL); log != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "log:", log)
	}
}
