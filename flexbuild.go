// Package flexbuild builds container images as a service on AWS CodeBuild: one
// project, deployed once, builds any repository's Dockerfile on demand.
//
// The parts, each a package with documentation of its own:
//
//   - infra: the CDK construct and app that create the project and all around it
//   - buildspec: the contract between whoever starts a build and the build itself
//   - runner: starts, watches, logs and stops builds against a deployed stack
//   - local: an engine that speaks the same AWS APIs and really builds and pushes
//   - cmd/flexbuild: the command over all of it
//
// This package holds only what has to lie at the module's root.
package flexbuild

import _ "embed"

// Template is the CloudFormation template of the default stack, as package
// infra synthesizes it, with parameters for what people change. The local
// engine deploys it without Node or the CDK.
//
//go:embed infra/template.json
var Template string
