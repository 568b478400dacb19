#!/bin/sh
# spills.sh OBJECT.. -- the inner loops of the kernels' products, from the disassembly: prints those that move a vector
# from or to the stack, which is what a compiler does with sums it finds no register for. Prints a line, too, where it
# finds fewer loops than there must be, so that it cannot pass by seeing nothing.
set -u
for object in "$@"; do
    objdump -d --no-show-raw-insn "$object" | awk -v object="$(basename "$object")" '
        function padded(hex) { return substr("00000000", 1, 8 - length(hex)) hex }
        function loop(from, to,   i, products, spilled) {
            for (i = from; i <= to; i++) {
                if (i < to && target[i] != "" && target[i] <= address[i] && target[i] >= address[from]) return
                products += text[i] ~ /vfmadd|vpdpbusd|vpmaddwd/
                spilled += text[i] ~ /[xyz]mm/ && text[i] ~ /\(%r[sb]p/
            }
            if (products < 2) return
            loops++
            if (spilled) print object ", " name ": " spilled " vectors of a loop of " products " products on the stack"
        }
        /^[0-9a-f]+ <.*>:$/ { name = $2; n = 0; inside = name ~ /<strip_/ }
        inside && /^ +[0-9a-f]+:/ {
            address[++n] = padded(substr($1, 1, length($1) - 1)); text[n] = $0
            target[n] = $2 ~ /^j/ ? padded($3) : ""; at[address[n]] = n
        }
        inside && /^$/ {
            for (i = 1; i <= n; i++)
                if (target[i] != "" && target[i] <= address[i] && at[target[i]]) loop(at[target[i]], i)
            inside = 0
        }
        END { if (loops < 40) print object ": found " loops + 0 " loops of products, wanted 40 and more" }'
done
