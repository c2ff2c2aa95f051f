#!/usr/bin/env bash
# Every test. A part that fails does not keep the others from running; what
# failed is said at the end.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# Root tests a clone that another user owns too, which git would not be asked
# about.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

# Many tests wait, for a process to start or for a client's next look at
# something, so more of them run at a time than there are cores. The time limit
# is a package's; on a busy machine cmd/flexbuild takes more than Go's 10 minutes.
options=(-timeout=45m -parallel=4)

failed=()
part() {
  local name=$1
  shift
  "$@" || failed+=("$name")
}

packages=$(go list ./...) || exit
mapfile -t packages < <(grep -v /infra <<<"$packages")

# infra waits for Node.js most of the time, so it runs beside the others. It runs
# without -race because jsii-runtime-go closes its process in two goroutines.
infra=$(mktemp)
trap 'rm -f "$infra"' EXIT
go test "${options[@]}" ./infra/... >"$infra" 2>&1 &
infra_tests=$!

part 'the tests of all but infra' go test "${options[@]}" -race "${packages[@]}"
part examples/cdk-app go test -C examples/cdk-app "${options[@]}" ./... # a module of its own, as users have
part infra wait "$infra_tests"
cat "$infra"

if ((${#failed[@]})); then
  printf 'flexbuild: FAILED: %s\n' "${failed[@]}" >&2
  exit 1
fi
