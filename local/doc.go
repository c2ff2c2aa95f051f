// Package local is the local engine: the AWS APIs that flexbuild uses, served on the loopback interface of this machine
// by one process, which really builds and pushes container images.
//
//	local.StandIn() // first thing in main: see below
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
//	endpoint, err := local.ReadEndpoint(local.DefaultDir()) // ErrNotRunning when there is none
//	cfg := endpoint.Config()                                // for the SDK
//	cmd.Env = append(cmd.Env, endpoint.Env()...)            // for any other AWS client: AWS_ENDPOINT_URL and keys
//
// The CDK CLI works as it is, `cdk bootstrap` and apps with the default synthesizer included.
//
// What is served: STS, CloudFormation, CodeBuild, CloudWatch Logs, ECR with its registry, S3, Secrets Manager, and the
// Parameter Store of Systems Manager, each as far as flexbuild, the CDK and the AWS CLI need it; what is not implemented
// is refused by name. The file engine.go is the map of how they fit together.
//
// Builds run natively, whatever machine the project is for on AWS: on an arm64 machine a LINUX_CONTAINER project makes
// linux/arm64 images, and the first line of the log says so.
//
// Requests must be signed with the keys that the engine made for its state directory, because whoever may start builds
// may run commands as the user of the engine. Other users of the machine reach the address and get errors from it: the
// state directory, which has the keys, is this user's alone.
//
// # What a build can reach
//
// There is no container around a build. It is handed the credentials of its project's role, and the role's policy is
// enforced on what it does with these. But its commands are processes of the engine's user, on this machine's network,
// and nothing stops them from reading what that user can read: the engine's own keys and all that it keeps, the work
// folders and environments of the builds that run beside them, the user's files. A RUN step of a Dockerfile is in a
// container, though on the machine's network. So the policy shows what a build would be denied on AWS; it does not
// protect the engine from a build. Build what you trust as you trust yourself, and the rest on another machine.
//
// # What survives
//
// State survives the engine, and its being killed: builds that were running then are found FAULT, with a reason, by the
// next Start. Until then the commands of such builds go on, for nobody is left to end them; Start does.
//
// Where this machine has no fit docker or aws, builds run this very program in their place: a program that runs engines
// must call [StandIn] first thing in main.
package local
