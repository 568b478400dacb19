#!/bin/sh
# run.sh -- runs the fuzz targets one after the other and closes with one line "N passed, N failed, N skipped".
#   B=build folder  T=word that a target's name must contain  SECONDS_EACH=how long
set -u
B=${B:-build/fuzz}; T=${T:-}; seconds=${SECONDS_EACH:-600}
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}" UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
passed=0 failed=0 skipped=0
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c) log=$(mktemp)
    case "$name" in *"$T"*) ;; *) rm -f "$log"; continue ;; esac
    corpus=$B/corpus/${name#fuzz_} bad=$B/failed/${name#fuzz_}
    mkdir -p "$corpus" "$bad"
    sh tests/fuzz/seeds.sh "$source" "$corpus"
    options=$(sed -n 's/^ \* options: //p' "$source")
    nice "$B/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 $options -artifact_prefix="$bad/" \
        -print_final_stats=1 "$corpus" >"$log" 2>&1 </dev/null
    rc=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    if [ $rc = 0 ] && [ "${runs:-0}" -gt 0 ]; then
        passed=$((passed + 1)) verdict=passed
    else
        failed=$((failed + 1)) verdict=FAILED
        tail -n 60 "$log"
    fi
    printf '%-24s %s  %s runs, %s edges, %s inputs kept\n' "$name" "$verdict" "${runs:-0}" "${covered:-0}" \
        "$(ls "$corpus" | wc -l)"
    rm -f "$log"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
