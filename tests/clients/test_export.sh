#!/bin/bash
# test_export.sh -- models/rnnd_export.py: what it writes opens and answers, what it cannot write it refuses (export.py).
set -u
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
/usr/bin/python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' models/rnnd_export.py ||
    { echo "FAIL rnnd_export.py does not parse"; echo "0 passed, 1 failed"; exit 1; }
if ! /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
    echo "skipped: tests/clients/export.py (no python3-numpy)"
    echo "1 passed, 0 failed, 1 skipped"
    exit 0
fi
/usr/bin/python3 tests/clients/export.py "${RNND_BIN:-build/rnnd}" "$tmp"
