package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/local"
)

func newLocalEnv(t *target) *cobra.Command {
	var json bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the exports that point any AWS client at the local engine",
		Long: `Print the exports that point any AWS client at the local engine:

  eval "$(flexbuild local env)"

They contain a secret key, which is good for the engine only.

The command waits for the engine. Without one it fails, and what it prints keeps
all that follows from AWS: a script ends, and in an interactive shell every AWS
client is pointed at an address where nothing answers, with keys that no account has.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			environment, err := engineEnvironment(cmd, t, args, timeout)
			switch {
			case err != nil && json:
				return err
			case err != nil:
				return errors.Join(err, nowhere(cmd.OutOrStdout(), exitStatus(err)))
			case json:
				return printJSON(cmd.OutOrStdout(), environment.object(os.Environ()))
			}
			return environment.export(cmd.OutOrStdout())
		},
		Args: cobra.ArbitraryArgs, // RunE checks them, for nowhere
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return errors.Join(cmd.Root().FlagErrorFunc()(cmd, err), nowhere(cmd.OutOrStdout(), exitUsage))
	})
	cmd.Flags().BoolVar(&json, "json", false, "print one JSON object, of names and values; null is a variable to remove")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "give up waiting for the engine after this long")
	return cmd
}

// engineEnvironment waits for the engine, says on stderr that it waits, and
// returns the environment that points at the engine.
func engineEnvironment(cmd *cobra.Command, t *target, args []string, timeout time.Duration) (environment, error) {
	if err := exactArgs()(cmd, args); err != nil {
		return environment{}, err
	}
	endpoint, err := local.ReadEndpoint(t.stateDir)
	if errors.Is(err, local.ErrNotRunning) && timeout > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "flexbuild: waiting up to %v for the local engine of %s\n", timeout, t.stateDir)
		err = waitUntil(cmd.Context(), timeout, func(context.Context) (err error) {
			endpoint, err = local.ReadEndpoint(t.stateDir)
			return err
		})
	}
	if err != nil {
		return environment{}, err
	}
	return environment{
		remove: inTheWay,
		set:    append(endpoint.Env(), elsewhere(os.Environ(), endpoint.URL)...),
	}, nil
}

// An environment is a change of the environment that points AWS clients at a
// single place.
type environment struct {
	remove []string // names of variables to unset
	set    []string // NAME=value of variables to set
}

// inTheWay are variables that some clients prefer to AWS_ACCESS_KEY_ID, or that
// change the address or the keys which clients derive from the environment.
// They have to be unset, because the AWS CLI takes an empty profile for one
// without a name.
var inTheWay = []string{
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "AWS_ACCOUNT_ID",
	"AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
}

// elsewhere returns replacements for variables that would lead clients
// elsewhere: the endpoints of single services, and a proxy between the clients
// and the engine.
func elsewhere(environ []string, endpoint string) (variables []string) {
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

// export prints the change as commands of any POSIX shell.
func (e environment) export(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "unset %s\n", strings.Join(e.remove, " "))
	for _, variable := range e.set {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(&text, "export %s=%s\n", name, shellQuote(value))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// object returns the change as an object, with null for variables to unset.
func (e environment) object(environ []string) map[string]*string {
	values := map[string]*string{}
	for _, variable := range environ {
		if name, _, _ := strings.Cut(variable, "="); slices.Contains(e.remove, name) {
			values[name] = nil
		}
	}
	for _, variable := range e.set {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = &value
	}
	return values
}

// nowhere prints shell commands after which no AWS client reaches AWS. A
// failure alone is not enough, because an interactive shell goes on with what
// was pasted, and so does a script without set -e. Clients show the words in
// the address in their errors.
func nowhere(w io.Writer, status int) error {
	const words = "the-local-engine-is-not-running"
	endpoint := local.Endpoint{URL: "http://127.0.0.1:1/" + words, Region: "us-east-1", AccessKeyID: words, SecretAccessKey: words}
	err := environment{remove: inTheWay, set: append(endpoint.Env(), elsewhere(os.Environ(), endpoint.URL)...)}.export(w)
	if err == nil {
		_, err = fmt.Fprintf(w, "case $- in *i*) (exit %[1]d) ;; *) exit %[1]d ;; esac\n", status)
	}
	return err
}

// shellQuote quotes a text as one word for any POSIX shell.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
