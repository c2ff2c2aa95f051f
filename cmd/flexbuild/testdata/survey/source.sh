#!/usr/bin/env bash
# What came of the source, as lines "[survey] entry NAME: VALUE", NAME as printf
# %q writes it.
set -u
cd "$CODEBUILD_SRC_DIR" || exit
find . -mindepth 1 -print0 | sort -z | while IFS= read -r -d '' file; do
  value=$(stat -c '%F, mode %a, owner %u:%g, time %.Y' -- "$file")
  [[ ! -L $file ]] || value+=", leads to $(readlink -- "$file")"
  [[ -L $file || ! -f $file ]] || value+=", sha256 $(sha256sum <"$file" | cut -d ' ' -f 1)"
  printf '[survey] entry %q: %s\n' "${file#./}" "$value"
done
printf '[survey] %s: %s\n' CODEBUILD_SOURCE_REPO_URL "${CODEBUILD_SOURCE_REPO_URL-unset}" \
  CODEBUILD_SOURCE_VERSION "${CODEBUILD_SOURCE_VERSION-unset}" \
  CODEBUILD_RESOLVED_SOURCE_VERSION "${CODEBUILD_RESOLVED_SOURCE_VERSION-unset}"
