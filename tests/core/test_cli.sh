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

# ---- run: names, taps, number types, one step at a time -----------------------------------------------------------------
cases=tests/vectors/conformance
npy() { # file, descr, order, shape, struct format, numbers...: a .npy as numpy writes it
    python3 - "$@" <<'EOF'
import struct, sys
path, descr, fortran, shape, form = sys.argv[1:6]
head = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, fortran, shape)
number = int if form in "qib" else float
open(path, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
                       b"".join(struct.pack("<" + form, number(n)) for n in sys.argv[6:]))
EOF
}
"$rnnd" run $models/lstm.safetensors -i "x=$tmp/x.csv" -o "head=$tmp/named.csv" -o "rnn=$tmp/rnn.json" -o "hn=$tmp/hn.csv"
check "run: an input, outputs, a layer and a state by name" $?
cmp -s "$tmp/window.csv" "$tmp/named.csv"
check "by name it answers what it does without" $?
python3 - "$tmp/rnn.json" "$tmp/hn.csv" <<'EOF'
import ast, sys
rows = ast.literal_eval(open(sys.argv[1]).read())
last = [float(x) for x in open(sys.argv[2]).read().split(",")]
assert len(rows) == 3 and len(rows[0]) == 8 and rows[2] == last, (rows, last)
EOF
check "a tap is the layer's output, its last step the last state" $?
npy "$tmp/f8.npy" '<f8' False '(3, 3)' d 1 2 3 4 5 6 -1 0.5 0.2
npy "$tmp/fortran.npy" '<f4' True '(1, 3, 3)' f 1 4 -1 2 5 0.5 3 6 0.2
printf '[[1, 2, 3], [4, 5, 6], [-1, 0.5, 2e-1]]' >"$tmp/x.json"
for file in f8.npy fortran.npy x.json; do
    "$rnnd" run $models/lstm.safetensors -i "$tmp/$file" -o "$tmp/typed.csv" && cmp -s "$tmp/window.csv" "$tmp/typed.csv"
    check "run reads $file" $?
done
npy "$tmp/ids.npy" '<i8' False '(1, 4)' q 0 5 2 1
"$rnnd" run $cases/table/ids.pt --config $cases/table/ids.rnnd.json -i "ids=$tmp/ids.npy" -o "$tmp/ids.csv" && [ "$(wc -l <"$tmp/ids.csv")" = 4 ]
check "run: whole numbers into an embedding" $?
npy "$tmp/far.npy" '<i8' False '(1, 2)' q 0 6
refused "an id out of range" 1 "ids from 0 to 5" run $cases/table/ids.pt --config $cases/table/ids.rnnd.json -i "$tmp/far.npy" -o "$tmp/no.npy"
refused "an input that the model does not have" 1 'no input "z"' run $models/lstm.safetensors -i "z=$tmp/x.csv" -o "$tmp/no.csv"
refused "a layer that the model does not have" 1 'nothing is called "z"; there is head' run $models/lstm.safetensors -i "$tmp/x.csv" -o "z=$tmp/no.csv"
[ ! -e "$tmp/no.csv" ] && [ ! -e "$tmp/no.npy" ]
check "none of them wrote anything" $?
npy "$tmp/two.npy" '<f4' False '(2, 2, 3)' f 1 2 3 4 5 6 0 0 0 1 1 1
"$rnnd" run $models/lstm.safetensors -i "$tmp/two.npy" -o "$tmp/w.npy" && "$rnnd" run $models/lstm.safetensors -i "$tmp/two.npy" -o "$tmp/s.npy" --stream
cmp -s "$tmp/w.npy" "$tmp/s.npy"
check "sequences of a batch each have a state of their own" $?
npy "$tmp/steps.npy" '<f4' False '(2, 1, 1, 3)' f 1 2 3 4 5 6
"$rnnd" run $cases/table/step.onnx -i "$tmp/steps.npy" -o "$tmp/s.json" --stream
check "run --stream: a network that is the function of one step" $?
npy "$tmp/one.npy" '<f4' False '(1, 1, 3)' f 1 2 3
"$rnnd" run $cases/table/step.onnx -i "$tmp/one.npy" -o "y=$tmp/one.csv" -o "stateN=$tmp/state.npy"
npy "$tmp/next.npy" '<f4' False '(1, 1, 3)' f 4 5 6
"$rnnd" run $cases/table/step.onnx -i "x=$tmp/next.npy" -i "state=$tmp/state.npy" -o "$tmp/next.csv"
[ "$(tr -d '[] ' <"$tmp/s.json" | sed 's/,$//')" = "$(cat "$tmp/one.csv" "$tmp/next.csv")" ]
check "the same by hand, the state out and in again" $?

