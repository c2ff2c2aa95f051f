// Command inspect pulls an image from ECR, or from the local engine that the
// environment points to, and prints what is in it:
//
//	go run ./examples/inspect REGISTRY/REPOSITORY@DIGEST
//
// It shows how a Go program pulls what flexbuild has built.
package main

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: inspect REGISTRY/REPOSITORY@DIGEST")
		os.Exit(2)
	}
	if err := inspect(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "inspect:", err)
		os.Exit(1)
	}
}

func inspect(ctx context.Context, reference string) error {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return err
	}
	login, err := login(ctx)
	if err != nil {
		return err
	}
	image, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuth(login))
	if err != nil {
		return err
	}
	return print(image)
}

// login asks ECR for the registry password of whoever the AWS settings name.
func login(ctx context.Context) (authn.Authenticator, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	out, err := ecr.NewFromConfig(cfg).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, err
	}
	token, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		return nil, err
	}
	user, password, _ := strings.Cut(string(token), ":")
	return &authn.Basic{Username: user, Password: password}, nil
}

func print(image v1.Image) error {
	settings, err := image.ConfigFile()
	if err != nil {
		return err
	}
	fmt.Printf("%s/%s, entrypoint %q\n", settings.OS, settings.Architecture, settings.Config.Entrypoint)
	files := mutate.Extract(image)
	defer files.Close()
	for archive := tar.NewReader(files); ; {
		file, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Printf("%s %10d /%s\n", file.FileInfo().Mode(), file.Size, file.Name)
	}
}
