#!/usr/bin/env bash
# The script of every build: one Dockerfile becomes a pushed image.
#
# What to build arrives in environment variables, which docs/contract.md
# documents and this package's Params types. Every value is data, never code.
#
# Exit statuses: 1 buildx failed, 64 a variable is wrong, 66 the source lacks
# something, 69 the registry refuses, 70 the image has no digest, 71 a command
# of this script failed. Each failure ends with one line "error".
set -euo pipefail
umask 022
unset CDPATH
export LC_ALL=C
work=$HOME/.flexbuild
# What the last command said, and what the last build or push did.
log=$work/command.log
built=$work/build.log
meta=$work/metadata.json

main() {
  say begin
  trap finish EXIT
  read_settings
  read_bases
  read_options
  fetch_source
  enter_context
  ask_registries
  guard_credentials
  choose_builder
  check_answers "$logins"
  check_answers "$repositories"
  log_in_to_ecr_public
  choose_cache
  build_and_push
  report
  save_cache
}

# Lines for readers of the log; control characters cannot forge one.
say() { printf '[flexbuild %s] %s\n' "$CODEBUILD_BUILD_ID" "${1//[[:cntrl:]]/ }"; }
note() { say "note $1"; }
fail() {
  explained=yes
  say "error $2"
  exit "$1"
}

finish() {
  local status=$? command=$BASH_COMMAND
  [[ -z ${own_builder:-} ]] || stop_builder
  [[ -z ${loaded:-} ]] || quietly timeout 60 docker rmi "$loaded" "${tags[@]/#/$registry/}" || :
  if ((status)) && [[ -z ${explained:-} ]]; then
    say "error the build's script stopped with status $status at: ${command:0:200}"
    status=71
  fi
  say 'done'
  exit "$status"
}

# quietly runs a program and writes what it prints to the log. It is not for
# functions, and groups of commands are not redirected so either: the trap of a
# signal would write its lines to the log too.
quietly() { "$@" >"$log" 2>&1; }

# last_line FILES: of what commands said.
last_line() { grep -ahv '^[[:space:]]*$' "$@" | tail -n 1 || :; }

# matches VARIABLE VALUE REGEX: a value that is not of its form ends the build.
matches() { [[ $2 =~ ^($3)$ ]] || fail 64 "$1: \"${2:0:200}\" is not of the form $3"; }

name='[a-z0-9]+([._-][a-z0-9]+)*' host='[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?'