# ---- guesses, side files, verify, convert --------------------------------------------------------------------------------
cp $cases/table/last.pt "$tmp/last.pt"
printf '1,2\n3,4\n' >"$tmp/p.csv"
"$rnnd" inspect "$tmp/last.pt" >"$tmp/out" && grep -q '^framework  *PyTorch' "$tmp/out" && grep -q 'nothing is computed until' "$tmp/out"
check "inspect lists what was guessed" $?
"$rnnd" inspect "$tmp/last.pt" --json | python3 -c 'import json, sys
d = json.load(sys.stdin)
assert d["unconfirmed"] and d["assumptions"] and json.loads(d["side_file"])["layers"], d'
check "inspect --json too" $?
"$rnnd" inspect tests/vectors/graph/loop.safetensors --precision int8 | grep -q '^precision  *fp32: a tensor graph'
check "inspect says what is not reduced" $?
refused "guesses are not run" 3 "not confirmed" run "$tmp/last.pt" -i "$tmp/p.csv" -o "$tmp/no.csv"
refused "nor converted" 3 "not confirmed" convert "$tmp/last.pt" "$tmp/no.safetensors"
"$rnnd" run "$tmp/last.pt" -i "$tmp/p.csv" -o "$tmp/accepted.csv" --accept-guesses
check "unless they are accepted" $?
"$rnnd" init "$tmp/last.pt" >"$tmp/out" && [ -e "$tmp/last.rnnd.json" ] && grep -q '^assumed: ' "$tmp/out"
check "init writes the side file" $?
refused "init does not write over it" 1 "there already" init "$tmp/last.pt"
"$rnnd" init "$tmp/last.pt" --force >/dev/null
check "init --force does" $?
"$rnnd" run "$tmp/last.pt" -i "$tmp/p.csv" -o "$tmp/said.csv" && cmp -s "$tmp/accepted.csv" "$tmp/said.csv"
check "with the side file the model runs" $?
"$rnnd" convert "$tmp/last.pt" "$tmp/last.safetensors" >/dev/null && "$rnnd" run "$tmp/last.safetensors" -i "$tmp/p.csv" -o "$tmp/native.csv"
check "convert" $?
cmp -s "$tmp/accepted.csv" "$tmp/native.csv"
check "the native file answers the same" $?
refused "convert does not write over a file" 1 "there already" convert "$tmp/last.pt" "$tmp/last.safetensors"
refused "a name of another kind" 2 ".safetensors" convert "$tmp/last.pt" "$tmp/last.h5"
# graphs of files with an architecture of their own
told() { "$rnnd" inspect "$1" | sed '/^model\|^format\|^digest/d'; }
for model in keras/text.h5 keras/stacked.keras onnx_files/torch_lstm.onnx; do
    "$rnnd" convert tests/vectors/$model "$tmp/graph.safetensors" --force >/dev/null &&
        [ -n "$(told "$tmp/graph.safetensors")" ] &&
        [ "$(told tests/vectors/$model)" = "$(told "$tmp/graph.safetensors")" ]
    check "convert: what inspect says of $model" $?
done
"$rnnd" convert $cases/table/step.onnx "$tmp/step.safetensors" >/dev/null &&
    "$rnnd" run "$tmp/step.safetensors" -i "$tmp/one.npy" -o "y=$tmp/one.native.csv" -o "stateN=$tmp/state.native.npy" &&
    cmp "$tmp/one.csv" "$tmp/one.native.csv" && cmp "$tmp/state.npy" "$tmp/state.native.npy"
