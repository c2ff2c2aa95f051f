#!/usr/bin/env bash
# The main job, end to end, on this machine: a stack, a build, an image.
set -euo pipefail
cd "$(dirname "$0")/.."

export FLEXBUILD_STATE_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/flexbuild/demo
bold='' plain=''
if [[ -t 1 && -t 2 && -z ${NO_COLOR:-} ]]; then bold=$'\033[1m' plain=$'\033[0m'; fi
step() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain" >&2; }

go build -o bin/flexbuild ./cmd/flexbuild
CGO_ENABLED=0 go build -trimpath -o examples/hello/hello ./examples/hello
PATH=$PWD/bin:$PATH

step 'flexbuild local &   # the local engine, with the stack of infra/template.json'
flexbuild local &
engine=$!
trap 'kill "$engine" && wait "$engine" || true' EXIT
flexbuild local wait

step 'flexbuild build --local examples/hello -t app:hello'
image=$(flexbuild build --local examples/hello -t app:hello)
printf '%s\n' "$image"

step "inspect $image   # pulls it, by its digest"
eval "$(flexbuild local env)"
go run ./examples/inspect "$image"
