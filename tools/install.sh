#!/usr/bin/env bash
# Brings what running, demonstrating and testing flexbuild needs onto this
# machine: Debian packages by name, and the programs of the tools module,
# compiled once into a cache outside the source tree. What the machine lacks
# and this script does not install is said first, before anything is installed.
#
#   tools/install.sh go      checks Go only
#   tools/install.sh demo    what `make demo` needs
#   tools/install.sh test    what `make test` needs besides
#   tools/install.sh lint    what `make lint` needs
#   tools/install.sh fresh   what `make test-fresh` needs
#   tools/install.sh machine what `make test-machine` needs
#   tools/install.sh tools   the programs of the tools module only
#   tools/install.sh cdk     the CDK CLI only
#   tools/install.sh bench   what `make bench-context` needs besides
set -euo pipefail
cd "$(dirname "$0")"

bin=${FLEXBUILD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/flexbuild/bin}

# version_of NAME: the version that the project's list has.
version_of() { awk -v name="$1" '$2 == name { print $3; found = 1 } END { exit !found }' ../internal/versions/versions.txt; }

cdk_version=$(version_of aws-cdk)
sdk_version=$(version_of @aws-sdk/client-codebuild)
typescript_version=$(version_of typescript)
actionlint_version=$(version_of github.com/rhysd/actionlint)
node_types_version=$(version_of @types/node)
node_version=$(version_of node)
buildkit_version=$(version_of github.com/moby/buildkit)
docker_version=$(version_of github.com/docker/docker)
docker_cli_version=$(version_of github.com/docker/cli)
buildx_version=$(version_of github.com/docker/buildx)

say() { printf 'flexbuild: %s\n' "$1" >&2; }
fail() { say "$1"; exit 69; }

main() {
  own_home
  case ${1:-} in
    go)
      need_go
      ;;
    demo)
      need_go
      container_builder
      ;;
    test)
      need_go
      need_node
      [[ $(id -u) == 0 ]] || fail "the tests start BuildKit, which needs root; run: $as_root make test"
      need_namespaces
      package gcc gcc 'Go compiles its race detector with it'
      c_headers
      package runc runc 'buildkitd runs the steps of a build in it'
      programs
      package busybox busybox-static 'the base image of the tests is made from it'
      package shellcheck shellcheck 'it checks the scripts'
      package aws awscli 'the tests use the local engine with it'
      package skopeo skopeo 'the tests use the registry with it'
      package jq jq 'the contract is tested with it and the AWS CLI'
      package curl curl 'builds ask registries with it'
      package zip zip 'a directory is packed with it there'
      docker_daemon
      cdk
      sdks
      ;;
    lint)
      need_go
      c_headers
      programs
      actionlint
      package shellcheck shellcheck 'it checks the scripts'
      ;;
    fresh)
      need_go
      need_node
      [[ $(id -u) == 0 ]] || fail "a machine is made by root; run: $as_root make test-fresh"
      need_namespaces
      package debootstrap debootstrap 'it makes the machine'
      ;;
    machine)
      need_go
      [[ $(id -u) == 0 ]] || fail "a machine is made by root; run: $as_root make test-machine"
      need_namespaces
      c_headers
      machine
      ;;
    tools)
      need_go
      programs
      ;;
    cdk)
      need_go
      need_node
      c_headers
      cdk
      ;;
    bench)
      package zip zip 'make bench-context compares with it'
      ;;
    *)
      say "usage: $0 go|demo|test|lint|fresh|machine|tools|cdk|bench"
      exit 64
      ;;
  esac
}

# sudo has a PATH of its own, which seldom has Go. With -H root's caches are
# root's and not this user's.
# shellcheck disable=SC2016 # $PATH is for the shell of whoever reads it
as_root='sudo -H env "PATH=$PATH"'

# Root's files in the caches of the user who called sudo would stop that user's
# next build.
own_home() {
  if [[ -n ${SUDO_USER:-} && -d $HOME && ! -O $HOME ]]; then
    fail "HOME is $HOME, whose caches root would leave files in; run: $as_root make …"
  fi
}

# A Go that can build the modules here. The go command answers with the version
# that it uses for a module, or says why it has none.
need_go() {
  local module want have
  for module in . ..; do
    want=$(sed -n 's/^go //p' "$module/go.mod")
    if ! command -v go >/dev/null; then
      fail "there is no go on PATH; install Go $want or newer (https://go.dev/dl)${SUDO_USER:+, or run: $as_root make …}"
    fi
    if ! have=$(cd "$module" && go env GOVERSION 2>&1) || ! at_least "$want" "${have#go}"; then
      fail "Go $want or newer is needed (https://go.dev/dl), and $(command -v go) says: $have"
    fi
  done
}