check "convert: a network of one step, its state out" $?
refused "a folder that is not there" 1 "nowhere" convert $cases/table/step.onnx "$tmp/nowhere/x.safetensors"
head -c 100 $cases/table/last.pt >"$tmp/cut.pt"
refused "a damaged model" 3 "cut.pt" inspect "$tmp/cut.pt"
"$rnnd" verify "$tmp/last.pt" --input "$tmp/p.csv" --expect "$tmp/native.csv" >"$tmp/out" && grep -qx ok "$tmp/out"
check "verify: equal" $?
awk -F, '{ printf "%s,%.9f,%s\n", $1, $2 + 3e-5, $3 }' "$tmp/native.csv" >"$tmp/off.csv"
"$rnnd" verify "$tmp/last.pt" --input "$tmp/p.csv" --expect "$tmp/off.csv" >"$tmp/out"
[ $? = 1 ] && grep -q '^worst *\[0\]\[1\]: ' "$tmp/out" && grep -qx FAILED "$tmp/out"
check "verify: three times too far, and where" $?
"$rnnd" verify "$tmp/last.pt" --input "$tmp/p.csv" --expect "$tmp/off.csv" --tolerance 1e-4 >/dev/null
check "verify: within another tolerance" $?
refused "verify: another shape" 1 "shape" verify "$tmp/last.pt" --input "$tmp/p.csv" --expect "$tmp/p.csv"
refused "verify without expected values" 2 "--expect" verify "$tmp/last.pt" --input "$tmp/p.csv"

cp $cases/json/rtneural/gru.json "$tmp/sales.json"
printf 'date,other,sales\n2024-01-01,1,10\n2024-01-02,1,12\n2024-01-03,1,\n2024-01-04,1,14\n' >"$tmp/sales.csv"
refused "init: columns that do not fit" 1 "takes 1 number a step" init "$tmp/sales.json" --csv "$tmp/sales.csv"
refused "init: a column that is not there" 1 "no column" init "$tmp/sales.json" --csv "$tmp/sales.csv" --target price
"$rnnd" init "$tmp/sales.json" --csv "$tmp/sales.csv" --target sales >/dev/null
check "init --csv" $?
python3 - "$tmp/sales.rnnd.json" <<'EOF'
import ast, sys
d = ast.literal_eval(open(sys.argv[1]).read())
s = d["series"]
assert d["task"] == "series" and s["horizon"] == 1 and s["frequency"] == "1d", d
scaler = s["channels"][0]["scaler"]
assert s["channels"][0]["name"] == "sales" and scaler["type"] == "standard", s
assert abs(scaler["mean"] - 12) < 1e-6 and abs(scaler["std"] - (8 / 3) ** 0.5) < 1e-6, scaler
EOF
check "the scaler is that of the column, its gap left out" $?
cut -d, -f1,3 "$tmp/sales.csv" | "$rnnd" forecast - --model "$tmp/sales.json" -n 2 >"$tmp/out" 2>"$tmp/err"
[ "$(wc -l <"$tmp/out")" = 3 ]
check "and the model forecasts" $?

# ---- init: several columns in, one of them answered
cp tests/vectors/rtjson/lstm.json "$tmp/three.json"
awk 'BEGIN { print "date,a,b,c"; for (i = 1; i <= 9; i++) printf "2024-01-%02d,%g,%g,%g\n", i, i * i % 7, 100 + 3 * (i % 4), i / 8 }' >"$tmp/three.csv"
refused "init: one answer for three columns" 1 "--target names the one" init "$tmp/three.json" --csv "$tmp/three.csv"
"$rnnd" init "$tmp/three.json" --csv "$tmp/three.csv" --target b >"$tmp/out"
check "init --target" $?
"$rnnd" inspect "$tmp/three.json" | grep -q '^target  *b$'
check "inspect says what is answered" $?
"$rnnd" forecast "$tmp/three.csv" --model "$tmp/three.json" >"$tmp/f.csv" 2>"$tmp/err"
check "it forecasts that column" $?
cp "$tmp/three.json" "$tmp/bare.json"
python3 - "$tmp/three.csv" >"$tmp/scaled.csv" <<'EOF'
import sys
rows = [[float(v) for v in line.split(",")[1:]] for line in open(sys.argv[1]).read().split()[1:]]
columns = []
for c in zip(*rows):
    mean = sum(c) / len(c)
    std = (sum((v - mean) ** 2 for v in c) / len(c)) ** 0.5
    columns.append([(v - mean) / std for v in c])
