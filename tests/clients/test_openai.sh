#!/bin/sh
# test_openai.sh -- installs the openai npm client into build/clients and runs openai.test.mjs; skips without node or net.
set -u
B=${B:-build}
here=$(cd "$(dirname "$0")" && pwd)
program=${RNND_BIN:-$B/rnnd}
case "$program" in /*) ;; *) program=$PWD/$program ;; esac
model=$(cd "$here/../.." && pwd)/models/tiny/text.safetensors
version=7.57.0

skip() {
    echo "skipped: openai npm client: $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}
command -v node >/dev/null && command -v npm >/dev/null || skip "node and npm are not installed"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || skip "node 20 or later is needed, found $(node --version)"
[ -x "$program" ] || { echo "there is no $program; run make first"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
mkdir -p "$B/clients"
if ! [ -e "$B/clients/node_modules/openai/package.json" ]; then
    (cd "$B/clients" && timeout 120 npm install --no-audit --no-fund --no-package-lock --no-save --silent \
        "openai@$version" >/dev/null 2>&1) || skip "openai@$version could not be installed"
fi
cp "$here/openai.test.mjs" "$B/clients/openai.test.mjs"
cd "$B/clients" && exec timeout 300 node openai.test.mjs "$program" "$model"
