#!/bin/sh
# install.sh -- installs what the peers of `make bench` need, from Debian and npm; names what cannot be had and goes on.
#   B=build folder; npm's packages go to build/peers
set -u
B=${B:-build}
here=$(cd "$(dirname "$0")" && pwd)
ort=1.30.0

debian() { # peer, packages...
    peer=$1; shift
    sh "$here/../../lib/packages.sh" "$@" || echo "bench: left out: $peer"
}
debian oneDNN libdnnl-dev
debian PyTorch python3-torch
command -v node >/dev/null && command -v npm >/dev/null || debian "ONNX Runtime (of npm)" nodejs npm
if command -v npm >/dev/null && ! [ -e "$B/peers/node_modules/onnxruntime-node/package.json" ]; then
    echo "installing onnxruntime-node $ort from npm into $B/peers"
    mkdir -p "$B/peers"
    (cd "$B/peers" && ONNXRUNTIME_NODE_INSTALL_CUDA=skip timeout 300 npm install --ignore-scripts --no-audit --no-fund \
        --no-package-lock --no-save --silent --prefix . "onnxruntime-node@$ort" >/dev/null 2>&1) ||
        echo "bench: left out: ONNX Runtime (npm has no onnxruntime-node $ort for us)"
fi
exit 0
