#!/usr/bin/env bash
# Every test. A part that fails does not keep the others from running; what
# failed is said at the end.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# Root tests a clone that another user owns too, which git would not be asked
# about.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

failed=()
part() {
  local name=$1
  shift
  "$@" || failed+=("$name")
}

# The time limit is a package's; on a busy machine cmd/flexbuild takes more than
# Go's 10 minutes.
limit=-timeout=30m

packages=$(go list ./...) || exit
mapfile -t packages < <(grep -v /infra <<<"$packages")
part 'the tests of all but infra' go test "$limit" -race "${packages[@]}"
part infra go test "$limit" ./infra/... # without -race: jsii-runtime-go closes its process in two goroutines
part examples/cdk-app go test -C examples/cdk-app "$limit" ./... # a module of its own, as users have

if ((${#failed[@]})); then
  printf 'flexbuild: FAILED: %s\n' "${failed[@]}" >&2
  exit 1
fi
