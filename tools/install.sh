#!/usr/bin/env bash
# Brings what running, demonstrating and testing flexbuild needs onto this
# machine: Debian packages by name, and the programs of the tools module,
# compiled once into a cache outside the source tree.
#
#   tools/install.sh demo    what `make demo` needs
#   tools/install.sh test    what `make test` and `make lint` need besides
#   tools/install.sh tools   buildkitd, buildx and staticcheck only
#   tools/install.sh cdk     the CDK CLI only
#   tools/install.sh bench   what `make bench-context` needs besides
set -euo pipefail
cd "$(dirname "$0")"

bin=${FLEXBUILD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/flexbuild/bin}

# npm's latest, 3.0, cannot read what awscdk v2 synthesizes.
cdk_version=2.1148.1

say() { printf 'flexbuild: %s\n' "$1" >&2; }

main() {
  case ${1:-} in
    demo)
      container_builder
      ;;
    test)
      package runc runc 'buildkitd runs the steps of a build in it'
      programs
      package busybox busybox-static 'the base image of the tests is made from it'
      package shellcheck shellcheck 'it checks the scripts'
      package aws awscli 'the tests use the local engine with it'
      docker_daemon
      cdk
      ;;
    tools)
      programs
      ;;
    cdk)
      cdk
      ;;
    bench)
      package zip zip 'make bench-context compares with it'
      ;;
    *)
      say "usage: $0 demo|test|tools|cdk|bench"
      exit 64
      ;;
  esac
}

# A Docker daemon with buildx does; otherwise BuildKit is compiled from source.
container_builder() {
  if docker info >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; then
    say 'the Docker daemon of this machine builds the images'
    return
  fi
  if [[ $(id -u) != 0 ]]; then
    say 'no Docker daemon with buildx answers, and BuildKit without one needs root; start Docker, or run: sudo make demo'
    exit 69
  fi
  package runc runc 'buildkitd runs the steps of a build in it'
  programs
}

# Builds are tested with a Docker daemon too: this machine's, else the tests start
# one of their own.
docker_daemon() {
  if docker info >/dev/null 2>&1; then return; fi
  package dockerd docker.io 'the tests build with a Docker daemon too'
  package iptables iptables 'the Docker daemon sets up its network with it'
}

# The pinned CDK CLI, in a folder of its own beside the programs.
cdk() {
  if [[ $("$bin/cdk" --version 2>/dev/null) == "$cdk_version "* ]]; then return; fi
  package node nodejs 'the CDK runs on it'
  package npm npm 'the CDK CLI comes from its registry'
  say "installing aws-cdk@$cdk_version into $bin/aws-cdk"
  npm install --silent --no-audit --no-fund --prefix "$bin/aws-cdk" "aws-cdk@$cdk_version"
  ln -sf aws-cdk/node_modules/.bin/cdk "$bin/cdk"
}

# package COMMAND NAME WHY: installs Debian's package NAME unless COMMAND is there.
package() {
  ! command -v "$1" >/dev/null || return 0
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    say "$1 is missing ($3); run: sudo apt-get install --yes $2"
    exit 69
  fi
  say "installing $2: $3"
  [[ -n $(find /var/lib/apt/lists -name '*Packages*' -mtime -7 -print -quit 2>/dev/null) ]] || apt-get update --quiet=2
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends --quiet=2 "$2" >/dev/null
}

# The programs of the tools module, again only when the module changes.
programs() {
  local stamp
  stamp=$(cat go.mod go.sum | sha256sum)
  if [[ -f $bin/stamp && $(<"$bin/stamp") == "$stamp" ]]; then return; fi
  say "compiling buildkitd, buildx and staticcheck into $bin: some minutes, once"
  mkdir -p "$bin"
  go build -trimpath -ldflags='-s -w' -o "$bin" tool
  printf '%s\n' "$stamp" >"$bin/stamp"
}

main "$@"
