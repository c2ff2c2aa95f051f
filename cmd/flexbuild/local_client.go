package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild"
	"github.com/codebuild-flex/flexbuild/local"
)

func newLocalEnv(t *target) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the exports that point any AWS client at the local engine",
		Long: `Print the exports that point any AWS client at the local engine:

  eval "$(flexbuild local env)"

They contain a secret key, which is good for the engine only.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			endpoint, err := local.ReadEndpoint(t.stateDir)
			if err != nil {
				return err
			}
			return printEnv(cmd.OutOrStdout(), append(endpoint.Env(), inTheWay(os.Environ(), endpoint.URL)...), json)
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print one JSON object, of names and values")
	return cmd
}

// inTheWay replaces what in the environment would lead clients elsewhere: the
// endpoint of a single service, and a proxy between them and the engine.
func inTheWay(environ []string, endpoint string) (variables []string) {
	values := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
		if strings.HasPrefix(name, "AWS_ENDPOINT_URL_") {
			variables = append(variables, name+"="+endpoint)
		}
	}
	exceptions := cmp.Or(values["NO_PROXY"], values["no_proxy"])
	engine, err := url.Parse(endpoint)
	if err != nil || cmp.Or(values["HTTP_PROXY"], values["http_proxy"]) == "" || strings.Contains(exceptions, engine.Hostname()) {
		return variables
	}
	exceptions = strings.Trim(engine.Hostname()+","+exceptions, ",")
	return append(variables, "NO_PROXY="+exceptions, "no_proxy="+exceptions)
}

// printEnv prints variables of the form NAME=value.
func printEnv(w io.Writer, variables []string, json bool) error {
	values := map[string]string{}
	var exports strings.Builder
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
		fmt.Fprintf(&exports, "export %s=%s\n", name, shellQuote(value))
	}
	if json {
		return printJSON(w, values)
	}
	_, err := io.WriteString(w, exports.String())
	return err
}

// shellQuote makes one word of any text, for any POSIX shell.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func newLocalDeploy(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "deploy [TEMPLATE]",
		Short: "Create or update the stack in the local engine",
		Long: `Create or update the stack (--stack) in the local engine from a CloudFormation
template, and wait until that is done. Without TEMPLATE, it is the default stack.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes at most one argument, got %q", cmd.CommandPath(), args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			template := flexbuild.Template
			if len(args) == 1 {
				text, err := os.ReadFile(args[0])
				if err != nil {
					return usagef("read the template: %w", err)
				}
				template = string(text)
			}
			endpoint, err := local.ReadEndpoint(t.stateDir)
			if err != nil {
				return err
			}
			if err := local.Deploy(cmd.Context(), endpoint.Config(), t.stack, template); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "flexbuild: stack %s is deployed\n", t.stack)
			return nil
		},
	}
}

func newLocalWait(t *target) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until the local engine runs and has the stack",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.local = true
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("it is not ready after %v", timeout))
			defer cancel()
			return waitUntilReady(ctx, t)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "give up after this long")
	return cmd
}

// waitUntilReady returns why the engine is not ready, if it does not become so.
func waitUntilReady(ctx context.Context, t *target) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := t.client(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the local engine: %w: %w", context.Cause(ctx), err)
		}
	}
}
