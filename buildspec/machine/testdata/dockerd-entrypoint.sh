#!/bin/sh
# CodeBuild's standard images start their Docker daemon so.
dockerd \
  --host=unix:///var/run/docker.sock \
  --host=tcp://127.0.0.1:2375 \
  --storage-driver=overlay2 >/var/log/docker.log 2>&1 &
tries=0
until docker info >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ $tries -gt 600 ]; then
    cat /var/log/docker.log >&2
    exit 1
  fi
  sleep 0.1
done
