#!/usr/bin/env bash
# The main job, end to end, on this machine: a stack, a build, an image.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/flexbuild
mkdir -p "$cache" bin
# A state directory of its own: no other engine can be taken for the demo's.
FLEXBUILD_STATE_DIR=$(mktemp -d "$cache/demo.XXXXXX")
export FLEXBUILD_STATE_DIR
bold='' plain=''
if [[ -t 1 && -t 2 && -z ${NO_COLOR:-} ]]; then bold=$'\033[1m' plain=$'\033[0m'; fi
step() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain" >&2; }

engine=
finish() {
  if [[ -n $engine ]] && kill "$engine" 2>/dev/null; then wait "$engine" || true; fi
  rm -rf "$FLEXBUILD_STATE_DIR"
  # Root's files in another user's clone would stop that user's next build.
  if [[ $(id -u) == 0 ]]; then chown -R --reference=Makefile bin examples/hello; fi
}
trap finish EXIT

[[ -e /usr/include/stdlib.h ]] || export CGO_ENABLED=0 # a C compiler without its library is no use
go build -buildvcs=false -o bin/flexbuild ./cmd/flexbuild
go build -buildvcs=false -trimpath -o examples/hello/hello ./examples/hello
PATH=$PWD/bin:$PATH

step 'flexbuild local &   # the local engine, with the stack of infra/template.json'
flexbuild local &
engine=$!
until flexbuild local wait --timeout 1s 2>/dev/null; do
  kill -0 "$engine" # ends the demo if the engine has ended, which said why
done

step 'flexbuild build --local examples/hello -t app:hello'
image=$(flexbuild build --local examples/hello -t app:hello)
printf '%s\n' "$image"

step "inspect $image   # pulls it, by its digest"
eval "$(flexbuild local env)"
go run -buildvcs=false ./examples/inspect "$image"
