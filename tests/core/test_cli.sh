#!/bin/bash
# test_cli.sh -- the commands over the library: arrays through a model both ways, text, forecasts, inspect, what is refused.
set -u
cd "$(dirname "$0")/../.."
rnnd=${RNND_BIN:-build/rnnd}
models=models/tiny
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
check() { # name, status
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $1"; fi
}
refused() { # name, exit code, words on stderr, arguments...
    local name=$1 code=$2 words=$3; shift 3
    timeout 20 "$rnnd" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    [ $? = "$code" ] && grep -qF -- "$words" "$tmp/err" && [ ! -s "$tmp/out" ]
    check "$name" $?
}

# ---- run: one answer, by windows and by steps, as CSV and as .npy ----------------------------------------------------
printf 'a,b,c\n1,2,3\n4,5,6\n-1,0.5,2e-1\n' >"$tmp/x.csv"
"$rnnd" run $models/lstm.safetensors -i "$tmp/x.csv" -o "$tmp/window.csv"
check "run by windows" $?
"$rnnd" run $models/lstm.safetensors --input="$tmp/x.csv" --output="$tmp/steps.csv" --stream
check "run by steps" $?
cmp -s "$tmp/window.csv" "$tmp/steps.csv" && [ "$(wc -l <"$tmp/window.csv")" = 3 ]
check "steps answer what the window does, three rows" $?
"$rnnd" run $models/lstm.safetensors -i "$tmp/x.csv" -o "$tmp/y.npy" && [ "$(head -c 6 "$tmp/y.npy" | tail -c 5)" = NUMPY ]
check "run writes .npy" $?
# what it wrote goes back in: [3][2] is what bigru takes
"$rnnd" run $models/bigru.safetensors -i "$tmp/y.npy" -o "$tmp/last.csv" && [ "$(wc -l <"$tmp/last.csv")" = 1 ]
check "run reads .npy; a network that answers the last step gives one row" $?
refused "a width that does not fit" 1 "[steps][2]" run $models/bigru.safetensors -i "$tmp/x.csv" -o "$tmp/no.csv"
[ ! -e "$tmp/no.csv" ]
check "a refused run writes nothing" $?
printf '1,2,x\n' >"$tmp/bad.csv"; echo 'no array at all' >"$tmp/bad.txt"
refused "a cell that is no number" 1 "line 1, column 3" run $models/lstm.safetensors -i "$tmp/bad.csv" -o "$tmp/no.csv"
refused "an input that is not there" 1 "$tmp/none.npy" run $models/lstm.safetensors -i "$tmp/none.npy" -o "$tmp/no.csv"

# ---- generate ---------------------------------------------------------------------------------------------------------
"$rnnd" generate $models/text.safetensors -p 'ab' -n 40 -s 5 >"$tmp/one"
"$rnnd" generate $models/text.safetensors -p 'ab' -n 40 -s 5 >"$tmp/two"
"$rnnd" generate $models/text.safetensors -p 'ab' -n 40 -s 6 >"$tmp/three"
cmp -s "$tmp/one" "$tmp/two" && ! cmp -s "$tmp/one" "$tmp/three"
check "generate: the same seed, the same text; another, another" $?
printf 'ab' | "$rnnd" generate $models/text.safetensors --prompt-file - --echo -n 40 -s 5 | cut -c 3- | cmp -s - "$tmp/one"
check "generate: a prompt from standard input; --echo puts it first" $?
stop=$(cut -c 4-5 "$tmp/one")
"$rnnd" generate $models/text.safetensors -p 'ab' -n 40 -s 5 --stop "$stop" >"$tmp/stopped"
[ "$(cat "$tmp/stopped")" = "$(awk -v s="$stop" '{ print substr($0, 1, index($0, s) - 1); exit }' "$tmp/one")" ]
check "generate: --stop ends before the text" $?
refused "generate needs a text model" 1 "not a text model" generate $models/lstm.safetensors
refused "a temperature out of range" 1 "temperature" generate $models/text.safetensors -t -1

# ---- forecast ---------------------------------------------------------------------------------------------------------
awk 'BEGIN { print "date,value"; for (i = 1; i <= 40; i++) printf "2024-%02d-%02d,%s\n", 1 + int(i / 28), 1 + i % 28, i == 9 ? "" : 10 + i % 7 }' \
    >"$tmp/series.csv"
"$rnnd" forecast "$tmp/series.csv" --model $models/daily.safetensors -n 3 -q 0.1,0.5,0.9 >"$tmp/f.csv" 2>"$tmp/err"
check "forecast" $?
awk -F, 'NR == 1 { bad = $0 != "step,channel,mean,q0.1,q0.5,q0.9" }
         NR > 1 && !($1 == NR - 1 && $4 <= $5 && $5 <= $6) { bad = 1 } END { exit bad || NR != 4 }' "$tmp/f.csv"
check "forecast: three steps, quantiles in order" $?
grep -q "missing values filled in: 1" "$tmp/err"
check "forecast says how many values were missing" $?
"$rnnd" forecast - --model $models/daily.safetensors -n 3 <"$tmp/series.csv" 2>/dev/null | cmp -s - "$tmp/f.csv"
check "forecast reads standard input" $?
refused "quantiles that do not ascend" 2 "--quantiles" forecast "$tmp/series.csv" -q 0.9,0.1
refused "a horizon of none" 2 "--horizon is 0" forecast "$tmp/series.csv" -n 0

# ---- inspect and the command line -------------------------------------------------------------------------------------
"$rnnd" inspect $models/lstm.safetensors | grep -q '^inputs  *x: 3 numbers a step$'
check "inspect for people" $?
"$rnnd" inspect $models/text.safetensors --json | python3 -c 'import json, sys
d = json.load(sys.stdin)
assert d["task"] == "text" and d["parameters"] == sum(l["parameters"] for l in d["layers"]), d'
check "inspect --json is JSON and its layers add up" $?
refused "a model that is not there" 1 "there is no model" inspect "$tmp/none"
refused "a folder for a model" 1 "is a folder" inspect "$tmp"
refused "an array that is none" 1 "$tmp/bad.txt: wanted a .npy file" run $models/lstm.safetensors -i "$tmp/bad.txt" -o "$tmp/no.csv"
mkdir -p "$tmp/bin" "$tmp/share/rnnd/models" && cp "$rnnd" "$tmp/bin/rnnd" && cp $models/lstm.safetensors "$tmp/share/rnnd/models/apart.safetensors"
"$tmp/bin/rnnd" inspect apart >"$tmp/out"
check "a name finds an installed model" $?
refused "an option that is not there" 2 "--nothing" inspect --nothing
refused "one argument too many" 2 "one argument too many" inspect a b
refused "too few" 2 "too few arguments" inspect
refused "a command that is not there" 2 "no command 'fly'" fly
for command in serve run inspect generate forecast; do
    "$rnnd" $command --help | grep -qi "usage: rnnd $command"
    check "$command --help" $?
done
"$rnnd" --version | grep -q '^rnnd [0-9]'
check "--version" $?
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
