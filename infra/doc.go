// Package infra is the AWS side of flexbuild as a CDK construct: one CodeBuild
// project that builds any repository's Dockerfile on demand, and all that it
// needs.
//
// Put an image builder into a stack of your own:
//
//	builder := infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{
//		ProjectName:  jsii.String("team-images"),
//		Repositories: jsii.Strings("team/api", "team/web"),
//	})
//	builder.GrantStart(orchestrator, nil)
//
// or deploy the default stack ([NewStack]) that cdk.json runs. Either is found
// by package runner through the stack's outputs, whose keys package buildspec
// defines.
//
// # What is created
//
//	CodeBuild project   runs buildspec.Source, privileged, for Docker
//	role and policy     exactly what builds use; trusts this project only
//	log group           goes with the stack; logs expire after a month
//	ECR repositories    the declared ones; stay when the stack goes
//	cache repository    goes with the stack; unused caches expire after two weeks
//	source bucket       stays when the stack goes; uploads expire after a week
//
// Nothing runs, and next to nothing is paid, between builds.
//
// What stays keeps its name. To deploy again a stack that was destroyed, let it
// take the repositories back: cdk deploy --import-existing-resources. The bucket
// has a new name each time; the former one is empty after a week, and free. A
// stack whose very creation fails leaves nothing behind.
//
// # What holds for every builder
//
// It uses no CDK assets and no custom resources, so an account needs no
// bootstrap and nothing of the CDK is left in it, as long as the template has less
// than 50 KB: CloudFormation takes a larger one from a bucket only.
//
// Its template names no partition and no domain of AWS: it is right in China and
// in GovCloud as it is, but for pull-through caches, which ECR does not have there.
// In China, where mirror.gcr.io cannot be reached, give DockerHubMirrors of your own.
//
// Whoever may start builds can use what builds may use, by a Dockerfile of theirs:
// every repository, base image, connection, secret and uploaded directory of this builder. People who
// must not share those need a builder each.
//
// A wrong prop is found before the CDK is called: [ImageBuilderProps.Validate]
// names every one of them, its value and what to write instead.
//
// Synthesis needs node on the PATH, 22 or newer, and nothing from npm. Importing
// this package starts node; package runner, which programs use, does without.
package infra
