// Package codebuild is the local engine's CodeBuild: projects, builds, and the
// queue between them.
//
//	service, err := codebuild.New(codebuild.Options{Store: db, Clock: clock, Region: "us-east-1", IAM: roles, Executor: agent})
//	err = service.Recover()                    // builds that a killed engine left behind
//	project, err := service.PutProject(types.Project{Name: …})
//	started, err := service.StartBuild(ctx, &codebuild.StartBuildInput{ProjectName: …})
//	defer service.Close()
//
// The operations have the SDK's shape, so that package wire can serve them by
// reflection; projects come from CloudFormation, which calls PutProject and
// DeleteProject.
//
// A build is a types.Build from the moment StartBuild composes it (compose.go:
// the project, with the overrides of the call, validated in validate.go). What
// CodeBuild offers and this engine does not is a table in unsupported.go: each
// such field is refused by its name, and never ignored. The build then waits in
// the queue (queue.go), and an Executor runs it, from PROVISIONING to
// FINALIZING, reporting to a Record (record.go) that keeps every step in the
// store: what BatchGetBuilds answers is what is on disk.
//
// A build that has failed is started again (retry.go) up to its auto-retry
// limit, with the permission of its role, as on AWS.
//
// What differs from AWS, on purpose: a build runs on this machine and not in
// the project's image, which is recorded only; compute types are recorded too
// and do not limit memory or CPUs; the build history has no end.
package codebuild
