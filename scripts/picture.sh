#!/usr/bin/env bash
# Takes the README's picture of the console from a demo that is started for it.
#
#   scripts/picture.sh docs/console.png
set -euo pipefail
file=$(realpath -m "${1:?usage: scripts/picture.sh FILE}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh test
cargo build --locked
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)

said=$(mktemp)
cargo run --quiet --locked -- demo --headless --port 0 --ui-port 0 >"$said" &
demo=$!
trap 'kill "$demo"; wait "$demo" || true; rm -f "$said"' EXIT
# The table is printed when the story is told.
for _ in {1..300}; do
  grep -q 'what happened' "$said" && break
  sleep 0.1
done
console=$(awk '$1 == "console" { print $2 }' "$said")
node tests/browser/console.mjs --picture "$file" "$console" "$browser" .tools/node/node_modules
printf '%s: %s bytes\n' "$1" "$(wc -c <"$file")"
