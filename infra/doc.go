// Package infra is the AWS side of flexbuild as a CDK construct: one CodeBuild
// project that builds any repository's Dockerfile on demand, and everything
// that the project needs.
//
// Add an image builder to a stack of your own:
//
//	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
//		ProjectName:  jsii.String("team-images"),
//		Repositories: jsii.Strings("team/api", "team/web"),
//	})
//	builder.GrantStart(orchestrator, nil)
//
// or deploy the default stack ([NewStack]), as cdk.json does. Package runner
// finds either by the stack's outputs, whose keys package buildspec defines.
//
// # Resources
//
//	CodeBuild project   runs buildspec.Source, privileged because Docker needs that
//	role and policy     exactly what builds use; only this project may assume the role
//	log group           deleted with the stack; logs expire after a month
//	ECR repositories    the declared ones; retained
//	cache repository    deleted with the stack; unused caches expire after two weeks
//	source bucket       retained; uploads expire after a week
//
// Between builds nothing runs, and next to nothing is paid.
//
// Retained repositories keep their names. To deploy a deleted stack again,
// import them: cdk deploy --import-existing-resources. The bucket gets a new
// name each time; the former one is empty after a week and costs nothing. A
// stack whose creation fails retains nothing.
//
// # Every builder
//
// A builder uses no CDK assets and no custom resources, so the account needs no
// bootstrap. That holds as long as the template has less than 51,200 bytes,
// because CloudFormation accepts a larger one only from a bucket.
//
// The template names no partition and no domain of AWS, so it works in China
// and in GovCloud, except for pull-through caches, which ECR does not have
// there. In China, where mirror.gcr.io cannot be reached, set DockerHubMirrors.
//
// Whoever may start builds can use, by a Dockerfile, everything that builds may
// use: every repository, base image, connection, secret and uploaded directory
// of the builder. People who must not share these need a builder each.
//
// Wrong props are found before the CDK is called: [ImageBuilderProps.Validate]
// returns an error for each of them, with its value and what to write instead.
//
// Synthesis needs Node 22 or newer on the PATH, and nothing from npm. Importing
// this package starts a node process. Package runner, which programs use, does
// not.
//
// # Compatibility
//
// The exported API is covered by the compatibility promise of the module, which
// package flexbuild states.
// So are construct ids and the default names of resources: CloudFormation would
// replace resources if they changed. Interfaces may gain methods.
package infra