need_node() {
  local have=none
  if command -v node >/dev/null; then have=$(node --version 2>&1) || true; fi
  if ! at_least "$node_version" "${have#v}"; then
    fail "the CDK runs on Node $node_version or newer (https://nodejs.org), and on PATH there is: $have"
  fi
}

# at_least WANT HAVE: compares versions.
at_least() { [[ $2 == [0-9]* && $(printf '%s\n' "$1" "$2" | sort --version-sort | head -n 1) == "$1" ]]; }

# What buildkitd, runc and dockerd begin with.
need_namespaces() {
  local why
  if ! why=$(unshare --mount --pid --fork --mount-proc true 2>&1); then
    fail "BuildKit must mount and make namespaces, and root may not do so here (CAP_SYS_ADMIN: ${why##*$'\n'}); in a container, start that with --privileged${1:-}"
  fi
}

# A Docker daemon of this machine does; otherwise BuildKit is compiled from
# source.
container_builder() {
  local lacks
  lacks=$(docker_lacks)
  case $lacks in
    '')
      say 'the Docker daemon of this machine builds the images'
      ;;
    buildx)
      say "the Docker daemon of this machine builds the images; buildx is missing"
      compile buildx github.com/docker/buildx/cmd/buildx
      ;;
    *)
      [[ $(id -u) == 0 ]] || fail "$lacks, and BuildKit without Docker needs root; start Docker, or run: $as_root make demo"
      need_namespaces ", or give it a Docker daemon: $lacks"
      package runc runc 'buildkitd runs the steps of a build in it'
      programs
      ;;
  esac
}

