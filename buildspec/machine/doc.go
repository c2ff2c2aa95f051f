// Package machine holds no code but tests: they run the buildspec's own
// commands on a machine like the one that CodeBuild gives to a build.
//
// What makes CodeBuild's machine special is that its Docker daemon is a
// particular version with particular flags, that it may have a BuildKit which
// came with Finch, and that Docker Hub refuses its anonymous pulls. The tests
// make such a machine out of the one they run on:
//
//   - A machine is a process tree in mount, network, PID, IPC and UTS
//     namespaces of its own (testdata/machine.sh). Its root is an overlay on
//     this machine's root, so it has bash, git and runc, and everything that it
//     changes is gone with it. Its /var/lib/docker is on a disk.
//   - The files of the image lie over this machine's: the versions of dockerd,
//     docker, buildx and buildkitd that the standard image has, which
//     `tools/install.sh machine` compiles, the entrypoint that starts the
//     daemon, and an aws that asks the test.
//   - Its only network is a link to a second network namespace, the outside.
//     The test itself listens there: it is the name server, it is the
//     registries public.ecr.aws, mirror.gcr.io, Docker Hub and ECR with
//     certificates that the machine trusts, it answers the machine's AWS CLI,
//     and it is the endpoint of the build's credentials, 169.254.170.2. Docker
//     Hub answers 429 to everything.
//
// The tests need root, which may lack CAP_SYS_RESOURCE as in some containers:
// dockerd gives privileged containers the capabilities that it has itself. They
// also need the programs. `make test-machine` compiles these and says what else
// is missing; `go test` alone runs no test here.
package machine
