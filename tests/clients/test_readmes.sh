#!/bin/bash
# test_readmes.sh -- runs every curl line and the Python of the READMEs against a server of the bundled models.
#
# A command passes when it exits 0 and does not answer an error object. Commands of one file share one server, in order.
# A fenced block tagged `sh` is read; lines that do not start with curl are left out; continued lines are joined.
set -u
cd "$(dirname "$0")/../.."
bin=${RNND_BIN:-build/rnnd}
port=$((21000 + $$ % 20000))
tmp=$(mktemp -d)
passed=0 failed=0 skipped=0
pid=
tidy() { [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; rm -rf "$tmp"; }
trap tidy EXIT

serve() { # models...
    "$bin" serve --listen "127.0.0.1:$port" --log-format off "$@" >"$tmp/log" 2>&1 &
    pid=$!
    i=0
    until curl -fsS -m 2 "http://127.0.0.1:$port/readyz" >/dev/null 2>&1; do
        i=$((i + 1)); [ $i -ge 100 ] && { cat "$tmp/log"; echo "no server"; break; }
        sleep 0.1
    done
}
stop() { kill "$pid"; wait "$pid"; pid=; }

for page in README.md server/README.md models/README.md; do
    [ -e "$page" ] || continue
    awk '
        /^```/ { inside = ($0 == "```sh"); n = 0; next }
        !inside { next }
        !n && !/^curl / { next }
        { n = 1; line = line (line == "" ? "" : "\n") $0 }
        # a command ends where no quote is open and no backslash continues it
        { s = line; q = gsub(/\047/, "", s); if (q % 2 == 0 && $0 !~ /\\$/) { printf "%s%c", line, 0; line = ""; n = 0 } }
    ' "$page" >"$tmp/commands"
    [ -s "$tmp/commands" ] || continue
    serve
    while IFS= read -r -d '' command; do
        command=$(printf '%s' "$command" | sed "s/127\.0\.0\.1:8080/127.0.0.1:$port/g")
        printf '%s\n' "$command" >"$tmp/one.sh"
        if timeout 60 bash "$tmp/one.sh" >"$tmp/out" 2>"$tmp/err" </dev/null &&
            ! head -c 300 "$tmp/out" | grep -q '^{"error":'; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1)); echo "FAIL $page: $command"; head -c 600 "$tmp/out"; cat "$tmp/err"; echo
        fi
    done <"$tmp/commands"
    awk '/^```/ { inside = ($0 == "```python"); if (!inside && n) exit; next } inside && /requests/ { n = 1 } inside { print }' "$page" >"$tmp/page.py"
    if grep -q '^import requests' "$tmp/page.py"; then
        if /usr/bin/python3 -c 'import requests' 2>/dev/null; then
            sed -i "s/127\.0\.0\.1:8080/127.0.0.1:$port/g" "$tmp/page.py"
            if timeout 60 /usr/bin/python3 "$tmp/page.py" >"$tmp/out" 2>&1; then passed=$((passed + 1)); else
                failed=$((failed + 1)); echo "FAIL $page: its Python"; cat "$tmp/out"
            fi
        else
            skipped=$((skipped + 1)); echo "skipped: $page: its Python (no python3-requests)"
        fi
    fi
    stop
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
