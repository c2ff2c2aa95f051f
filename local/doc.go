// Package local is the local engine: the AWS APIs that flexbuild uses, served on the loopback interface of this machine
// by one process, which really builds and pushes container images.
//
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
// What is served: STS, CloudFormation, CodeBuild, CloudWatch Logs, ECR with its registry, and S3, each as far as
// flexbuild, the CDK and the AWS CLI need it; what is not implemented is refused by name. The file engine.go is the map
// of how they fit together.
//
// Requests must be signed with the keys that the engine made for its state directory, because whoever may start builds
// may run commands as the user of the engine. Builds themselves get the credentials of their project's role, and its
// policy is enforced.
//
// State survives the engine, and its being killed: builds that were running then are found FAILED, with a reason, by the
// next Start. A program that runs engines must call [StandIn] first thing in main.
package local
