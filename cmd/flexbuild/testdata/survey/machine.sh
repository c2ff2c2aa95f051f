#!/usr/bin/env bash
# What the machine of a build is like, as lines "[survey] NAME: VALUE". It
# changes nothing, and prints no variable that could hold a secret.
set -u
tab=$(printf '\t')

# fact NAME VALUE
fact() { printf '[survey] %s: %s\n' "$1" "${2//$'\n'/ | }"; }

# ask NAME COMMAND…: its first three lines, and its status if that is not 0.
ask() {
  local name=$1 said
  shift
  said=$(timeout 20 "$@" 2>&1 | head -n 3; exit "${PIPESTATUS[0]}") || said+=" (exit status $?)"
  fact "$name" "${said//$tab/ }"
}

# where NAME PATH: the file system that a path is on.
where() {
  local at
  at=$(stat -c %m -- "$2" 2>&1) || { fact "$1" "$at" && return; }
  fact "$1" "$2 is $(stat -f -c '%T' -- "$2"), mounted at $(awk -v at="$at" '$2 == at { line = $2 " from " $1 " as " $3 " " $4 } END { print substr(line, 1, 200) }' /proc/self/mounts), $(stat -f -c '%a of %b blocks of %S bytes free' -- "$2")"
}

fact bash "$BASH_VERSION"
fact user "$(id -u)"
fact umask "$(umask)"
fact locale "LANG=${LANG-unset} LC_ALL=${LC_ALL-unset}"
fact system "$(grep -h '^PRETTY_NAME=' /etc/os-release)"
fact kernel "$(uname -r) on $(uname -m)"
fact processors "$(grep -c '^processor' /proc/cpuinfo), $(grep '^MemTotal' /proc/meminfo)"
fact 'variables that are set' "$(compgen -e | tr '\n' ' ')"
for name in HOME DOCKER_HOST BUILDKIT_HOST BUILDX_BUILDER CODEBUILD_BUILD_ARN CODEBUILD_BUILD_ID CODEBUILD_BUILD_IMAGE CODEBUILD_INITIATOR \
  CODEBUILD_LOG_PATH CODEBUILD_RESOLVED_SOURCE_VERSION CODEBUILD_SOURCE_REPO_URL CODEBUILD_SOURCE_VERSION CODEBUILD_SRC_DIR; do
  fact "$name" "${!name-unset}"
done
fact 'role credentials' "${AWS_CONTAINER_CREDENTIALS_RELATIVE_URI+from 169.254.170.2}${AWS_CONTAINER_CREDENTIALS_FULL_URI+from a URL of its own}"

for program in $PROGRAMS; do
  fact "program $program" "$(command -v "$program" || echo missing)"
done
for program in tar gzip sha256sum awk timeout git aws curl; do
  ask "version of $program" "$program" --version
done
ask 'version of iptables' iptables --version

where 'file system of /' /
where 'file system of HOME' "$HOME"
where 'file system of /tmp' /tmp
where 'file system of the source' "$CODEBUILD_SRC_DIR"
where 'file system of Docker' /var/lib/docker
where 'file system of cgroups' /sys/fs/cgroup
ask 'files of the machine' bash -c '[[ ! -L /usr && -L /lib64 ]] && echo usable || ls -ld /usr /lib64'
ask emulators bash -c 'ls /proc/sys/fs/binfmt_misc'

buildkitd=$(PATH=$PATH:/usr/libexec/finch command -v buildkitd) || buildkitd=missing
fact buildkitd "$buildkitd"
ask 'version of buildkitd' "$buildkitd" --version
ask 'version of docker' docker version --format '{{.Client.Version}}, server {{.Server.Version}}'
ask 'version of buildx' docker buildx version
ask 'docker info' docker info --format 'server {{.ServerVersion}}, storage {{.Driver}} {{.DriverStatus}}, cgroups {{.CgroupVersion}} {{.CgroupDriver}}, runtime {{.DefaultRuntime}}, mirrors {{.RegistryConfig.Mirrors}}, root {{.DockerRootDir}}'
ask builders docker buildx ls
ask 'entrypoint of Docker' ls /usr/local/bin/dockerd-entrypoint.sh
ask 'entrypoint starts' grep -h 'dockerd' /usr/local/bin/dockerd-entrypoint.sh
ask 'settings of Docker' cat /etc/docker/daemon.json
ask 'hosts.toml of docker.io' bash -c 'ls /etc/docker/certs.d/docker.io/hosts.toml 2>/dev/null || echo none'
ask 'certificates of Docker' bash -c 'ls -A /etc/docker/certs.d 2>/dev/null || echo none'
ask 'chain DOCKER-USER' iptables -w 10 -n -L DOCKER-USER
ask 'port 2375' bash -c 'exec 3<>/dev/tcp/127.0.0.1/2375 && printf "GET /version HTTP/1.0\r\n\r\n" >&3 && head -n 1 <&3'
