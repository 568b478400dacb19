#!/bin/bash
# test_readme.sh -- core/README.md: its example compiles against the library and runs; no word of the schema is left out.
set -u
cd "$(dirname "$0")/../.."
B=${RNND_BUILD:-build}
page=core/README.md
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
check() { # name, status
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $1"; fi
}

awk '/^```/ { inside = ($0 == "```c"); next } inside { print }' "$page" >"$tmp/example.c"
for language in "gcc -std=c11 -Wall -Wextra -Wshadow -Werror" "gcc -std=c99 -Wall"; do
    $language -Icore "$tmp/example.c" "$B/librnnd.a" -lcjson -lxxhash -lz -lm -pthread -o "$tmp/example"
    check "the example compiles with $language" $?
done
"$tmp/example" models/tiny/lstm.safetensors >"$tmp/out"
check "the example runs" $?
[ "$(grep -c '^step [0-9]: -\{0,1\}[0-9]' "$tmp/out")" = 10 ] && [ "$(tail -1 "$tmp/out")" = "equal after equal inputs" ]
check "the example prints ten steps and equal states" $?
"$tmp/example" "$tmp/none" >/dev/null 2>"$tmp/err"
[ $? = 1 ] && grep -q "$tmp/none" "$tmp/err"
check "the example names the file that is not there" $?

# every string of the tables of keys, choices, layer kinds, ops, functions, roles and codes stands on the page as `word`
words() { # file, regular expression of the lines where a table begins
    awk -v start="$2" '$0 ~ start { on = 1 } on { print } on && /;$/ { on = 0 }' "$1" | grep -o '"[A-Za-z_0-9]*"' | tr -d '"'
}
{
    for f in config config_tasks; do words core/model/$f.c '^ *static const char \*const'; done
    for f in stack layers layers_recurrent nodes; do words core/formats/$f.c '^ *static const char \*const [a-z_]*\[\] ='; done
    words core/formats/layers.c '^static const struct layer_type others'
    words core/formats/dialect.c '^static const struct dialect dialects' | grep -vxE 'ifgo|rzn|zrn|iofg|igfo|ifo|iof|h'
    sed -n 's/^#define DIALECT_LAYOUTS//p' core/formats/dialect.h | grep -o '"[a-z0-9]*"' | tr -d '"'
    for f in dense embedding rowwise shape recurrent attend; do words core/ops/$f.c '^static const char \*const|^const struct op op_'; done
    words core/ops/op.c '^} acts\[\]'
    sed -n 's/^    X(\([A-Z_]*\),.*/\1/p' core/rnnd.h | grep -vx OK
} | sort -u >"$tmp/words"
[ "$(wc -l <"$tmp/words")" -gt 150 ]
check "the tables were found" $?
while read -r word; do
    grep -qE "(\`|\")$word(\`|\")" "$page"
    check "core/README.md does not say \`$word\`" $?
done <"$tmp/words"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
