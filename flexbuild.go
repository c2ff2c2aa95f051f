// Package flexbuild builds container images as a service on AWS CodeBuild: one
// project, deployed once, builds any repository's Dockerfile on demand.
//
// # Use it
//
// Deploy the stack once, then start builds and read the digests of the images:
//
//	go install github.com/codebuild-flex/flexbuild/cmd/flexbuild@latest
//	flexbuild up
//	flexbuild build https://github.com/org/repo.git -t app:1
//
// A Go program does the same with package runner:
//
//	client, err := runner.New(ctx, cfg, "flexbuild")
//	…
//	result, err := client.Run(ctx, runner.Request{
//		Source: runner.Git{URL: "https://github.com/org/repo.git"},
//		Tags:   []string{"app:1"},
//	})
//	…
//	fmt.Println(result.ImageURI) // registry/app@sha256:…
//
// # Packages
//
//   - runner starts, watches, logs and stops builds of a deployed stack.
//     runner/batch builds many images with one client.
//   - infra is the CDK construct that creates the project and what it needs.
//   - buildspec is the contract between whoever starts a build and the build.
//   - local is an engine that serves the same AWS APIs on this machine, and
//     really builds and pushes. local/localtest runs it in Go tests.
//   - cmd/flexbuild is the command.
//
// This package holds the template of the default stack, for programs that
// deploy it.
//
// # Compatibility
//
// The module uses semantic versioning. From version 1.0.0 on, only a new major
// version may break the exported API of these packages, the contract, the
// commands with their flags and exit codes, or the JSON that they print.
// Before, a minor version may, and the changelog says what to do. What is
// covered, in detail, is in docs/compatibility.md.
package flexbuild

import _ "embed"

// Template is the CloudFormation template of the default stack, as package
// infra synthesizes it, with parameters for what people change. The local
// engine deploys it without Node or the CDK.
//
//go:embed infra/template.json
var Template string
