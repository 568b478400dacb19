#!/bin/sh
# check.sh -- the house rules that a machine can check: layers, exported symbols, banned calls, first lines, width.
set -u
B=${B:-build}
passed=0 failed=0
rule() { # name, text of the violations (empty = kept)
    if [ -z "$2" ]; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "rule broken: $1"; echo "$2" | head -20
    fi
}
includes() { # folder, regular expression of what it may include of ours
    grep -nHE '^#include "(core|server|tests)/' $(find "$1" -name '*.[ch]') 2>/dev/null |
        grep -vE "\"($2)" || true
}
base='core/rnnd\.h"|core/base/'
rule "core/base includes base" "$(includes core/base "$base")"
rule "core/kernels includes base" "$(includes core/kernels "$base|core/kernels/")"
rule "core/cells includes kernels" "$(includes core/cells "$base|core/(kernels|cells)/")"
rule "core/graph and core/ops include cells" \
    "$(includes core/graph "$base|core/(kernels|cells|ops|graph)/"; includes core/ops "$base|core/(kernels|cells|ops|graph)/")"
rule "core/formats includes graph" "$(includes core/formats "$base|core/(kernels|cells|ops|graph|formats)/")"
rule "core/model includes formats" "$(includes core/model "$base|core/(kernels|cells|ops|graph|formats|model)/")"
rule "core/tasks includes model" "$(includes core/tasks "$base|core/(kernels|model|tasks|graph|formats)/")"
rule "core/cli includes rnnd.h only" "$(includes core/cli 'core/rnnd\.h"|core/cli/')"
rule "server/http includes nothing else of ours" "$(includes server/http 'server/http/')"
rule "server/engine includes rnnd.h and store" "$(includes server/engine 'core/rnnd\.h"|server/(engine|store)/')"
rule "server/api includes http, engine, rnnd.h" "$(includes server/api 'core/rnnd\.h"|server/(api|http|engine|ui)/')"
only() { # header, files that may include it (regular expression)
    grep -rlE "#include <$1" core server --include='*.[ch]' 2>/dev/null | grep -vE "$2" || true
}
rule "<microhttpd.h> only in server/http" "$(only microhttpd '^server/http/')"
rule "<cjson/cJSON.h> only in core/formats/json.c" "$(only 'cjson/' '^core/formats/json\.c$')"
rule "<cblas.h> only in kernels_blas.c" "$(only cblas '^core/kernels/kernels_blas\.c$')"
rule "<zlib.h> only in inflate.c" "$(only zlib '^core/formats/inflate\.c$')"
rule "<curl/...> only in tests" "$(only curl/ '^$')"

library=$(find core -name '*.[ch]' -not -path 'core/cli/*')
rule "the library never exits, prints or reads the environment" \
    "$(grep -nHE '(^|[^a-zA-Z_])(exit|_exit|abort|printf|puts|perror|getenv|fprintf)\(' $library | grep -vE '^[^:]*:[0-9]*: *(\*|/\*|//)' || true)"
rule "the library allocates through mem.c" \
    "$(grep -nHE '(^|[^a-zA-Z_])(malloc|calloc|realloc|free|strdup|strndup|aligned_alloc|posix_memalign)\(' $library | grep -vE '^core/base/mem\.c:' || true)"
rule "no unbounded string calls" \
    "$(grep -nHE '(^|[^a-zA-Z_])(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|alloca)\(' $(find core server -name '*.[ch]') || true)"
rule "no libm in the answer path" \
    "$(grep -nHE '(^|[^a-zA-Z_])(expf?|logf?|log1pf?|expm1f?|tanhf?|powf?|sinf?|cosf?|erff?)\(' $(find core -name '*.c' -not -path 'core/cli/*') |
        grep -vE '^[^:]*:[0-9]*: *(\*|/\*)' || true)"
rule "line 1 says what a file is for" "$(for f in $(find core server tests -name '*.[ch]'); do
    head -1 "$f" | grep -qE "^/\* $(basename "$f" | sed 's/\./\\./g') -- " || echo "$f"; done)"
rule "no line over 120 columns" \
    "$(for f in $(find core server tests -name '*.[ch]'); do awk -v f="$f" 'length($0) > 120 {print f ":" NR ": " length($0)}' "$f"; done)"
rule "nothing unfinished" "$(grep -rnwE 'TODO|FIXME|XXX|HACK' core server tests models docker Makefile --include='*.[ch]' \
    --include='*.py' --include='*.sh' --include=Makefile 2>/dev/null | grep -v '^tests/check.sh' || true)"
if [ -e "$B/obj/core/kernels/kernels_vnni.o" ] && [ "$B" = build ]; then # sanitizers need registers too
    rule "the products keep their sums in registers" "$(sh tests/spills.sh "$B"/obj/core/kernels/kernels_avx2.o \
        "$B"/obj/core/kernels/kernels_avx512.o "$B"/obj/core/kernels/kernels_vnni.o 2>&1)"
fi
if [ -e "$B/librnnd.so" ]; then
    rule "only rnnd_* is exported" \
        "$(nm -D --defined-only "$B/librnnd.so" | awk '$3 !~ /^rnnd_/ && $3 !~ /^(_init|_fini|__asan|__ubsan)/ {print $3}')"
fi
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
