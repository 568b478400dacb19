#!/bin/sh
# seeds.sh -- what a fuzz target starts from: files of the names in its "seeds:" line, no larger than its -max_len.
#   seeds.sh tests/fuzz/fuzz_NAME.c FOLDER
set -eu
source=$1 folder=$2
most=$(sed -n 's/^ \* options:.*-max_len=\([0-9]*\).*/\1/p' "$source")
mkdir -p "$folder"
set -f # patterns are for find
for pattern in $(sed -n 's/^ \* seeds: //p' "$source"); do
    find tests/vectors models ../shared/real ../shared/conformance -type f -name "$pattern" \
        -size "-$((${most:-4096} + 1))c" 2>/dev/null | while read -r file; do
        cp "$file" "$folder/seed-$(cksum <"$file" | cut -d' ' -f1)" # one of each
    done
done