# docker_lacks prints what keeps Docker from building here: nothing if it can,
# "buildx" if only that is missing.
docker_lacks() {
  local answer
  if ! command -v docker >/dev/null; then
    echo 'there is no docker on PATH'
  elif ! answer=$(docker info 2>&1 >/dev/null); then
    echo "no Docker daemon answers (${answer##*$'\n'})"
  elif [[ $(docker context inspect --format '{{.Endpoints.docker.Host}}') != unix://* ]]; then
    echo 'the Docker daemon is on another machine'
  elif ! docker buildx version >/dev/null 2>&1; then
    echo buildx
  fi
}

# Builds are tested with a Docker daemon too: this machine's, else the tests
# start one of their own.
docker_daemon() {
  if docker info >/dev/null 2>&1; then return; fi
  package dockerd docker.io 'the tests build with a Docker daemon too'
  package iptables iptables 'the Docker daemon sets up its network with it'
}

# Where there is a C compiler, Go uses it, and it needs the C library's headers.
c_headers() {
  if command -v gcc >/dev/null && [[ ! -e /usr/include/stdlib.h ]]; then
    debian libc6-dev 'Go compiles C with its headers'
  fi
}

# The pinned CDK CLI, in a folder of its own beside the programs. With --prefix
# npm would not read the machine's configuration.
cdk() {
  if [[ $("$bin/cdk" --version 2>/dev/null) == "$cdk_version "* ]]; then return; fi
  package npm npm 'the CDK CLI comes from its registry'
  npm_packages aws-cdk "aws-cdk@$cdk_version"
  ln -sf aws-cdk/node_modules/.bin/cdk "$bin/cdk"
}

# The SDKs of other languages that the tests and examples use: Debian's for
# Python, and npm's, with the compiler of TypeScript.
sdks() {
  local packages=("@aws-sdk/client-"{cloudformation,codebuild,s3}"@$sdk_version" "typescript@$typescript_version" "@types/node@$node_types_version")
  [[ -e /usr/lib/python3/dist-packages/boto3 ]] || debian python3-boto3 'the tests try the local engine with it'
  if [[ -f $bin/aws-sdk/stamp && $(<"$bin/aws-sdk/stamp") == "${packages[*]}" ]]; then return; fi
  package npm npm 'the JavaScript SDK comes from its registry'
  npm_packages aws-sdk "${packages[@]}"
  printf '%s' "${packages[*]}" >"$bin/aws-sdk/stamp"
}

# npm_packages FOLDER PACKAGE...: installs packages into a folder beside the
# programs.
npm_packages() {
  say "installing ${*:2} into $bin/$1"
  mkdir -p "$bin/$1"
  echo '{}' >"$bin/$1/package.json"
  (cd "$bin/$1" && npm install --loglevel=error --no-audit --no-fund --no-update-notifier "${@:2}" >&2) ||
    fail "npm did not install ${*:2}: its words are above"
}

# actionlint is no tool of the tools module, because buildx needs a newer yaml
# package than it compiles with.
actionlint() {
  if [[ $("$bin/actionlint" -version 2>/dev/null) == *"$actionlint_version"* ]]; then return; fi
  say "compiling actionlint into $bin"
  GOBIN=$bin CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' "github.com/rhysd/actionlint/cmd/actionlint@$actionlint_version"
}

# package COMMAND NAME WHY: installs Debian's package NAME unless COMMAND is
# there.
package() { command -v "$1" >/dev/null || debian "$2" "$3"; }

# debian NAME WHY: installs Debian's package NAME.
debian() {
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    fail "$1 is missing ($2); run: sudo apt-get install --yes $1"
  fi
  say "installing $1: $2"
  [[ -n $(find /var/lib/apt/lists -name '*Packages*' -mtime -7 -print -quit 2>/dev/null) ]] || apt-get update --quiet=2
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends --quiet=2 "$1" >/dev/null
}

# The programs of the tools module, again only when the module changes.
programs() {
  local stamp
  stamp=$(cat go.mod go.sum | sha256sum)
  if [[ -f $bin/stamp && $(<"$bin/stamp") == "$stamp" ]]; then return; fi
  compile 'buildkitd, buildx, staticcheck, crane and the conformance suite of registries' tool
  printf '%s\n' "$stamp" >"$bin/stamp"
}

# compile WHAT PACKAGES
compile() {
  say "compiling $1 into $bin: some minutes, once"
  mkdir -p "$bin"
  CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags='-s -w' -o "$bin/" "$2"
}

# What a machine like CodeBuild's is made of: Docker, buildx and BuildKit in the
# versions of its standard images, the rest Debian's.
machine() {
  package busybox busybox-static 'the images of the tests are made from it'
  package containerd containerd 'the Docker daemon starts it'
  package runc runc 'containerd and buildkitd start containers with it'
  package iptables iptables 'the Docker daemon sets up its network with it'
  package ip iproute2 'the machine of the tests gets its network with it'
  machine_programs
}

machine_programs() {
  local stamp
  stamp="$(declare -f machine_programs compile_module) $buildkit_version $docker_version $docker_cli_version $buildx_version $(go env GOVERSION)"
  if [[ -f $bin/machine/stamp && $(<"$bin/machine/stamp") == "$stamp" ]]; then return; fi
  say "compiling dockerd, docker, buildx and buildkitd of CodeBuild's machine into $bin/machine: some minutes, once"
  mkdir -p "$bin/machine"
  # Finch's buildkitd is linked with glibc, too.
  CGO_ENABLED=1 compile_module "github.com/moby/buildkit@$buildkit_version" "version.Version=$buildkit_version" \
    ./cmd/buildkitd ./cmd/buildctl ./frontend/dockerfile/cmd/dockerfile-frontend
  CGO_ENABLED=0 compile_module "github.com/docker/docker@$docker_version" "dockerversion.Version=$(number "$docker_version")" ./cmd/dockerd ./cmd/docker-proxy
  CGO_ENABLED=0 compile_module "github.com/docker/cli@$docker_cli_version" "cli/version.Version=$(number "$docker_cli_version")" ./cmd/docker
  CGO_ENABLED=0 compile_module "github.com/docker/buildx@$buildx_version" "version.Version=$buildx_version" ./cmd/buildx
  printf '%s\n' "$stamp" >"$bin/machine/stamp"
}

# number VERSION: v28.5.2+incompatible is 28.5.2.
number() { local version=${1#v}; printf '%s' "${version%+incompatible}"; }

# compile_module MODULE@VERSION VARIABLE=VALUE PACKAGE... compiles programs of a
# module with the dependencies that its own go.mod names, or Docker's
# vendor.mod. The variable is what the programs print as their version.
compile_module() (
  source=$(cd / && go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  if [[ ! -f $source/go.mod ]]; then
    copy=$(mktemp -d)
    trap 'rm -rf -- "$copy"' EXIT
    cp -r --no-preserve=mode "$source/." "$copy"
    source=$copy
    rm -rf -- "$source/vendor"
    mv "$source/vendor.mod" "$source/go.mod"
    mv "$source/vendor.sum" "$source/go.sum"
  fi
  cd "$source"
  go build -buildvcs=false -trimpath -ldflags="-s -w -X ${1%@*}/$2" -o "$bin/machine" "${@:3}"
)

main "$@"
