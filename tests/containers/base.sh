#!/usr/bin/env bash
# Makes a stand-in for the official python:3.11-slim-bookworm out of Debian packages, under the same name, so that the unmodified Dockerfile
# can be built where no registry is to be had. Like the official image: Debian 12 with Python 3.11 and pip in /usr/local/bin, root, no
# entry point. Unlike it: Python is Debian's build. Needs root, buildah and debootstrap; 45 seconds, once.
#   base.sh STORAGE      STORAGE: folder for images and for the file tree that the image is made of
set -euo pipefail
readonly store=$1 suite=bookworm version=3.11
readonly name=docker.io/library/python:$version-slim-$suite tree=$store/base/$suite
in_store() { buildah --root "$store/images" --runroot "$store/run" "$@"; }

if in_store inspect --type image "$name" >/dev/null 2>&1; then exit; fi
if [[ ! -e $tree/.ready ]]; then
  rm -rf "$tree"
  mkdir -p "$(dirname "$tree")"
  debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates,netbase,tzdata "$suite" "$tree"
  # What the official images leave out as well, and the mark by which Debian's pip refuses to install anything.
  rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/var/log/*.log "$tree"/usr/share/{doc,man,locale,info}/*
  rm -f "$tree"/usr/lib/python3*/EXTERNALLY-MANAGED
  for python in python python3 python$version; do ln -sf /usr/bin/python3 "$tree/usr/local/bin/$python"; done
  for pip in pip pip3; do ln -sf /usr/bin/pip3 "$tree/usr/local/bin/$pip"; done
  : >"$tree/etc/resolv.conf"
  touch "$tree/.ready"
fi
container=$(in_store from scratch)
mounted=$(in_store mount "$container")
tar -C "$tree" --exclude ./.ready --numeric-owner -c . | tar -C "$mounted" -x
in_store umount "$container" >/dev/null
in_store config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin --env LANG=C.UTF-8 --cmd python3 "$container"
in_store commit --rm --quiet "$container" "$name"
