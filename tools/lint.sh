#!/usr/bin/env bash
# Every check that reads the code without running it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Git distrusts a clone that another user owns, which root may check all the
# same.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [[ -n $unformatted ]]; then
  printf 'not formatted, run gofmt -w on:\n%s\n' "$unformatted" >&2
  exit 1
fi
for module in . tools; do
  go vet -C "$module" ./...
  (cd "$module" && "$FLEXBUILD_TOOLS/staticcheck" ./...)
done
for system in darwin windows; do # no test runs there
  CGO_ENABLED=0 GOOS=$system go build -trimpath -o /dev/null ./cmd/flexbuild
done
git ls-files '*.sh' .ci/run | xargs shellcheck
"$FLEXBUILD_TOOLS/actionlint" examples/github-actions/*.yml
if command -v cfn-lint >/dev/null; then
  cfn-lint infra/testdata/*.json
  # cfn-lint knows an older limit of the timeout (W1030), and splits the empty
  # list of subnets where a condition leaves it out (W1033).
  cfn-lint --ignore-checks W1030 W1033 -- infra/template.json
else
  echo 'lint: NOT CHECKED: the templates of infra, because cfn-lint is not installed (pip install cfn-lint)' >&2
fi
