package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/spf13/cobra"
)

func newLogin(t *target) *cobra.Command {
	var tool string
	var show bool
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log docker in to the stack's registry",
		Long: `Log docker, or another tool with docker's "login" command, in to the stack's
registry, so that it can pull the images that builds push. The login is good for
12 hours. The password goes to the tool's stdin.`,
		Example: `  flexbuild login && docker pull "$(flexbuild build . -t app:1)"
  flexbuild login --with podman
  flexbuild login --show-password | crane auth login REGISTRY --username AWS --password-stdin`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := t.client(cmd.Context())
			if err != nil {
				return err
			}
			user, password, err := registryLogin(cmd.Context(), t.cfg)
			if err != nil {
				return err
			}
			if show {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), password)
				return err
			}
			login := exec.CommandContext(cmd.Context(), tool, "login", client.Stack().Registry, "--username", user, "--password-stdin")
			login.Stdin, login.Stdout, login.Stderr = strings.NewReader(password), cmd.ErrOrStderr(), cmd.ErrOrStderr()
			if err := login.Run(); errors.Is(err, exec.ErrNotFound) {
				return usagef("there is no %s on this machine: name another tool by --with, or pipe the password of --show-password into one: %w", tool, err)
			} else if err != nil {
				return fmt.Errorf("%s login %s: %w", tool, client.Stack().Registry, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&tool, "with", "docker", "the tool to log in, such as podman, nerdctl or skopeo")
	cmd.Flags().BoolVar(&show, "show-password", false, "print the password on stdout instead; the user is AWS")
	return cmd
}

// explainPull prints the line that pulls an image. It prints nothing unless
// people read it, on a terminal.
func (t *target) explainPull(cmd *cobra.Command, image string) {
	if terminalOf(cmd.ErrOrStderr()) != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "=> to pull it: %s && docker pull %s\n", t.commandLine(cmd, "flexbuild login"), image)
	}
}

// registryLogin returns the user and the password of the account's registry.
func registryLogin(ctx context.Context, cfg aws.Config) (user, password string, err error) {
	out, err := ecr.NewFromConfig(cfg).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return "", "", fmt.Errorf("get a password of the registry (ecr:GetAuthorizationToken): %w", err)
	}
	if len(out.AuthorizationData) == 0 {
		return "", "", errors.New("ECR gave no password")
	}
	token, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		return "", "", fmt.Errorf("read the password of the registry: %w", err)
	}
	user, password, _ = strings.Cut(string(token), ":")
	return user, password, nil
}
