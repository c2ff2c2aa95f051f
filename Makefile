# The two commands for newcomers: `make demo` does the main job end to end,
# `make test` runs every test. Both install what they need (tools/install.sh).
SHELL := /bin/bash
# Node 20 still works, and announces its end of life at every start.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export FLEXBUILD_TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flexbuild/bin

# The version of the command is read from git, which distrusts a clone that
# another user owns: root may build in it all the same.
trusting-git = GIT_OPTIONAL_LOCKS=0 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

# Root's files in another user's clone would stop that user's next build.
give-back = @if [[ $$(id -u) == 0 ]]; then chown -R --reference=Makefile $(1); fi

.PHONY: demo test test-faults test-fresh test-machine lint synth build tools bench-context bench-build bench-fleet bench-local bench-command release behind

demo: ## builds examples/hello on the local engine and pulls the image
	tools/install.sh demo
	examples/demo.sh

test: ## runs every test
	tools/install.sh test
	tools/test.sh

test-fresh: ## runs demo and test on a minimal Debian machine that it makes: half an hour, as root
	tools/test-fresh.sh

test-faults: ## runs the runner with a thousand mixtures of faults: an hour and a half
	tools/install.sh go
	FLEXBUILD_FAULT_SEEDS=$(or $(SEEDS),1000) go test -race -count=1 -timeout 180m ./runner -run TestFaults

test-machine: ## runs the buildspec on a machine like CodeBuild's; needs root
	tools/install.sh machine
	FLEXBUILD_TEST_MACHINE=1 go test -count=1 -timeout 30m ./buildspec/machine

lint: ## vet, staticcheck, shellcheck, actionlint, gofmt; cfn-lint where it is installed
	tools/install.sh lint
	tools/lint.sh

bench-context: ## compares the upload of a directory with zip -qr and PutObject: 15 minutes, 8 GB of disk
	tools/install.sh bench
	go test ./cmd/flexbuild -run '^$$' -bench Context -benchtime 1x -timeout 60m

bench-build: ## compares builds with docker build and docker push, all on cold builders: 25 minutes, as root
	tools/install.sh machine
	FLEXBUILD_TEST_MACHINE=1 go test ./buildspec/machine -run '^$$' -bench Build -benchtime 3x -timeout 120m

bench-fleet: ## watches up to 10,000 builds in virtual time, beside a poller per build: 14 minutes; WRITE=1 writes docs/scale.md
	tools/install.sh go
	go test ./runner/fleetbench -count=1 -v -timeout 60m -args -all $(if $(WRITE),-write)

bench-local: ## asks the local engine for 100 builds at a time, as often as it can
	tools/install.sh go
	go test ./local/localtest -run '^$$' -bench . -benchtime 500x

bench-command: ## starts the command, and weighs it, beside an empty Go program
	tools/install.sh go
	go test ./cmd/flexbuild -run '^$$' -bench Command -benchtime 50x

synth: ## writes the default stack's cloud assembly to cdk.out with the pinned CDK CLI
	tools/install.sh cdk
	"$$FLEXBUILD_TOOLS/cdk" synth --quiet
	$(call give-back,cdk.out)

build: ## compiles the command to bin/flexbuild
	tools/install.sh go
	[[ -e /usr/include/stdlib.h ]] || export CGO_ENABLED=0; $(trusting-git) go build -o bin/flexbuild ./cmd/flexbuild
	$(call give-back,bin)

release: ## makes the files of a release in dist; PLATFORMS=linux/amd64 makes those of one platform: docs/release.md
	tools/install.sh go
	rm -rf dist
	$(trusting-git) go run -C tools ./release $(if $(PLATFORMS),-platforms $(PLATFORMS)) .. ../dist
	$(call give-back,dist)

behind: ## reports which tools, images and Go modules have newer versions
	tools/install.sh go
	go run ./internal/versions/behind . tools

tools: ## compiles buildkitd, buildx and staticcheck, for machines without a Docker daemon
	tools/install.sh tools
