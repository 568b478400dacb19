#!/bin/bash
# test_conformance.sh -- the conformance runner passes on right answers, fails on each wrong one, and skips by name.
set -u
cd "$(dirname "$0")/../.."
B=${RNND_BUILD:-build}
runner=$B/conformance
cases=tests/vectors/conformance
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
check() { # name, status
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $1"; fi
}
make --no-print-directory "$runner" >"$tmp/make" 2>&1 || cat "$tmp/make"

timeout 60 "$runner" $cases >"$tmp/right"
check "right answers pass" $?
total=$(grep -c ' ok\( (guessed)\)\?$' "$tmp/right")
grep -qx "$total passed, 0 failed, 2 skipped" "$tmp/right" && [ "$total" = 22 ]
check "every case is counted" $?
streams=$(grep -c ' (\(carry\|sliding\)) .* steps.*, bit for bit  *ok$' "$tmp/right")
[ "$streams" = 9 ] && [ "$(grep -c ' (stream) .* neither: ' "$tmp/right")" = 3 ]
check "of every case, how its sessions were held to windows or why not" $?
for case in 'json/rtneural/gru.json (carry)' 'table/last (carry)' 'table/ids (carry)'; do
    grep -F "$case " "$tmp/right" | grep -q '600 steps and the call, bit for bit  *ok'
    check "$case: steps, windows and the call" $?
done
for case in onnx/lstm onnx/lstm_late json/rtneural/gru.json table/last table/every table/ids table/step 'table/step (session)' \
    torch/lstm.pt torch/lstm.legacy.pt torch/lstm_bf.pt torch/gru_bi.pt torch/rnn.pt; do
    grep -F "$case " "$tmp/right" | grep -q 'max error .*allowed .* ok'
    check "$case passes" $?
done
grep -q '^json/rtneural/silent.json .*skipped: no silent_x_python.csv' "$tmp/right"
check "a model without expected values is skipped by name" $?
grep -q '^table/nobody .*skipped: .*nobody.rnnd.json' "$tmp/right"
check "a model that nobody describes is skipped by name" $?

timeout 60 "$runner" ${cases}_wrong >"$tmp/wrong"
[ $? = 1 ]
check "wrong answers: exit code 1" $?
grep -v '(carry)\|(sliding)\|(stream)' "$tmp/wrong" >"$tmp/answers" # a right model's sessions are right
! grep -q ' ok' "$tmp/answers" && grep -q ", $((total - streams)) failed, 2 skipped$" "$tmp/wrong"
check "every wrong answer fails" $?
[ "$(grep -c 'FAILED.*: .* is .*, wanted ' "$tmp/wrong")" = $((total - streams)) ]
check "each says where and what was wanted" $?

# side files from another folder, and cases given by that folder's name
mkdir "$tmp/side" "$tmp/table"
cp -r $cases/table/. "$tmp/table" && mv "$tmp/table"/*.rnnd.json "$tmp/side"
timeout 60 "$runner" "$tmp/table" >"$tmp/out"
grep -qF 'skipped: its architecture is not in the file, and there is no last.rnnd.json' "$tmp/out"
check "without side files their cases are skipped" $?
timeout 60 "$runner" "$tmp/table/" "$tmp/side" >"$tmp/out"
grep -q '^every .* ok$' "$tmp/out"
check "side files from CONFIGS, a model below the folder's own name" $?

# a session that slides: as many steps as show a young and a full window
sed 's/^{/{"mode": "sliding", "window": 6,/' "$tmp/side/last.rnnd.json" >"$tmp/sliding" && cp "$tmp/side/last.rnnd.json" "$tmp/kept"
mv "$tmp/sliding" "$tmp/side/last.rnnd.json"
timeout 60 "$runner" "$tmp/table/" "$tmp/side" >"$tmp/out"
grep -q '^last (sliding) .* 17 steps and the call, bit for bit  *ok$' "$tmp/out"
check "sliding sessions" $?
mv "$tmp/kept" "$tmp/side/last.rnnd.json"

# damage is a failed case, never the end of the runner
head -c 300 $cases/torch/lstm.pt >"$tmp/table/last.pt"
head -c 100 $cases/table/expected/ids.npz >"$tmp/table/expected/ids.npz"
timeout 60 "$runner" "$tmp/table" "$tmp/side" >"$tmp/out"
[ $? = 1 ] && grep -q '^last .*FAILED' "$tmp/out" && grep -q '^ids .*FAILED' "$tmp/out"
check "damaged files fail their cases" $?
timeout 60 "$runner" "$tmp/none" >/dev/null 2>&1
[ $? = 2 ]
check "no folder: exit code 2" $?
make --no-print-directory B="$B" CASES="$tmp/none" conformance 2>/dev/null | grep -qx '0 passed, 0 failed, 1 skipped'
check "make conformance without cases skips" $?
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
