// Package fleetbench measures how the runner watches many builds at once, in
// virtual time (testing/synctest) and beside a poller per build:
//
//	make bench-fleet           # prints the tables, and fails where a promise is not kept
//	make bench-fleet WRITE=1   # writes them and the plots into docs/scale.md too
//
// An account is the local engine with simulated builds, behind a network that
// takes time and quotas that hold. A fleet is the builds, which start together
// and take one to ten minutes. A watcher waits for them: the runner's client,
// or a poller per build. What it saw is compared with what the builds did.
//
// Without -all, as in make test, the fleets are small.
package fleetbench