read_settings() {
  local own_region own_account suffix=amazonaws.com tag
  IFS=: read -r _ _ _ own_region own_account _ <<<"$CODEBUILD_BUILD_ARN"
  region=${REGION:-$own_region} account=${ACCOUNT:-$own_account}
  matches REGION "$region" '[a-z0-9-]+'
  matches ACCOUNT "$account" '[0-9]{12}'
  [[ $region != cn-* ]] || suffix+=.cn
  # The stack's registry serves its own account and region only.
  registry=${REGISTRY:-}
  if [[ -z $registry || $region != "$own_region" || $account != "$own_account" ]]; then
    registry=$account.dkr.ecr.$region.$suffix
  fi
  matches REGISTRY "$registry" "$host"
  # The cache stays at home, wherever the image goes.
  home=$registry home_region=$region home_account=$account
  [[ -z ${REGISTRY:-} ]] || home=$REGISTRY home_region=$own_region home_account=$own_account

  matches CACHE_REPOSITORY "${CACHE_REPOSITORY:-}" "($name(/$name)*)?"
  read -r -d '' -a tags <<<"${TAG:-}" || :
  ((${#tags[@]})) || fail 64 'TAG: give at least one repository:tag'
  for tag in "${tags[@]}"; do
    matches TAG "$tag" "$name(/$name)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    [[ ${tag%%:*} != "${CACHE_REPOSITORY:-}" ]] || fail 64 "TAG: \"$tag\" names the repository of caches: name another"
  done
  [[ $TAG != *[$'\t\n']* ]] || fail 64 'TAG: put spaces between the tags, and nothing else'
  repository=${tags[0]%%:*}

  cache=${CACHE:-registry}
  matches CACHE "$cache" 'registry|inline|none'
  matches PLATFORMS "${PLATFORMS:-}" '([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+){0,2})?'
  matches PULL "${PULL:-off}" 'on|off'
  matches NO_CACHE "${NO_CACHE:-off}" 'on|off'
  matches PROVENANCE "${PROVENANCE:-off}" 'off|min|max'
  matches SBOM "${SBOM:-off}" 'on|off'
  matches SOURCE_SHA256 "${SOURCE_SHA256:-}" '([0-9a-f]{64})?'
  matches GIT_CHECKSUM "${GIT_CHECKSUM:-}" '([0-9a-f]{7,64})?'
  [[ -z ${GIT_URL:-} || -z ${SOURCE_SHA256:-} ]] || fail 64 'SOURCE_SHA256: GIT_URL names another source: give one of them'
  [[ -z ${GIT_REF:-} || -n ${GIT_URL:-} ]] || fail 64 'GIT_REF: it goes with GIT_URL; of another source give sourceVersion'
}

# Where base images come from: mirrors of registries, several a registry in
# order, and registries to log in to.
read_bases() {
  local pair pairs base bases
  read -r -d '' -a pairs <<<"${MIRRORS:-}" || :
  declare -gA mirrors=()
  for pair in "${pairs[@]}"; do
    matches MIRRORS "$pair" "$host=$host(/$name)*"
    mirrors[${pair%%=*}]+="${pair#*=} "
  done
  registries=("$registry")
  read -r -d '' -a bases <<<"$home ${BASE_REGISTRIES:-}" || :
  for base in "${bases[@]}"; do
    matches BASE_REGISTRIES "$base" "$host"
    [[ $base == "$registry" ]] || registries+=("$base")
  done
  matches CACHE_EXPIRY_IN_DAYS "${CACHE_EXPIRY_IN_DAYS:-}" '[0-9]{0,4}'
  matches CREATE_ON_PUSH "${CREATE_ON_PUSH:-}" '([a-z0-9._/-]+( |$))*'
}

# Options that buildx gets as the caller gave them.
read_options() {
  options=()
  [[ -z ${TARGET:-} ]] || options+=("--target=$TARGET")
  [[ -z ${PLATFORMS:-} ]] || options+=("--platform=$PLATFORMS")
  add_pairs BUILD_ARGS --build-arg "${BUILD_ARGS:-}"
  add_pairs LABELS --label "${LABELS:-}"
  add_secrets
}

# add_pairs VARIABLE FLAG PAIRS: adds a FLAG for each pair of a form
# (application/x-www-form-urlencoded). Only percent escapes reach printf.
add_pairs() {
  local pair pairs text
  matches "$1" "$3" '([A-Za-z0-9*._~+=&-]|%[0-9A-Fa-f]{2})*'
  [[ $3 != *%00* ]] || fail 64 "$1: %00 cannot be passed on"
  IFS='&' read -r -a pairs <<<"$3"
  for pair in "${pairs[@]}"; do
    [[ -n $pair ]] || continue
    [[ $pair == [^=]*=* && ${pair%%=*} != *%3[Dd]* ]] || fail 64 "$1: \"$pair\" is not name=value"
    text=${pair//+/ }
    printf -v text %b "${text//%/\\x}"
    options+=("$2=$text")
  done
}

# Each id of SECRETS has its secret in a variable, where buildx finds it.
add_secrets() {
  local id ids variable
  read -r -d '' -a ids <<<"${SECRETS:-}" || :
  for id in "${ids[@]}"; do
    matches SECRETS "$id" '[A-Za-z0-9_][A-Za-z0-9_.-]*'
    variable=SECRET_${id//[-.]/_}
    [[ -n ${!variable:-} ]] || fail 64 "SECRETS: there is no $variable"
    options+=("--secret=id=$id,env=$variable")
  done
}

# fetch_source sets source_dir and commit: a clone of GIT_URL, the unpacked
# archive, or what CodeBuild downloaded.
fetch_source() {
  source_dir=$CODEBUILD_SRC_DIR commit=''
  rm -rf -- "$work/source"
  if [[ -n ${GIT_URL:-} ]]; then
    clone "$GIT_URL" "${GIT_REF:-HEAD}"
  elif [[ -n ${SOURCE_SHA256:-} ]]; then
    unpack "$CODEBUILD_SRC_DIR/source.tar.gz"
  elif [[ ${CODEBUILD_SOURCE_REPO_URL:-} =~ ^https?:// ]]; then
    [[ $CODEBUILD_SOURCE_REPO_URL != https://github.com/octocat/Hello-World* ]] || no_source
    commit=$(git --git-dir="$source_dir/.git" rev-parse --verify --quiet HEAD 2>/dev/null) || commit=${CODEBUILD_RESOLVED_SOURCE_VERSION:-}
  elif [[ -z $(ls -A -- "$source_dir") ]]; then
    no_source
  fi
  unset GIT_TOKEN
  [[ -z ${GIT_CHECKSUM:-} || ${commit:-none} == "$GIT_CHECKSUM"* ]] ||
    fail 66 "GIT_CHECKSUM: the source is ${commit:-no repository}, not $GIT_CHECKSUM"
  source_dir=$(cd -P -- "$source_dir" && printf %s "$PWD")
  [[ -z $commit ]] || drop_history
}

no_source() { fail 66 'the build has no source: give a source (sourceLocationOverride, or GIT_URL)'; }

# unpack ARCHIVE: it must be the one that the caller meant, whoever uploaded it.
unpack() {
  [[ -f $1 && ! -L $1 ]] || fail 66 'SOURCE_SHA256: the source holds no source.tar.gz'
  source_dir=$work/source
  mkdir -p "$source_dir"
  { gzip -dc -- "$1" | sha256sum; } >"$work/sum" 2>"$work/gzip.log" &
  quietly tar --extract --gzip --file "$1" --directory "$source_dir" --preserve-permissions --numeric-owner ||
    fail 66 "SOURCE_SHA256: the source cannot be unpacked: $(last_line "$log")"
  if ! wait "$!" || [[ $(<"$work/sum") != "$SOURCE_SHA256 "* ]]; then
    fail 66 "SOURCE_SHA256: the source does not have the digest $SOURCE_SHA256: delete that upload, or change a file of the directory"
  fi
  rm -f -- "$1"
}

# As for docker build, the history of a repository is no part of its context,
# unless it is asked for.
drop_history() {
  local keep='&BUILDKIT_CONTEXT_KEEP_GIT_DIR=(1|t|T|true|True|TRUE)&'
  [[ "&${BUILD_ARGS:-}&" =~ $keep ]] || rm -rf -- "$source_dir/.git"
}

clone() {
  local url=$1 want=$2 refs ref
  [[ $url =~ ^https?://[^][:space:][:cntrl:]/@[]+(/[^[:space:][:cntrl:]]*)?$ ]] ||
    fail 64 'GIT_URL: give an http or https URL without credentials in it'
  matches GIT_REF "$want" '[^][:space:][:cntrl:]~^:?*[\+-][^][:space:][:cntrl:]~^:?*[\]*'
  source_dir=$work/source
  # A submodule may name any URL. A build has no SSH key, and git waits without
  # a limit for servers of other protocols.
  export GIT_ALLOW_PROTOCOL=http:https GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=1 GIT_HTTP_LOW_SPEED_TIME=300
  if [[ -n ${GIT_TOKEN:-} ]]; then
    # git asks for the token for this host only, and finds it in the
    # environment.
    [[ $url =~ ^(https://[^/]+|http://(localhost|127\.0\.0\.1)(:[0-9]+)?)(/|$) ]] ||
      fail 64 'GIT_TOKEN: it is sent over https only'
    [[ $GIT_TOKEN == *:* ]] || GIT_TOKEN=git:$GIT_TOKEN
    local -x GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=credential.${BASH_REMATCH[1]}.helper
    # shellcheck disable=SC2016
    local -x GIT_CONFIG_VALUE_0='!printf "username=%s\npassword=%s\n" "${GIT_TOKEN%%:*}" "${GIT_TOKEN#*:}" #'
  fi
  refs=$(git ls-remote -- "$url" HEAD "$want" "refs/heads/$want" "refs/tags/$want" 2>"$log") || cannot_clone
  ref=$(find_ref "$want" "$refs") || ref=$want
  [[ $want != HEAD || -n $refs ]] || without_head
  init_repository "$refs"
  # A server may know no shallow clones, or hand out no bare commit.
  if git_source fetch --quiet --depth 1 origin "$ref" || git_source fetch --quiet origin "$ref"; then
    ref=FETCH_HEAD
  elif [[ $ref == "$want" ]]; then
    git_source fetch --quiet --tags origin '+refs/heads/*:refs/remotes/origin/*' || cannot_clone
  fi
  commit=$(git_source rev-parse --verify --quiet --end-of-options "$ref^{commit}") ||
    fail 66 "GIT_REF: $url has no branch, tag or commit \"$want\""
  git_source checkout --quiet --detach "$commit" -- ||
    fail 66 "GIT_URL: cannot check out $commit of $url: $(last_line "$log")"
  [[ ! -f $source_dir/.gitmodules ]] ||
    git_source submodule --quiet update --init --recursive ||
    fail 66 "GIT_URL: cannot fetch submodules of $url: $(last_line "$log")"
}

git_source() { git -C "$source_dir" "$@" 2>"$log"; }

# find_ref NAME REFS: what the name means in docker's order: branches go first.
# A branch that is called HEAD is not the default one.
find_ref() {
  local candidate candidates=("refs/heads/$1" "refs/tags/$1" "refs/$1" "$1")
  [[ $1 != HEAD ]] || candidates=(HEAD)
  for candidate in "${candidates[@]}"; do
    [[ $'\n'"$2"$'\n' != *$'\t'"$candidate"$'\n'* ]] || { printf %s "$candidate" && return; }
  done
  return 1
}

# init_repository REFS: with hashes of the repository's kind.
init_repository() {
  local hash=${1%%[[:space:]]*} format=()
  [[ -n $hash ]] || hash=$want
  ((${#hash} != 64)) || format=(--object-format=sha256)
  git init --quiet "${format[@]}" "$source_dir"
  git_source remote add origin "$url"
}

without_head() {
  [[ -z $(git ls-remote --heads --tags -- "$url" 2>"$log") ]] ||
    fail 66 "GIT_URL: the HEAD of $url names a branch that does not exist: give GIT_REF"
  fail 66 "GIT_URL: the repository $url has no branch: push a commit first, or give the address that git clone takes"
}

# cannot_clone: git's last word, and what helps.
cannot_clone() {
  local said hint=''
  said=$(last_line "$log")
  case $said in
    *'Authentication failed'* | *'could not read Username'* | *'error: 403'*)
      hint=': it wants a login: name a secret with a token in GIT_TOKEN (--git-token)'
      [[ -z ${GIT_TOKEN:-} ]] || hint=': it refuses the token of GIT_TOKEN: check that it is valid and may read the repository'
      ;;
    *'not found'*) hint=': check the URL; a private repository needs GIT_TOKEN (--git-token)' ;;
    *'not valid: is this a git repository'*) hint=': what answers is no git repository: give the URL that git clone takes' ;;
  esac
  fail 66 "GIT_URL: cannot clone $url: ${said#fatal: }$hint"
}

# in_source PATH: it exists and, links followed, lies in the source.
in_source() {
  local path
  path=$(readlink -e -- "$1") && [[ $path/ == "$source_dir"/* ]]
}

enter_context() {
  local context=./${CONTEXT:-.} ignore
  dockerfile=./${DOCKERFILE:-Dockerfile}
  cd -P -- "$source_dir"
  need_inside CONTEXT "$context" directory -d
  cd -P -- "$context"
  [[ -n ${DOCKERFILE:-} || -e $dockerfile || ! -f ./dockerfile ]] || dockerfile=./dockerfile
  need_inside DOCKERFILE "$dockerfile" file -f
  for ignore in ./.dockerignore "$dockerfile.dockerignore"; do
    [[ ! -L $ignore ]] || need_inside .dockerignore "$ignore" file -f
  done
}

# need_inside VARIABLE PATH KIND TEST
need_inside() {
  if in_source "$2" && test "$4" "$2"; then return; fi
  [[ ! -e $2 ]] || in_source "$2" ||
    fail 66 "$1: \"${2#./}\" leads out of the source: name a $3 inside it"
  [[ ! -L $2 ]] || fail 66 "$1: \"${2#./}\" is a link that leads to no $3 of the source"
  fail 66 "$1: the source has no $3 \"${2#./}\"${CONTEXT:+ (CONTEXT \"$CONTEXT\")}"
}

# The AWS CLI takes a second for each question: these are asked in the
# background, and their answers read when they are needed.
ask_registries() {
  local mirrored=" ${mirrors[*]:-}"
  ecr_public=''
  exec {logins}< <(log_in)
  # China and GovCloud have no ECR Public.
  if [[ $registry == *.dkr.ecr.*.amazonaws.com && $registry != *.us-gov-* ]] && { [[ $mirrored == *' public.ecr.aws'* ]] || grep -aq public.ecr.aws "$dockerfile"; }; then
    exec {ecr_public}< <(timeout 30 aws ecr-public get-login-password --region us-east-1 2>"$work/ecr-public.log")
  fi
  exec {repositories}< <(describe_repositories)
  name_cache
  exec {cached}< <([[ $cache != registry || -z ${CACHE_REPOSITORY:-} ]] || at_home describe_image "$CACHE_REPOSITORY" "$cache_tag")
}

# log_in logs in to the registry to push to and to those that base images come
# from. It prints a line for each login that fails.
log_in() {
  local host of
  for host in "${registries[@]}"; do
    of=$region
    [[ ! $host =~ ^[0-9]{12}\.dkr\.ecr\.([a-z0-9-]+)\. ]] || of=${BASH_REMATCH[1]}
    timeout 120 aws ecr get-login-password --region "$of" 2>"$work/aws.log" |
      timeout 120 docker login --username AWS --password-stdin "$host" >"$work/login.log" 2>&1 ||
      printf 'error REGISTRY: cannot log in to %s: %s\n' "$host" "$(last_line "$work/login.log" "$work/aws.log")"
  done
}

# With a login, ECR Public serves ten pulls a second instead of one.
log_in_to_ecr_public() {
  [[ -n $ecr_public ]] || return 0
  quietly timeout 30 docker login --username AWS --password-stdin public.ecr.aws <&"$ecr_public" ||
    note "no login to ECR Public, which serves others less: $(last_line "$log" "$work/ecr-public.log")"
}

# describe_repositories prints a line for each thing that is wrong with the
# tags.
describe_repositories() {
  local tag repository answer
  declare -A answers=()
  for tag in "${tags[@]}"; do
    repository=${tag%%:*}
    answer=${answers[$repository]:=$(ask_ecr describe-repositories --repository-names "$repository")}
    answer=${answer:-no answer}
    case $answer in
      *RepositoryNotFoundException*)
        created_on_push "$repository" ||
          printf 'error TAG: the registry %s has no repository "%s": create it, or add it to the stack\n' "$registry" "$repository"
        ;;
      *'"imageTagMutability": "IMMUTABLE"'*)
        [[ $tag == *:* ]] || tag+=:latest
        [[ $(describe_image "$repository" "${tag##*:}") != *'"imageDigest"'* ]] ||
          printf 'error TAG: "%s" exists, and tags of its repository are immutable: choose another tag\n' "$tag"
        ;;
      *'"repositoryName"'*) ;;
      *) printf 'note it is not known whether the repository "%s" can be pushed to: %s\n' "$repository" "${answer##*$'\n'}" ;;
    esac
  done
}

describe_image() { ask_ecr describe-images --repository-name "$1" --image-ids "imageTag=$2"; }
ask_ecr() { ecr "$1" --output json "${@:2}" 2>&1 || :; }
at_home() { region=$home_region account=$home_account "$@"; }
ecr() { timeout 60 aws ecr "$1" --region "$region" --registry-id "$account" "${@:2}"; }

created_on_push() {
  local prefix
  for prefix in ${CREATE_ON_PUSH:-}; do
    [[ $1 != "${prefix%/}"/?* ]] || return 0
  done
  return 1
}

# check_answers FD: what a question in the background found wrong. A push that
# cannot succeed is found before the build.
check_answers() {
  local problem
  while IFS= read -r problem; do
    [[ $problem != 'error '* ]] || fail 69 "${problem#error }"
    say "$problem"
  done <&"$1"
}

# on_codebuild reports whether the Docker daemon is the one that CodeBuild's
# image starts, on a machine that is thrown away after the build.
on_codebuild() { [[ -x /usr/local/bin/dockerd-entrypoint.sh && ${DOCKER_HOST:-unix://} == unix://* ]]; }

# RUN steps need not reach the addresses that hand out the role's credentials.
guard_credentials() {
  local address
  on_codebuild || return 0
  for address in 169.254.170.2 169.254.169.254; do
    iptables -w 10 -I DOCKER-USER -d "$address" -j REJECT 2>"$log" ||
      note "RUN steps can reach $address: $(last_line "$log")"
  done
}

# A BuildKit that was given; the builder that was named; the machine's own
# BuildKit; a container of BuildKit's image, first where another architecture
# needs the emulators in it; the plain daemon. Each step down is said.
choose_builder() {
  local said
  own_builder=flexbuild-${CODEBUILD_BUILD_ID##*:}
  builder=$own_builder
  if [[ -n ${BUILDKIT_HOST:-} ]]; then
    quietly docker buildx create --name "$builder" --driver remote "$BUILDKIT_HOST" ||
      fail 69 "BUILDKIT_HOST: cannot use it: $(last_line "$log")"
  elif [[ -n ${BUILDX_BUILDER:-} ]]; then
    own_builder='' builder=$BUILDX_BUILDER
  elif { is_native && start_machines_buildkit; } || start_container; then
    return
  elif said=$(last_line "$log") && ! is_native && start_machines_buildkit; then
    note "no BuildKit with emulators starts ($said): RUN steps for $PLATFORMS will fail"
    return
  else
    note "no BuildKit container starts, so the Docker daemon builds: $said"
    own_builder='' builder=default
  fi
  # Whoever gave another builder has configured it.
  [[ -z ${MIRRORS:-} || $builder != default ]] || mirror_for_daemon ||
    note 'MIRRORS do not apply: this Docker daemon has a configuration of its own'
}

is_native() {
  case $(uname -m):${PLATFORMS:-} in
    *: | x86_64:*amd64* | x86_64:*x86_64* | x86_64:*x86-64* | aarch64:*arm64* | aarch64:*aarch64*) return 0 ;;
  esac
  return 1
}

# The machine's own BuildKit, such as Finch's in the standard images of Amazon
# Linux, in a container made of the machine's own files. Nothing is pulled, and
# RUN steps do not share the machine's network, where the Docker daemon has an
# open port. Its state is on a volume: on the machine's overlay it would choose
# a snapshotter that copies.
start_machines_buildkit() {
  local buildkitd image=localhost/flexbuild/machine socket=$work/socket/buildkitd.sock tries
  buildkitd=$(PATH=$PATH:/usr/libexec/finch command -v buildkitd) && [[ $buildkitd == /usr/* ]] || return 1
  [[ ! -L /usr && -L /lib64 ]] || return 1
  rm -rf -- "$work/machine" "$work/socket"
  mkdir -p "$work/machine"/{dev,etc,proc,run,sys,tmp,usr,var} "$work/socket" || return 1
  # BuildKit unpacks layers with unpigz if there is one. By itself it takes
  # longer than gzip, and one core for all of the work.
  ln -s /usr/bin/gzip "$work/socket/unpigz" || return 1
  cp -P /bin /lib /lib64 /sbin "$work/machine" && mirrors_of_buildkit >"$work/socket/buildkitd.toml" || return 1
  if ! tar -C "$work/machine" -c . | quietly timeout 120 docker import - "$image" ||
    ! quietly timeout 120 docker run -d --privileged --name "$builder" \
      -v /usr:/usr:ro -v /etc:/etc:ro -v "$work/socket:/run/flexbuild" -v /var/lib/buildkit \
      -e BUILDKIT_STEP_LOG_MAX_SIZE=-1 -e BUILDKIT_STEP_LOG_MAX_SPEED=-1 -e BUILDKIT_SETUP_CGROUPV2_ROOT=1 \
      -e "PATH=$PATH:/run/flexbuild" "$image" "$buildkitd" --config /run/flexbuild/buildkitd.toml --root /var/lib/buildkit \
      --addr unix:///run/flexbuild/buildkitd.sock --oci-worker=true --containerd-worker=false --oci-worker-gc=false ||
    ! quietly docker buildx create --name "$builder" --driver remote "unix://$socket"; then
    give_up_machines_buildkit
    return 1
  fi
  for ((tries = 1; tries <= 300; tries++)); do
    [[ ! -S $socket ]] || break
    ((tries % 5)) || [[ $(docker inspect --format '{{.State.Running}}' "$builder" 2>/dev/null) == true ]] || break
    sleep 0.1
  done
  if [[ -S $socket ]]; then
    quietly timeout 60 docker buildx inspect --bootstrap "$builder" || :
    ! grep -q 'worker\.snapshotter: *overlayfs' "$log" || return 0
    ! grep -q 'worker\.snapshotter:' "$log" || echo 'its snapshotter is not overlayfs' >"$log"
  else
    quietly timeout 60 docker logs "$builder" || :
  fi
  give_up_machines_buildkit
  return 1
}

give_up_machines_buildkit() {
  note "the machine's own BuildKit is not used: $(last_line "$log")"
  stop_builder
}

start_container() {
  local mirror image images=()
  # BuildKit's image may be in a registry that wants a login.
  check_answers "$logins"
  mirrors_of_buildkit >"$work/buildkitd.toml"
  # BuildKit's image is no official one: ECR Public's mirror of Docker Hub,
  # which ends in /docker wherever it is cached, does not have it.
  for mirror in ${mirrors["docker.io"]:-}; do
    [[ $mirror == */docker ]] || images+=("$mirror/moby/buildkit:buildx-stable-1")
  done
  # By itself BuildKit drops what a step prints beyond 2 MiB or 200 KiB a
  # second, the error at its end too.
  for image in "${images[@]}" moby/buildkit:buildx-stable-1; do
    quietly docker buildx create --name "$builder" --driver docker-container --driver-opt "image=$image" \
      --driver-opt env.BUILDKIT_STEP_LOG_MAX_SIZE=-1 --driver-opt env.BUILDKIT_STEP_LOG_MAX_SPEED=-1 \
      --buildkitd-config "$work/buildkitd.toml" &&
      quietly timeout 300 docker buildx inspect --bootstrap "$builder" && return
    stop_builder
    [[ $image == moby/* ]] || note "no container of $image starts: $(last_line "$log")"
  done
  return 1
}

stop_builder() {
  timeout 60 docker buildx rm "$own_builder" >/dev/null 2>&1 || :
  [[ ! -d $work/machine ]] || timeout 60 docker rm --force --volumes "$own_builder" >/dev/null 2>&1 || :
}

mirrors_of_buildkit() {
  local host list
  for host in "${!mirrors[@]}"; do
    list=${mirrors[$host]% }
    printf '[registry."%s"]\n  mirrors = ["%s"]\n' "$host" "${list// /\", \"}"
  done
}

# The daemon's own BuildKit reads where to pull from at the first pull of an
# image.
mirror_for_daemon() {
  local host mirror dir
  on_codebuild || return 1
  for host in "${!mirrors[@]}"; do
    dir=/etc/docker/certs.d/$host
    # Somebody else's, or that of an earlier build on this machine.
    [[ ! -e $dir/hosts.toml ]] || continue
    mkdir -p "$dir" || return 1
    {
      [[ $host != docker.io ]] || printf 'server = "https://registry-1.docker.io"\n'
      for mirror in ${mirrors[$host]}; do
        printf '[host."https://%s/v2%s"]\n  capabilities = ["pull", "resolve"]\n  override_path = true\n' \
          "${mirror%%/*}" "${mirror#"${mirror%%/*}"}"
      done
    } >"$dir/hosts.toml" || return 1
  done
}

# The cache is kept for each image, target, Dockerfile and platform. It is kept
# for each caller too: what a step finds in a secret, a cache mount or a proxy
# is no part of its key, so one caller could leave another a step that does
# harm.
name_cache() {
  local key caller=${CODEBUILD_INITIATOR:-}
  # A role, whoever uses it.
  [[ $caller != */* || $caller == codepipeline/* ]] || caller=${caller%%/*}/
  key=$(printf '%s\0' "$caller" "$repository" "${PWD#"$source_dir"}" "$dockerfile" "${TARGET:-}" "${PLATFORMS:-$(uname -m)}" | sha256sum)
  cache_tag=${repository//\//--}
  cache_tag=${cache_tag:0:87}-${key:0:40}
}

choose_cache() {
  local answer
  driver='' cache_ref=$home/${CACHE_REPOSITORY:-}:$cache_tag
  # A builder of its own can export caches.
  [[ -n $own_builder || ! $(timeout 120 docker buildx inspect "$builder") =~ Driver:\ +docker$'\n' ]] || driver=docker
  answer=$(cat <&"$cached")
  if [[ $cache == registry && -z ${CACHE_REPOSITORY:-} ]]; then
    note 'CACHE_REPOSITORY is not set: the image keeps the cache'
    cache=inline
  elif [[ $cache == registry && $driver == docker ]]; then
    note 'this builder cannot export a cache to a registry: the image keeps the cache'
    cache=inline
  fi
  if [[ $cache != none && -n ${SECRETS:-} && ($cache == inline || -z ${CODEBUILD_INITIATOR:-}) ]]; then
    note 'a build with secrets shares no cache: no layers are kept'
    cache=none
  fi
  if [[ $cache == inline ]]; then
    local tag=${tags[0]}
    [[ $tag == *:* ]] || tag+=:latest
    cache_ref=$registry/$tag
    answer=$(describe_image "$repository" "${tag##*:}")
  fi
  # buildx would print an error for a cache that is not there yet.
  cache_found=yes cache_pushed=''
  [[ $answer != *NotFoundException* && $cache != none ]] || cache_found=''
  [[ ! $answer =~ \"imagePushedAt\":\ \"?([0-9T:.+Z-]+) ]] || cache_pushed=${BASH_REMATCH[1]}
}

# Level 4 of gzip takes half the time of the default, 6, for 3 % larger layers.
build_and_push() {
  local tag output=type=registry,compression-level=4 status=0
  args=(--builder "$builder" --progress plain --file "$dockerfile" "${options[@]}")
  # With a date, all times in the image's layers are that date, or before it.
  if [[ " ${options[*]}" == *' --build-arg=SOURCE_DATE_EPOCH='* ]]; then
    [[ $driver == docker ]] && note 'SOURCE_DATE_EPOCH: the Docker daemon keeps the times in layers' || output+=,rewrite-timestamp=true
  fi
  local push=(--metadata-file "$meta" "--sbom=$([[ ${SBOM:-off} == off ]] && echo false || echo true)")
  [[ ${PROVENANCE:-off} == off ]] && push+=(--provenance=false) || push+=("--provenance=mode=$PROVENANCE")
  if [[ $driver == docker ]]; then
    [[ ${PROVENANCE:-off}${SBOM:-off} == offoff ]] ||
      fail 69 'PROVENANCE, SBOM: the Docker daemon makes no attestations: leave them off'
    loaded=localhost/flexbuild:${CODEBUILD_BUILD_ID##*:}
    push+=(--output=type=docker --tag "$loaded")
  else
    push+=("--output=$output")
    for tag in "${tags[@]}"; do push+=(--tag "$registry/$tag"); done
  fi
  [[ ${PULL:-off} == off ]] || push+=(--pull)
  [[ ${NO_CACHE:-off} == off ]] || push+=(--no-cache)
  [[ -z $cache_found ]] || push+=("--cache-from=type=registry,ref=$cache_ref")
  [[ $cache != inline ]] || push+=(--cache-to=type=inline)
  # By itself buildx asks git about the context, and git does what a
  # repository's configuration says: that could be the context's own. What
  # buildx would put into the metadata can fail a build that has been pushed.
  rm -f -- "$meta"
  export BUILDX_GIT_INFO=false BUILDX_GIT_LABELS=false BUILDX_METADATA_PROVENANCE=disabled
  docker buildx build "${args[@]}" "${push[@]}" . 2>&1 | tee "$built" || status=${PIPESTATUS[0]}
  ((status == 0)) || explain 'buildx build'
  [[ $driver != docker ]] || push_from_daemon
}

# push_from_daemon pushes the image that the Docker daemon has built and loaded:
# the push of buildx fails on CodeBuild's Docker servers. Builds share such a
# server, so another build may have moved the tag before the push. Then the image
# does not have the digest that was pushed, and the tag is pushed again. Another
# build with the same image may have removed it with its own: it is built again.
push_from_daemon() {
  local tag tries digest
  for tag in "${tags[@]}"; do
    for tries in {1..4}; do
      ((tries < 4)) || explain push
      ((tries < 2)) || ! grep -q 'such image' "$built" || quietly docker buildx build "${args[@]}" "${push[@]}" . || :
      { docker tag "$loaded" "$registry/$tag" && docker push "$registry/$tag"; } 2>&1 | tee "$built" &&
        [[ $(<"$built") =~ digest:\ (sha256:[0-9a-f]{64}) ]] && digest=${BASH_REMATCH[1]} &&
        [[ $(docker image inspect -f '{{.RepoDigests}}' "$loaded") == *"$registry/${tag%%:*}@$digest"* ]] && break
    done
  done
  printf '"containerimage.digest": "%s"' "$digest" >"$meta"
}

# explain COMMAND: ends the build with docker's last word, and what helps.
explain() {
  local said
  said=$(grep -a '^ERROR: ' "$built" | tail -n 1) || said="docker $1 failed: $(last_line "$built")"
  said=${said#ERROR: } said=${said#failed to build: } said=${said#failed to solve: }
  case $said in
    *docker.io*'429 Too Many Requests'* | *toomanyrequests*)
      said+=': Docker Hub limits what addresses shared by many pull: give the stack DockerHubCredentials, or take the image from another registry'
      ;;
  esac
  fail 1 "${said:0:1000}"
}

# What came out, for the next command to export.
report() {
  local digest='"containerimage\.digest": *"(sha256:[0-9a-f]{64})"'
  [[ -f $meta && $(<"$meta") =~ $digest ]] || fail 70 'buildx reported no image digest'
  digest=${BASH_REMATCH[1]}
  printf 'export IMAGE_URI=%q IMAGE_DIGEST=%q SOURCE_COMMIT=%q\n' \
    "$registry/$repository@$digest" "$digest" "$commit" >"$work/outcome.sh"
}

# save_cache exports the layers of all stages for the next build, unless every
# step was cached. The image is pushed by now, so a failure is only noted.
save_cache() {
  [[ $cache == registry ]] || return 0
  if all_cached; then
    (keep_cache) >"$log" 2>&1 || note "the cache may expire although it is used: $(last_line "$log")"
    return
  fi
  printf 'exporting the cache to %s\n' "$cache_ref"
  quietly timeout 1800 docker buildx build "${args[@]}" --provenance=false --output=type=cacheonly \
    "--cache-to=type=registry,ref=$cache_ref,mode=max,image-manifest=true,oci-mediatypes=true,compression-level=4" . ||
    note "the cache cannot be exported: $(last_line "$log")"
}

# all_cached reports whether a cache was there and no step of the Dockerfile
# ran. Lines of the plain progress: "#7 [stage 2/3] RUN …" and "#7 CACHED".
all_cached() {
  [[ -n $cache_found ]] &&
    awk '/^#[0-9]+ \[([^]]* )?[0-9]+\/[0-9]+\] / { steps[$1] = $0 }
      /^#[0-9]+ CACHED$/ { cached[$1] = 1 }
      END { for (id in steps) if (!(id in cached) && steps[id] !~ /^[^]]*\] FROM /) exit 1 }' "$built"
}

# keep_cache has a cache live on that is past half its time. ECR counts from the
# push of a manifest, so the manifest is pushed again with another date in it.
keep_cache() {
  local pushed manifest date kept='"annotations":\{"flexbuild\.kept":"[^"]*"\},' type=application/vnd.oci.image.manifest.v1+json
  [[ -n ${CACHE_EXPIRY_IN_DAYS:-} && -n $cache_pushed ]] || return 0
  pushed=${cache_pushed%.*}
  [[ $cache_pushed =~ ^[0-9.]+$ ]] || pushed=$(date -d "$cache_pushed" +%s) || return 1
  (($(date +%s) - pushed > CACHE_EXPIRY_IN_DAYS * 86400 / 2)) || return 0
  manifest=$(at_home ecr batch-get-image --repository-name "$CACHE_REPOSITORY" --image-ids "imageTag=$cache_tag" \
    --accepted-media-types "$type" --query 'images[0].imageManifest' --output text)
  [[ $manifest == *'{'* ]] || return 1
  [[ ! $manifest =~ $kept ]] || manifest=${manifest/"${BASH_REMATCH[0]}"/}
  date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  printf '{"annotations":{"flexbuild.kept":"%s"},%s' "$date" "${manifest#*\{}" >"$work/manifest.json"
  at_home ecr put-image --repository-name "$CACHE_REPOSITORY" --image-tag "$cache_tag" --image-manifest "file://$work/manifest.json" \
    --image-manifest-media-type "$type"
}

main
