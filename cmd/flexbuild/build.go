package main

import (
	"errors"
	"fmt"
	"strings"
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
	request, err := o.request(source)
	if err != nil {
		return err
	}
	if err := o.checkOutputs(); err != nil {
		return err
	}
	client, err := o.client(cmd.Context(), runner.WithQueueWait(o.queueWait))
	if err != nil {
		return err
	}
	if o.detach {
		return o.start(cmd, client, request)
	}
	show, finish := o.printer(cmd)
	result, err := client.Run(cmd.Context(), request, runner.WithEvents(o.interruption.see), runner.WithEvents(show), runner.WithLogMode(o.logMode()))
	if err != nil {
		_ = finish(nil) // the build's error is more important
		o.explain(cmd, err)
		return err
	}
	// The files are written first, so that a reader of stdout finds them.
	if err := errors.Join(o.writeFiles(client.Stack().Registry, result), finish(result)); err != nil {
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
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), map[string]string{"buildId": build.ID()})
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), build.ID())
	return err
}

// printer returns a function that shows events, to people or to a program, and
// a function that prints the result at the end. The result is nil if there is
// no image.
func (o *buildOptions) printer(cmd *cobra.Command) (show func(runner.Event), finish func(*runner.Result) error) {
	out := cmd.OutOrStdout()
	printLine := func(text func(*runner.Result) string) func(*runner.Result) error {
		return func(result *runner.Result) (err error) {
			if result != nil {
				_, err = fmt.Fprintln(out, text(result))
			}
			return err
		}
	}
	switch {
	case o.json:
		lines := &jsonEvents{out: out, raw: o.raw}
		return lines.show, lines.finish
	case o.quiet:
		return func(runner.Event) {}, printLine(func(r *runner.Result) string { return r.Digest })
	}
	p := &progress{out: cmd.ErrOrStderr(), raw: o.raw}
	printURI := printLine(func(r *runner.Result) string { return r.ImageURI })
	return p.show, func(result *runner.Result) error {
		p.finish()
		return printURI(result)
	}
}

// explain prints the last lines of a failed build whose log was not shown, and
// where the whole log is.
func (o *buildOptions) explain(cmd *cobra.Command, err error) {
	var failed *runner.BuildError
	if !errors.As(err, &failed) {
		return
	}
	if o.quiet {
		fmt.Fprintln(cmd.ErrOrStderr(), strings.Join(failed.LastLines, "\n"))
	}
	if log := o.logOf(cmd, failed.BuildID, failed.LogURL); log != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "log:", log)
	}
}
