#!/usr/bin/env bash
# Runs `make demo` and `make test` on a machine with nothing: a minimal Debian
# in a folder, with git, make and gcc, and the Go and the Node of this machine.
# Root runs them there, in a clone that another user owns. Of this machine's
# settings it gets those that lead to package registries.
#
#   tools/test-fresh.sh             removes the machine at the end
#   tools/test-fresh.sh FOLDER      makes it in FOLDER, which must not exist, and leaves it
#
# It tests the last commit, needs root, debootstrap and 6 GB of disk, and takes
# half an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

# version_of NAME: the version that the project's list has.
version_of() { awk -v name="$1" '$2 == name { print $3; found = 1 } END { exit !found }' internal/versions/versions.txt; }

suite=$(version_of debian)
say() { printf 'fresh: %s\n' "$1" >&2; }

main() {
  tools/install.sh fresh
  if (($#)); then
    machine=$1
    mkdir "$machine"
  else
    machine=$(mktemp -d /var/tmp/flexbuild-fresh.XXXXXX)
    trap 'rm -rf --one-file-system "$machine"' EXIT
  fi
  machine=$(realpath "$machine")
  chmod 755 "$machine"
  debian
  toolchains
  registries
  clone
  newcomer
}

debian() {
  local mirror
  # shellcheck disable=SC2016 # apt-get expands it
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" | head -n 1)
  say "making a minimal Debian $suite in $machine"
  # shellcheck disable=SC2086 # none, or one
  debootstrap --variant=minbase --include=ca-certificates,git,make,gcc "$suite" "$machine" $mirror >"$machine.log" ||
    { tail -n 20 "$machine.log" >&2; exit 1; }
  rm "$machine.log"
  rm -f "$machine"/var/cache/apt/archives/*.deb
}

# As a newcomer gets them: unpacked into /usr/local.
toolchains() {
  local lib=$machine/usr/local/lib/node_modules
  cp -a "$(go env GOROOT)" "$machine/usr/local/go"
  cp "$(readlink -f "$(command -v node)")" "$machine/usr/local/bin/node"
  mkdir -p "$lib"
  cp -a "$(npm root --global)/npm" "$lib/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$machine/usr/local/bin/npm"
}

# What leads to the package registries, whatever they are: names and addresses,
# certificates, and the settings of apt, npm and, by the environment, of Go.
registries() {
  local file
  cp -L /etc/resolv.conf /etc/hosts "$machine/etc"
  # Where Debian adds them again when a package renews the bundle.
  cp -L /etc/ssl/certs/ca-certificates.crt "$machine/usr/local/share/ca-certificates/registries.crt"
  chroot "$machine" update-ca-certificates >/dev/null 2>&1 # and warns of those that it has twice
  apt-config dump Acquire >"$machine/etc/apt/apt.conf.d/99registries"
  cp -r /etc/apt/auth.conf* "$machine/etc/apt/" 2>/dev/null || true
  mkdir -p "$machine/usr/local/etc"
  file=$(npm config get globalconfig)
  if [[ -f $file ]]; then cp "$file" "$machine/usr/local/etc/npmrc"; fi
  file=$(npm config get userconfig)
  if [[ -f $file ]]; then cp "$file" "$machine/root/.npmrc"; fi
}

# A clone that is not root's.
clone() {
  chroot "$machine" useradd --create-home newcomer
  GIT_CONFIG_GLOBAL=cmd/flexbuild/testdata/gitconfig git clone --quiet --no-hardlinks . "$machine/home/newcomer/flexbuild"
  chroot "$machine" chown -R newcomer: /home/newcomer/flexbuild
}

# In namespaces of its own: what is mounted and started in there ends with it.
newcomer() {
  local variables=(HOME=/root LANG=C.UTF-8 PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
  local name
  for name in $(compgen -e | grep -i '_proxy$'); do variables+=("$name=${!name}"); done
  for name in GOPROXY GONOPROXY GOPRIVATE GOSUMDB GONOSUMDB GOINSECURE; do variables+=("$name=$(go env "$name")"); done
  # shellcheck disable=SC2016 # the machine's own shell expands it
  unshare --mount --pid --fork --kill-child --propagation private bash -c '
    set -e
    mount --bind "$1" "$1"
    cd "$1"
    shift
    mount --rbind /sys sys
    mount --rbind /dev dev
    mount -t proc proc proc
    pivot_root . mnt
    umount --lazy mnt
    exec chroot . env -i "$@" bash -s' fresh "$machine" "${variables[@]}" <<'END'
set -uo pipefail
cd /home/newcomer/flexbuild
bare=$(du -sxm / | cut -f 1)
failed=0
for command in demo test; do
  SECONDS=0
  make "$command" </dev/null
  status=$?
  printf 'fresh: make %s: exit status %d after %d s\n' "$command" "$status" "$SECONDS" >&2
  ((status == 0)) || failed=1
  printf 'fresh: disk so far: %d MB; of these downloads: %d MB\n' "$(($(du -sxm / | cut -f 1) - bare))" \
    "$(du -cm /root/go/pkg/mod/cache/download /root/.npm/_cacache /var/cache/apt/archives 2>/dev/null | tail -n 1 | cut -f 1)" >&2
done
rooted=$(find . -user root)
if [[ -n $rooted ]]; then
  printf 'fresh: root left files in the clone:\n%s\n' "$rooted" >&2
  failed=1
fi
exit "$failed"
END
}

main "$@"
