package main

import (
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/runner"
)

func newWait(t *target) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:   "wait BUILD...",
		Short: "Wait for builds, and print their images",
		Long: `Wait until a build has ended, from any machine. The output is that of build: the
image on stdout, and the exit code. For several builds, each image is printed with
its build's id as soon as it is known, and the exit code is 6 if not all succeeded.
Interrupting the command leaves the builds running.`,
		Example: `  flexbuild wait BUILD
  flexbuild list --status in-progress --json | jq -r .buildId | xargs flexbuild wait`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s takes the ids of one or more builds", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := t.client(cmd.Context())
			if err != nil {
				return err
			}
			for _, id := range args {
				if _, err := t.build(cmd.Context(), client, id); err != nil {
					return err
				}
			}
			w := &waiter{cmd: cmd, target: t, client: client, json: json, several: len(args) > 1}
			if !w.several {
				err := w.wait(args[0])
				var failed *runner.BuildError
				if errors.As(err, &failed) {
					(&buildOptions{target: t}).explain(cmd, err)
				}
				return err
			}
			return w.waitForAll(args)
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print each result as a line of JSON")
	return cmd
}

// waiter prints the results of builds as they come.
type waiter struct {
	cmd           *cobra.Command
	target        *target
	client        *runner.Client
	json, several bool

	mu     sync.Mutex // held while something is printed
	failed int
}

func (w *waiter) waitForAll(ids []string) error {
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			if err := w.wait(id); err != nil {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.failed++
				fmt.Fprintln(w.cmd.ErrOrStderr(), "flexbuild:", err)
			}
		})
	}
	all.Wait()
	if err := w.cmd.Context().Err(); err != nil {
		return err
	}
	if w.failed > 0 {
		return fmt.Errorf("%w: %d of %d", errSomeFailed, w.failed, len(ids))
	}
	return nil
}

// wait waits for one build. It shows the build's progress unless there are
// several builds.
func (w *waiter) wait(id string) error {
	if w.several {
		return w.follow(id, func(runner.Event) {}, func(error) {})
	}
	shown := newDisplay(w.cmd.ErrOrStderr(), false)
	return w.follow(id, shown.show, func(err error) { _ = shown.finish(lastLinesOf(err)) })
}

// follow calls see with each event until the build has ended. It calls finish
// before it prints the result.
func (w *waiter) follow(id string, see func(runner.Event), finish func(error)) error {
	for event, err := range w.client.Build(id).Events(w.cmd.Context(), runner.LogFailures) {
		if err != nil {
			finish(err)
			return err
		}
		see(event)
		if event.Type == runner.EventFinished {
			err := event.Result.Err()
			finish(err)
			return errors.Join(w.print(event.Result), err)
		}
	}
	err := w.cmd.Context().Err()
	finish(err)
	return err
}

func (w *waiter) print(result *runner.Result) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.cmd.OutOrStdout()
	switch {
	case w.json:
		shown := *result
		shown.Info = w.target.withoutConsole(shown.Info)
		err = printJSON(out, shown)
	case result.Err() != nil:
	case w.several:
		_, err = fmt.Fprintf(out, "%s\t%s\n", result.BuildID, result.ImageURI)
	default:
		w.target.explainPull(w.cmd, result.ImageURI)
		_, err = fmt.Fprintln(out, result.ImageURI)
	}
	return err
}
