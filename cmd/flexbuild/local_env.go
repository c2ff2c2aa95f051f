package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

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
