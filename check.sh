#!/usr/bin/env bash
# Runs every check of this repository, the same by hand and on the build machine. Installs `redis-server` where it is
# missing and it can. `./check.sh quick` leaves out the slow parts (all features one by one, benchmarks, compile-fail cases).
set -euo pipefail
cd "$(dirname "$0")"
mode="${1:-all}"

# Named together each time: cargo chooses the features of dependencies by what is named, and would compile them again.
packages=(-p keylatch -p keylatch-macros -p keylatch-tests -p keylatch-examples)

# The compiler's own lints: clippy has looked at all features together, and what it asks of one another may not allow.
each_feature() {
  for features in "" macros json postcard bincode lz4 zstd uuid tls upstash macros,json,postcard,bincode,uuid; do
    echo "-- features: ${features:-none}"
    cargo clippy -q -p keylatch --no-default-features --features "$features" --target-dir target/features -- \
      -D warnings -A clippy::all -A clippy::pedantic || return 1
  done
}

step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

step "redis-server"
if ! command -v redis-server >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    # The package would start a server of its own; the tests start theirs.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server
    rm -f /usr/sbin/policy-rc.d
  else
    echo "redis-server is missing. Install it with one of: sudo apt-get install redis-server; brew install redis;"
    echo "sudo dnf install redis; sudo pacman -S redis. Or name a binary in KEYLATCH_TEST_REDIS_SERVER."
    exit 1
  fi
fi
redis-server --version

step "npm, for the official client of Upstash"
if ! command -v npm >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm
  else
    echo "npm is missing. Install Node.js 20 or later with one of: sudo apt-get install nodejs npm; brew install node;"
    echo "sudo dnf install nodejs npm; sudo pacman -S nodejs npm."
    exit 1
  fi
fi
npm --version

step "format"
cargo fmt --all --check

step "lints"
cargo clippy --workspace --all-targets --all-features -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc -q --no-deps -p keylatch -p keylatch-macros --all-features

if [ "$mode" != quick ]; then
  step "every feature on its own, while the tests are compiled"
  # Neither keeps two processors busy for long.
  log="$(mktemp)"
  each_feature >"$log" 2>&1 &
  features=$!
  trap 'kill "$features" 2>/dev/null || true; cat "$log"; rm -f "$log"' EXIT
  cargo test -q "${packages[@]}" --all-features --no-run
  wait "$features"
  cat "$log"
  rm -f "$log"
  trap - EXIT
fi

step "tests"
if command -v cargo-nextest >/dev/null; then
  cargo nextest run "${packages[@]}" --all-features
else
  cargo test -p keylatch -p keylatch-macros -p keylatch-tests --all-features --lib --tests -- --test-threads=2 --skip ::soak_
  cargo test -p keylatch-examples --examples
fi

step "doctests"
cargo test -q "${packages[@]}" --doc --all-features

if [ "$mode" != quick ]; then
  step "what must and must not compile"
  cargo test -q "${packages[@]}" -p keylatch-ui-tests --all-features --test ui --test 'pass_*'

  step "benchmarks run"
  # All are compiled; those with a million keys or five masters are run by whoever wants their figures. Figures need the release
  # profile, `cargo bench -p keylatch`: here they only have to run, with what is compiled already.
  KEYLATCH_BENCH_SECONDS=0.05 cargo bench -q --profile dev "${packages[@]}" --benches --all-features -- \
    "hit on Redis" "miss and store" "managed connection" "embedded"
fi

step "example on the embedded store and on Redis"
cargo run -q -p keylatch-examples --example quickstart
cargo run -q -p keylatch-examples --example fencing
directory="$(mktemp -d)"
redis-server --port 0 --unixsocket "$directory/socket" --save "" --dir "$directory" --daemonize yes --pidfile "$directory/pid" >/dev/null
trap 'kill "$(cat "$directory/pid")" 2>/dev/null || true; rm -rf "$directory"' EXIT
for _ in $(seq 100); do [ -S "$directory/socket" ] && break; sleep 0.05; done
REDIS_URL="unix://$directory/socket" REDIS_KEY_PREFIX=quickstart cargo run -q -p keylatch-examples --example quickstart
REDIS_URL="unix://$directory/socket" REDIS_KEY_PREFIX=fencing cargo run -q -p keylatch-examples --example fencing

step "minimum Rust version"
minimum="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
if command -v rustup >/dev/null && rustup toolchain list | grep -q "^$minimum"; then
  cargo "+$minimum" check -p keylatch --all-features --target-dir target/minimum
else
  echo "Rust $minimum is not installed here; the lint \`incompatible_msrv\` has checked the standard library's part"
fi

step "licences and sources of dependencies"
if command -v cargo-deny >/dev/null; then
  cargo deny check licenses bans sources
else
  echo "cargo-deny is not installed here (cargo install cargo-deny)"
fi

printf '\nall checks passed\n'
