#!/bin/bash
# test_steady.sh -- what a step and a window call once they have run before, as callgrind sees it: our own functions, and of
# the C library those that copy and clear. So nothing is allocated, no lock taken and the kernel not asked.
set -u
cd "$(dirname "$0")/../.."
B=${RNND_BUILD:-build}
if ! command -v valgrind >/dev/null; then
    echo "skipped: test_steady.sh needs valgrind"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
check() { # name, status
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $1"; fi
}

# file of callgrind -> "object: function", each that something was counted in or for
calls() {
    awk '/^c?(ob|fn)=\(/ {
            call = sub(/^c/, ""); kind = substr($0, 1, 2); id = $0; sub(/^..=\(/, "", id); sub(/\).*/, "", id)
            if (match($0, /\) /)) name[kind id] = substr($0, RSTART + 2)
            if (call) next
            if (kind == "ob") object = name["ob" id]; else print object ": " name["fn" id]
        }' "$1" | sort -u
}
watch() { # arguments of steady; its calls into tmp/calls
    LD_BIND_NOW=1 valgrind -q --tool=callgrind --callgrind-out-file="$tmp/out" --collect-atstart=no \
        --toggle-collect='steady_*' "$tmp/steady" "$@" >"$tmp/said" 2>&1 && calls "$tmp/out" >"$tmp/calls" ||
        { cat "$tmp/said"; false; }
}
harmless='^[^ ]*/libc[.-][^ ]*: (\(below main\)|__libc_start_main.*|__mem(cpy|move|set)_[a-z0-9_]*)$|^[^ ]*/ld-linux[^ ]*: 0x[0-9a-f]*$'

gcc -std=c11 -g -O1 -I. tests/core/steady.c "$B/librnnd.a" -lcjson -lxxhash -lz -lm -pthread -o "$tmp/steady"
check "the program compiles" $?
watch fp32 -allocate models/tiny/lstm.safetensors && grep -q ': malloc$' "$tmp/calls" && grep -q ': pthread_mutex_lock' "$tmp/calls"
check "an allocation and a lock are seen" $?
for precision in fp32 bf16 int8; do
    for model in lstm text daily pair bigru; do
        : >"$tmp/more"
        watch $precision models/tiny/$model.safetensors && grep -q ': rnnd_run_window$' "$tmp/calls" &&
            ! grep -vE "^$tmp/steady: " "$tmp/calls" | grep -vE "$harmless" >"$tmp/more" &&
            ! grep -E ': mem_(alloc|aligned|resize|free)$' "$tmp/calls"
        status=$? # of the line above: a substitution beside it would put its own there
        check "$model in $precision: steps and windows call nothing but their own$(sed 's/^/; /' "$tmp/more" | tr -d '\n')" $status
    done
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
