#!/usr/bin/env bash
# Checks the chart, the image's Dockerfile, alerts and dashboards. Needs what `scripts/setup.sh chart` installs, no network and no cluster; what is missing
# fails.
#
#   scripts/chart.sh
#
# The program that has to take the chart's settings is $TIDINGS_BINARY, else the one that `make test` built, else it is built now.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null
tools=$PWD/.tools
python=$tools/chart/bin/python
chart=charts/tidings

say() { printf 'chart: %s\n' "$*"; }

say "README and dashboards"
"$python" scripts/chart_readme.py --check
"$python" scripts/chart_dashboards.py --check

say "Dockerfile"
"$tools/chart/bin/hadolint" --failure-threshold info Dockerfile

if [ -z "${TIDINGS_BINARY:-}" ]; then
  # The same features as the tests, so that nothing is built twice.
  cargo build --quiet --locked --features failpoints --bin tidings
  TIDINGS_BINARY=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/tidings
fi
export TIDINGS_BINARY

say "tests, with $TIDINGS_BINARY"
(cd tests/chart && "$python" -m unittest discover --start-directory .)

say "security scanner"
rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT
for values in "$chart"/ci/*-values.yaml; do
  "$tools/helm/4/helm" template shop "$chart" --namespace orders --kube-version 1.34.0 --values "$values" \
    >"$rendered/$(basename "$values")"
done
# scan LEAST OPTION...: a scanner that looked at fewer things than LEAST has found nothing because it saw nothing.
scan() {
  local least=$1
  shift
  "$tools/chart/bin/checkov" --compact --quiet --skip-download --output json "$@" >"$rendered/report.json" || {
    cat "$rendered/report.json"
    return 1
  }
  "$python" - "$rendered/report.json" "$least" <<'END'
import json, sys
summary = json.load(open(sys.argv[1]))["summary"]
print("chart: passed {passed}, failed {failed}, skipped {skipped}".format(**summary))
sys.exit(summary["failed"] > 0 or summary["passed"] < int(sys.argv[2]))
END
}
scan 1000 --config-file "$chart/.checkov.yaml" --framework kubernetes --directory "$rendered"
scan 10 --framework dockerfile --file Dockerfile
say "ok"
