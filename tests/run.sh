#!/bin/sh
# run.sh -- runs every test and closes with one line "N passed, N failed, N skipped".
#   B=build folder  T=word that a test's name must contain  SAN=sanitizer of this build
#   RNND_ISA=kernel row  that commands, servers and models in tests compute with; drawn anew for each run if not given
# A test program is one cmocka binary; a script prints its own closing line of the same form. Both are bounded in time.
set -u
B=${B:-build}; T=${T:-}; SAN=${SAN:-}
export RNND_BIN="$B/rnnd" RNND_BUILD="$B"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}" UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=0:exitcode=66}"
if [ -z "${RNND_ISA:-}" ]; then
    RNND_ISA=$("$B/rnnd" --version | sed -n 's/^kernel rows of this machine: //p' | tr -d ' ' | tr , '\n' |
        { [ -z "$SAN" ] && cat || grep -v baseline; } | shuf -n 1) # the plain row under a sanitizer takes minutes
fi
export RNND_ISA
echo "kernel row of this run: ${RNND_ISA:=auto} (again with RNND_ISA=$RNND_ISA)"
passed=0 failed=0 skipped=0 bad=
out=$(mktemp)
trap 'rm -f "$out"' EXIT
start=$(date +%s)

count() { sed -n "s/^\\[  *$1 *\\] \\([0-9][0-9]*\\) test(s).*/\\1/p" "$out" | awk '{n += $1} END {print n + 0}'; }

one() { # name, seconds, command...
    name=$1 limit=$2; shift 2
    case "$name" in *"$T"*) ;; *) return ;; esac
    t0=$(date +%s)
    timeout -k 10 "$limit" "$@" >"$out" 2>&1 </dev/null; rc=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$out" | tail -1)
    if [ -n "$line" ]; then
        set -- $line
        p=$1 f=$3 s=${5:-0}
    else
        p=$(count PASSED) f=$(count FAILED) s=$(count SKIPPED)
    fi
    if [ $rc -ne 0 ] && [ "$f" = 0 ]; then f=1; fi
    if [ $rc -eq 0 ] && [ "$p" = 0 ] && [ "$s" = 0 ]; then f=1; echo "$name: ran no test"; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$f" != 0 ]; then
        bad="$bad $name"
        [ $rc -eq 124 ] && echo "$name: over its limit of $limit s"
        tail -n 80 "$out"
    fi
    grep -hE '^(skipped|SKIP)[: ]' "$out"
    printf '%-60s %4d passed %3d failed %3d skipped  %3d s\n' "$name" "$p" "$f" "$s" $(($(date +%s) - t0))
}

for t in $(find "$B/tests" -type f -name 'test_*' -perm -100 2>/dev/null | sort); do
    one "${t#"$B"/tests/}" 300 "$t"
done
if [ -z "$SAN" ]; then
    for t in $(find build/address/tests -type f -name 'test_*' -perm -100 2>/dev/null | sort); do
        case "$t" in */server/api/*) continue ;; esac # these drive the plain binary; once is enough
        one "asan+ubsan:${t#build/address/tests/}" 600 "$t"
    done
    one check 120 sh tests/check.sh
    for t in tests/*/test_*.sh; do
        [ -e "$t" ] && one "$t" 600 bash "$t"
    done
fi
[ -n "$bad" ] && echo "failed:$bad"
echo "took $(($(date +%s) - start)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
