#!/usr/bin/env python3
"""make_unicode.py -- the Unicode tables of the tokenizers, from Python's unicodedata.

    python3 tests/vectors/make_unicode.py        (rewrites core/tasks/unicode_tables.h)
"""
import os, unicodedata

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "core", "tasks", "unicode_tables.h")
LAST = 0x110000


def ranges(test):
    found, start = [], None
    for c in range(LAST + 1):
        inside = c < LAST and test(chr(c))
        if inside and start is None:
            start = c
        if not inside and start is not None:
            found.append((start, c - 1))
            start = None
    return found


def lower():
    """(first, last, step, what is added) of the characters that have another of one character as lower case."""
    pairs = [(c, ord(chr(c).lower())) for c in range(LAST) if len(chr(c).lower()) == 1 and chr(c).lower() != chr(c)]
    found = []
    for c, l in pairs:
        if found:
            first, last, step, delta = found[-1]
            if l - c == delta and (c - last == step or (step == 0 and c - last <= 2)):
                found[-1] = (first, c, c - last, delta)
                continue
        found.append((c, c, 0, l - c))
    return [(a, b, s or 1, d) for a, b, s, d in found]


def table(f, kind, name, rows):
    f.write("static const struct %s %s[] = {\n" % (kind, name))
    line = "   "
    for row in rows:
        text = " {%s}," % ", ".join("0x%X" % v if v >= 0 else str(v) for v in row)
        if len(line) + len(text) > 118:
            f.write(line + "\n")
            line = "   "
        line += text
    f.write(line + "\n};\n")


with open(PATH, "w") as f:
    f.write("/* unicode_tables.h -- of Unicode %s; made by tests/vectors/make_unicode.py. */\n" % unicodedata.unidata_version)
    f.write("/* clang-format off */\n")
    table(f, "range", "letters", ranges(lambda c: unicodedata.category(c)[0] == "L"))
    table(f, "range", "numbers", ranges(lambda c: unicodedata.category(c)[0] == "N"))
    table(f, "range", "marks", ranges(lambda c: unicodedata.category(c)[0] == "M"))
    table(f, "lower_range", "lowers", lower())
    f.write("/* clang-format on */\n")
