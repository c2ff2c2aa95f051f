#!/usr/bin/env bash
# How the registries that base images come from treat this machine, as lines
# "[survey] NAME: VALUE". HUB, HUB_TOKEN, PUBLIC and PUBLIC_TOKEN are URLs. It
# sends 1 HEAD request for a manifest to Docker Hub and 2 times 12 to ECR
# Public.
set -u
pulls=12

fact() { printf '[survey] %s: %s\n' "$1" "${2//$'\n'/ | }"; }

# get URL [OPTIONS OF CURL]: what curl must not show in the list of processes
# comes from stdin, as its configuration.
get() { curl --silent --show-error --max-time 30 --config - "${@:2}" -- "$1" 2>&1; }

# token TEXT: that of a registry's answer.
token() { sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p' <<<"$1"; }

docker_hub() {
  local answer token
  answer=$(get "$HUB_TOKEN" <<<'')
  token=$(token "$answer")
  [[ -n $token ]] || { fact 'Docker Hub' "no token: ${answer:0:300}" && return; }
  answer=$(get "$HUB/v2/ratelimitpreview/test/manifests/latest" --head <<<"header = \"Authorization: Bearer $token\"")
  fact 'Docker Hub' "$(grep -iE '^(HTTP/|ratelimit-|docker-ratelimit-)' <<<"$answer" | tr -d '\r')"
}

# ecr_public NAME CONFIGURATION: how many of some requests at once are answered.
ecr_public() {
  local answer token began took dir i
  answer=$(get "$PUBLIC_TOKEN" <<<"$2")
  token=$(token "$answer")
  [[ -n $token ]] || { fact "$1" "no token: ${answer:0:300}" && return; }
  dir=$(mktemp -d)
  began=$(date +%s%N)
  for ((i = 0; i < pulls; i++)); do
    get "$PUBLIC/v2/docker/library/busybox/manifests/latest" --head --output /dev/null --write-out '%{http_code}\n' \
      <<<"header = \"Authorization: Bearer $token\"" >"$dir/$i" &
  done
  wait
  took=$((($(date +%s%N) - began) / 1000000))
  fact "$1" "$pulls requests in $took ms: $(cat "$dir"/* | sort | uniq -c | awk '{ printf "%s%s times %s", (NR > 1 ? ", " : ""), $1, $2 }')"
  rm -r -- "$dir"
}

docker_hub
ecr_public 'ECR Public without a login' ''
if password=$(timeout 60 aws ecr-public get-login-password --region us-east-1 2>&1); then
  fact 'login to ECR Public' 'the role may'
  ecr_public 'ECR Public with a login' "user = \"AWS:$password\""
else
  fact 'login to ECR Public' "${password##*$'\n'}"
fi
