# The two commands for newcomers: `make demo` does the main job end to end,
# `make test` runs every test. Both install what they need (tools/install.sh).
SHELL := /bin/bash
# Node 20 still works, and announces its end of life at every start.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export FLEXBUILD_TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flexbuild/bin

.PHONY: demo test lint synth build tools bench-context

demo: ## builds examples/hello on the local engine and pulls the image
	tools/install.sh demo
	examples/demo.sh

test: ## runs every test
	tools/install.sh test
	go test -race $$(go list ./... | grep -v /infra)
	go test ./infra/... # without -race: jsii-runtime-go closes its process in two goroutines
	cd examples/cdk-app && go test ./... # a module of its own, as users have

lint: ## vet, staticcheck, shellcheck, gofmt; cfn-lint where it is installed
	tools/install.sh test
	tools/lint.sh

bench-context: ## compares the upload of a directory with zip -qr and PutObject: 15 minutes, 8 GB of disk
	tools/install.sh bench
	go test ./cmd/flexbuild -run '^$$' -bench Context -benchtime 1x -timeout 60m

synth: ## writes the default stack's cloud assembly to cdk.out with the pinned CDK CLI
	tools/install.sh cdk
	$(FLEXBUILD_TOOLS)/cdk synth --quiet

build: ## compiles the command to bin/flexbuild
	go build -o bin/flexbuild ./cmd/flexbuild

tools: ## compiles buildkitd, buildx and staticcheck, for machines without a Docker daemon
	tools/install.sh tools
