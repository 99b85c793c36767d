#!/usr/bin/env bash
# The whole of it on one page: train, export, serve, classify and explain, on scikit-learn's scanned digits.
# `make demo` runs it. Everything is written to build/demo; the server is stopped when the script ends, however it ends. With --keep
# (`make demo KEEP=--keep`) it goes on serving until Ctrl-C, and the page in the browser shows the same.
set -euo pipefail
cd "$(dirname "$0")"
keep=${1:-}
if [[ $# -gt 1 || ($keep && $keep != --keep) ]]; then
  echo "error: $*: the only option is --keep" >&2
  exit 2
fi
demo=build/demo
count=16

show() { # prints a command as one would type it, then runs it
  printf '\n\033[1m$ %s\033[0m\n' "$*"
  "$@"
}

rm -rf "$demo"
mkdir -p "$demo"

show python -m training run digits --out "$demo/run"
show python -m exporter keras "$demo/run" --out "$demo/models/digits/1"
show python -m training pictures digits --split test --count "$count" --out "$demo/pictures"

serve=(python -m server --models "$demo/models" --host 127.0.0.1 --grpc-port 0 --http-port 0 --grace-seconds 0)
printf '\n\033[1m$ %s &\033[0m\n' "${serve[*]}"
"${serve[@]}" >"$demo/server.out" 2>"$demo/server.log" &
server=$!
stop() {
  kill "$server" 2>/dev/null || true
  wait "$server" || true
}
trap stop EXIT
until grep -q '^serving' "$demo/server.out"; do
  if ! kill -0 "$server" 2>/dev/null; then
    echo "the server ended before it was ready; it said:" >&2
    cat "$demo/server.log" >&2
    exit 1
  fi
  sleep 0.1
done
cat "$demo/server.out"
grpc=$(sed -n 's/^serving grpc=\([^ ]*\).*/\1/p' "$demo/server.out")
http=$(sed -n 's/^serving .* http=\([^ ]*\).*/\1/p' "$demo/server.out")

show python -m client classify "$demo/pictures" --target "$grpc" --model digits --explain \
  --truth "$demo/pictures/truth.csv" --out "$demo/answers"
python -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())' \
  "http://$http/metrics" >"$demo/metrics.txt"

cat <<END

overlays        $demo/answers/
contact sheet   $demo/answers/contact-sheet.png
metrics         $demo/metrics.txt, as Prometheus read them from http://$http/metrics:
$(grep -E '^seethrough_(images_total|batch_images_count|stage_seconds_sum)' "$demo/metrics.txt" | sed 's/^/                  /')

END
if [[ $keep ]]; then
  echo "The server goes on until Ctrl-C. Open its page, where these pictures are among the samples:"
  echo
  echo "                http://$http/"
  wait "$server"
else
  echo "The server is stopped now. To keep it and look at its page: make demo KEEP=--keep"
fi
