#!/usr/bin/env bash
# Every test. A part that fails does not keep the others from running; what
# failed is said at the end.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# Root tests a clone that another user owns too, which git would not be asked
# about.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

# The time limit is a package's; on a busy machine cmd/flexbuild takes more than
# Go's 10 minutes.
limit=-timeout=45m

failed=()
part() {
  local name=$1
  shift
  "$@" || failed+=("$name")
}

# Parts that wait most of the time, for a process to start or for a client's next
# look at something, run beside the others. What they print follows at the end.
outputs=$(mktemp -d)
declare -A beside=()
trap 'kill "${beside[@]}" 2>/dev/null; rm -rf "$outputs"' EXIT
beside() {
  local name=$1
  shift
  "$@" >"$outputs/${#beside[@]}" 2>&1 &
  beside[$name]=$!
}

packages=$(go list ./...) || exit
mapfile -t packages < <(grep -v -e /infra -e '/buildspec$' -e /cmd/flexbuild -e /agent$ -e /fleetbench$ <<<"$packages")

# The race detector doubles the work of a program, and more than that of one
# which starts another time for each command of a build. It watches the packages
# whose code does several things at a time, and the command where it does. Not
# infra, because jsii-runtime-go closes its process in two goroutines; not
# buildspec, whose tests run the script in bash; not agent and fleetbench, whose
# code runs in the tests of local and runner as well.
export GORACE=atexit_sleep_ms=10 # by default each program waits a second at its end
raced='TestView|TestUp|TestLocalDeploy|TestScripts$/^(batch|stop|terminal)$'
beside infra go test "$limit" ./infra/...
beside buildspec go test "$limit" ./buildspec
beside 'the command' go test "$limit" -parallel 4 ./cmd/flexbuild -skip "$raced"
beside 'the release' go test -C tools "$limit" ./...
part 'the command, with the race detector' go test "$limit" -race ./cmd/flexbuild -run "$raced"
part 'all other packages' go test "$limit" -p 2 -race "${packages[@]}"
part 'packages without the race detector' go test "$limit" -p 2 ./local/internal/agent ./runner/fleetbench
part examples/cdk-app go test -C examples/cdk-app "$limit" ./... # a module of its own, as users have
for name in "${!beside[@]}"; do
  part "$name" wait "${beside[$name]}"
done
cat "$outputs"/*

if ((${#failed[@]})); then
  printf 'flexbuild: FAILED: %s\n' "${failed[@]}" >&2
  exit 1
fi
