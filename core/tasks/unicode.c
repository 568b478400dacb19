/* unicode.c -- properties of characters, looked up in tables of ranges. */
#include "core/tasks/unicode.h"

struct range {
    uint32_t first, last;
};
struct lower_range { /* every step-th character from first to last has its lower case `delta` away */
    uint32_t first, last, step;
    int32_t delta;
};

#include "core/tasks/unicode_tables.h"

static bool within(const struct range *table, size_t count, uint32_t code)
{
    size_t low = 0, high = count;
    while (low < high) { /* the first range that does not end before the character */
        size_t middle = low + (high - low) / 2;
        if (table[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && table[low].first <= code;
}

bool unicode_letter(uint32_t code)
{
    if (code < 128) return (code | 32) >= 'a' && (code | 32) <= 'z';
    return within(letters, sizeof letters / sizeof *letters, code);
}

bool unicode_number(uint32_t code)
{
    if (code < 128) return code >= '0' && code <= '9';
    return within(numbers, sizeof numbers / sizeof *numbers, code);
}

bool unicode_mark(uint32_t code)
{
    return code >= 128 && within(marks, sizeof marks / sizeof *marks, code);
}

bool unicode_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
           code == 0x3000;
}

uint32_t unicode_lower(uint32_t code)
{
    size_t low = 0, high = sizeof lowers / sizeof *lowers;
    if (code < 128) return code >= 'A' && code <= 'Z' ? code + 32 : code;
    if (code == 0x130) return 'i';
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lowers[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == sizeof lowers / sizeof *lowers) return code;
    const struct lower_range *r = &lowers[low];
    return r->first <= code && (code - r->first) % r->step == 0 ? (uint32_t)((int32_t)code + r->delta) : code;
}

size_t unicode_utf8(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(lead[n] | code);
    return n;
}