print("\n".join(",".join("%.9g" % v for v in r) for r in zip(*columns)))
EOF
"$rnnd" run "$tmp/bare.json" -i "$tmp/scaled.csv" -o "$tmp/y.csv"
check "the same network on columns scaled by hand" $?
python3 - "$tmp/three.csv" "$tmp/y.csv" "$tmp/f.csv" <<'EOF'
import sys
b = [float(line.split(",")[2]) for line in open(sys.argv[1]).read().split()[1:]]
mean = sum(b) / len(b)
std = (sum((v - mean) ** 2 for v in b) / len(b)) ** 0.5
y = float(open(sys.argv[2]).read().split()[-1])
step, channel, got = open(sys.argv[3]).read().split()[-1].split(",")
assert (step, channel) == ("1", "b"), (step, channel)
assert abs(float(got) - (mean + std * y)) < 1e-4, (got, mean + std * y)
EOF
check "its answer is that network's, in the units of the column" $?
refused "and no further than it answers" 1 "1 of its 3 channels" forecast "$tmp/three.csv" --model "$tmp/three.json" -n 2
printf 'date,c,a\n2024-01-10,1.25,10\n' >"$tmp/ahead.csv"
"$rnnd" forecast "$tmp/three.csv" --model "$tmp/three.json" -n 2 --future "$tmp/ahead.csv" >"$tmp/f2.csv" 2>"$tmp/err"
check "unless the others' future is told" $?
b=$(tail -1 "$tmp/f.csv" | cut -d, -f3)
(cat "$tmp/three.csv"; echo "2024-01-10,10,$b,1.25") | "$rnnd" forecast - --model "$tmp/three.json" >"$tmp/f3.csv" 2>"$tmp/err"
[ "$(sed -n 2p "$tmp/f2.csv")" = "$(sed -n 2p "$tmp/f.csv")" ] && [ "$(sed -n 3p "$tmp/f2.csv" | cut -d, -f3)" = "$(sed -n 2p "$tmp/f3.csv" | cut -d, -f3)" ]
check "its second step is the first behind its own answer" $?
refused "a future of nothing it knows" 1 "no column named" forecast "$tmp/three.csv" --model "$tmp/three.json" --future "$tmp/sales.csv"

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
for command in serve run inspect generate forecast init verify convert; do
    "$rnnd" $command --help | grep -qi "usage: rnnd $command"
    check "$command --help" $?
done
"$rnnd" --version | grep -q '^rnnd [0-9]'
check "--version" $?
# weights in fewer bits: a file that opens so by itself
for precision in bf16 int8; do
    "$rnnd" convert --precision $precision $models/lstm.safetensors "$tmp/$precision.safetensors" >"$tmp/out" &&
        grep -q "^in $precision: outputs differ from those in fp32 by 0\.[0-9]* %$" "$tmp/out"
    check "convert --precision $precision says what it costs" $?
    "$rnnd" inspect "$tmp/$precision.safetensors" | grep -qxF "precision     $(sed -n 's/^in //p' "$tmp/out")"
    check "inspect says the same of the file" $?
    "$rnnd" run "$tmp/$precision.safetensors" -i "$tmp/x.csv" -o "$tmp/a.csv" &&
        "$rnnd" run --precision $precision $models/lstm.safetensors -i "$tmp/x.csv" -o "$tmp/b.csv" && cmp -s "$tmp/a.csv" "$tmp/b.csv"
    check "run answers as --precision $precision does" $?
done
cmp -s "$tmp/b.csv" "$tmp/window.csv"
[ $? = 1 ]
check "which is not the answer in fp32" $?
refused "another precision than the file's" 3 "weights are in int8" run --precision bf16 "$tmp/int8.safetensors" -i "$tmp/x.csv" -o "$tmp/no.csv"
refused "a file already in fewer bits" 3 "holds reduced weights already" convert "$tmp/int8.safetensors" "$tmp/no.safetensors"
# RNND_ISA: every kernel row that this machine has, with the same answer; no other
rows=$("$rnnd" --version | sed -n 's/^kernel rows of this machine: //p' | tr -d ',')
for row in $rows; do
    RNND_ISA=$row "$rnnd" run $models/lstm.safetensors -i "$tmp/x.csv" -o "$tmp/row.csv" && cmp -s "$tmp/window.csv" "$tmp/row.csv" &&
        RNND_ISA=$row "$rnnd" --version | grep -qF "(kernels $row)"
    check "RNND_ISA=$row" $?
done
RNND_ISA=abacus refused "a kernel row that is not there" 2 "(${rows// /, }), found \"abacus\"" inspect $models/lstm.safetensors
RNND_ISA=abacus refused "the same for the server" 2 "(${rows// /, }), found \"abacus\"" serve
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
