#!/usr/bin/env bash
# The first process of a machine, in namespaces of its own. The machine's root
# is this machine's with the files of DIRECTORY/files laid over it; what the
# machine writes goes there too. The script prints a line when the root is
# there, and stops the machine when its standard input ends.
#
#   machine.sh DIRECTORY
set -euo pipefail
root=$1/root

mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/files,workdir=$1/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
# As on CodeBuild, Docker's state is not on the overlay.
mount --bind "$1/docker" "$root/var/lib/docker"
cd "$root"
pivot_root . mnt
umount --lazy /mnt

printf 'ready\n'
read -r || true
# Containers have control groups, which outlive the namespaces.
timeout 60 docker ps --all --quiet | timeout 60 xargs --no-run-if-empty docker rm --force >/dev/null 2>&1 || true
