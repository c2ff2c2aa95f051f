// Package local is the local engine. One process serves the AWS APIs that
// flexbuild uses on the loopback interface of this machine, and really builds
// and pushes container images.
//
//	local.StandIn() // first in main: see below
//	engine, err := local.Start(ctx, local.Options{Dir: local.DefaultDir()})
//	if err != nil {
//		return err
//	}
//	defer engine.Close()
//	err = local.Deploy(ctx, engine.Endpoint().Config(), "flexbuild", flexbuild.Template)
//	client, err := runner.New(ctx, engine.Endpoint().Config(), "flexbuild") // as with AWS
//
// Another process finds a running engine by its state directory:
//
//	endpoint, err := local.ReadEndpoint(local.DefaultDir()) // ErrNotRunning if there is none
//	cfg := endpoint.Config()                                // for the SDK
//	cmd.Env = append(cmd.Env, endpoint.Env()...)            // for any other AWS client: AWS_ENDPOINT_URL and keys
//
// The CDK CLI works without changes, including `cdk bootstrap` and apps with
// the default synthesizer.
//
// The engine serves STS, CloudFormation, CodeBuild, CloudWatch Logs, ECR with
// its registry, S3, Secrets Manager, and the Parameter Store of Systems
// Manager, each as far as flexbuild, the CDK and the AWS CLI need it. It
// refuses what it does not implement, by name. The file engine.go shows how the
// services fit together.
//
// Builds run natively, whatever machine the project asks for. On an arm64
// machine, a LINUX_CONTAINER project makes linux/arm64 images, and the first
// line of the log says so.
//
// Requests must be signed with the keys that the engine made for its state
// directory, because whoever may start builds may run commands as the engine's
// user. Other users of the machine can reach the address and get errors. Only
// the engine's user can read the state directory, which has the keys.
//
// # What a build can reach
//
// There is no container around a build. A build gets the credentials of its
// project's role, and the engine enforces the role's policy on what the build
// does with them. But its commands are processes of the engine's user, on this
// machine's network. They can read what that user can read: the engine's own
// keys and state, the work folders and environments of other builds, and the
// user's files. A RUN step of a Dockerfile runs in a container, on the
// machine's network. So the policy shows what a build would be denied on AWS,
// and does not protect the engine from a build. Build only what you trust as
// you trust yourself, and everything else on another machine.
//
// # State
//
// The state outlives the engine, even if the engine is killed. The commands of
// builds that were running end with it, and the next Start makes these builds
// FAULT with a reason.
//
// # Stand-ins
//
// If the machine has no suitable docker or aws, builds run this very program in
// their place. A program that runs engines must therefore call [StandIn] first
// in main.
//
// # Compatibility
//
// The exported API is covered by the compatibility promise of the module, which
// package flexbuild states.
// The state directory is not: it may have to be removed after an update.
package local
