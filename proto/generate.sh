#!/usr/bin/env bash
# Generates the stubs beside the .proto files. With --check, changes nothing and fails when they are not current.
# Run from the root of the checkout, so that the stubs import each other as `from proto import ...`.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
common=$("$PYTHON" -c 'import google.rpc, pathlib; print(pathlib.Path(list(google.rpc.__path__)[0]).parents[1])')
out=.
if [[ ${1:-} == --check ]]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
"$PYTHON" -m grpc_tools.protoc -I. -I"$common" --python_out="$out" --grpc_python_out="$out" \
  --mypy_out="readable_stubs,quiet:$out" --mypy_grpc_out="quiet:$out" proto/*.proto
[[ $out == . ]] && exit 0
for made in "$out"/proto/*; do
  if ! cmp -s "$made" "proto/$(basename "$made")"; then
    echo "proto/$(basename "$made") is not what the .proto files generate: run 'make stubs' and commit the result" >&2
    exit 1
  fi
done
