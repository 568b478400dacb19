#!/bin/sh
# packages.sh -- sees to it that the Debian packages named as arguments are there.
# As root it says what it will install, then installs; otherwise it prints the one command that does and fails.
set -eu
command -v dpkg-query >/dev/null 2>&1 || { echo "packages.sh: no dpkg here; wanted: $*" >&2; exit 0; }
missing=
for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
    echo "missing Debian packages:$missing" >&2
    echo "install them with:  sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi
echo "installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1 </dev/null || {
    cat "$log" >&2
    rm -f "$log"
    echo "installing failed; by hand:  apt-get update && apt-get install -y --no-install-recommends$missing" >&2
    exit 1
}
rm -f "$log"
