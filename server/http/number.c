/* number.c -- decimal text to float32, rounded once, and the shortest decimal text of a float32.
 *
 * Reading. A decimal d * 10^e is first taken to a double with three roundings (of d, of the table's 10^e, of their
 * product), an error below 3 units of the double's last place. A float32 keeps 29 bits less, so unless the double lies
 * within a few units of the midpoint between two floats, rounding it once more gives what rounding the decimal itself
 * gives. The rest (one in 2^25 numbers, exact ties, subnormals) is decided by comparing the decimal with the midpoint
 * in exact integer arithmetic. Numbers as most clients write them take eight digits at a time (number_read).
 *
 * Writing. Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2020) for binary32: with v = c * 2^q
 * and its rounding interval R, take 10^k just below the width of R; then R holds one or two multiples of 10^k and at
 * most one of 10^(k+1); the shortest is among these, and 64 bits of 10^-k decide each comparison. */
#include "server/http/number.h"
#include "server/http/json.h"

#include <string.h>

/* ---- grammar ------------------------------------------------------------------------------------------------- */
static bool is_digit(const char *p, const char *end)
{
    return p < end && (unsigned)(*p - '0') < 10;
}

/* Digits of the whole part (fraction false) or behind the point. */
static const char *scan_digits(const char *p, const char *end, struct decimal *d, bool fraction)
{
    for (; is_digit(p, end); p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (d->count < 19) {
            d->digits = d->digits * 10 + digit;
            d->count += d->digits != 0;
            d->exponent -= fraction;
        } else {
            d->truncated |= digit != 0;
            d->exponent += !fraction;
        }
    }
    return p;
}

static const char *scan_exponent(const char *p, const char *end, struct decimal *d)
{
    const int64_t most = 1000000000; /* far beyond what any count of digits in a body can outweigh */
    bool minus = p < end && *p == '-';
    int64_t exponent = 0;

    if (p < end && (*p == '-' || *p == '+')) p++;
    if (!is_digit(p, end)) {
        d->end = p;
        return NULL;
    }
    for (; is_digit(p, end); p++)
        if (exponent < most) exponent = exponent * 10 + (*p - '0');
    d->exponent += minus ? -exponent : exponent;
    return p;
}

const char *number_scan(const char *text, const char *end, struct decimal *d)
{
    const char *p = text;

    *d = (struct decimal){.text = text, .whole = true};
    if (p < end && *p == '-') {
        d->negative = true;
        p++;
    }
    d->end = p;
    if (!is_digit(p, end)) return NULL;
    if (*p == '0') {
        p++;
        d->end = p;
        if (is_digit(p, end)) return NULL; /* 01 */
    } else {
        p = scan_digits(p, end, d, false);
    }
    if (p < end && *p == '.') {
        d->whole = false;
        d->end = ++p;
        if (!is_digit(p, end)) return NULL; /* 1. */
        p = scan_digits(p, end, d, true);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        d->whole = false;
        p = scan_exponent(p + 1, end, d);
        if (!p) return NULL;
    }
    return d->end = p;
}

/* 2^1024 - 2^970, the least value that rounds to infinity, is 1.79769313486231580793...e308. */
bool number_overflows_double(const struct decimal *d)
{
    const uint64_t limit = 1797693134862315807u; /* 19 digits */
    int64_t top = d->exponent + d->count;        /* value < 10^top */
    uint64_t digits = d->digits;

    if (d->count == 0 || top < 309) return false;
    if (top > 309) return true;
    for (int i = d->count; i < 19; i++) digits *= 10;
    return digits > limit || (digits == limit && d->truncated);
}

/* ---- exact comparison ---------------------------------------------------------------------------------------- */
enum { LIMBS = 48, MOST_DIGITS = 128 }; /* below 2^1000 stands 10^128 * 5^50 * 2^300 as well as 2^25 * 5^230 * 2^300 */

struct big { /* limb[0] is the lowest */
    uint32_t limb[LIMBS];
    int used;
};

static void big_multiply_add(struct big *b, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;

    for (int i = 0; i < b->used; i++) {
        carry += (uint64_t)b->limb[i] * factor;
        b->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry && b->used < LIMBS) b->limb[b->used++] = (uint32_t)carry;
}

static void big_multiply_5(struct big *b, int64_t power)
{
    for (; power >= 13; power -= 13) big_multiply_add(b, 1220703125u, 0); /* 5^13 */
    for (; power > 0; power--) big_multiply_add(b, 5, 0);
}

static void big_shift(struct big *b, int64_t power)
{
    for (; power >= 31; power -= 31) big_multiply_add(b, UINT32_C(1) << 31, 0);
    if (power > 0) big_multiply_add(b, UINT32_C(1) << power, 0);
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->used != b->used) return a->used < b->used ? -1 : 1;
    for (int i = a->used - 1; i >= 0; i--)
        if (a->limb[i] != b->limb[i]) return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

/* All digits that can matter: a midpoint between floats has at most 113, so behind 128 it only counts whether anything
 * follows, which one more digit 1 says. */
static int64_t big_read(struct big *b, const struct decimal *d)
{
    int64_t exponent = d->exponent;
    int digits = 0;
    bool more = false;

    if (!d->truncated) {
        b->limb[0] = (uint32_t)d->digits;
        b->limb[1] = (uint32_t)(d->digits >> 32);
        b->used = b->limb[1] ? 2 : 1;
        return exponent;
    }
    exponent = d->exponent + d->count; /* of the first digit */
    b->used = 0;
    for (const char *p = d->text; p < d->end && (*p | 0x20) != 'e'; p++) {
        if ((unsigned)(*p - '0') >= 10 || (digits == 0 && *p == '0')) continue;
        if (digits < MOST_DIGITS) {
            big_multiply_add(b, 10, (uint32_t)(*p - '0'));
            digits++;
        } else {
            more |= *p != '0';
        }
    }
    if (more) {
        big_multiply_add(b, 10, 1);
        digits++;
    }
    return exponent - digits;
}

/* The decimal against the midpoint between the floats with bits `low` and low + 1. */
static int compare_midpoint(const struct big *digits, int64_t exponent, uint32_t low)
{
    struct big left = *digits, right = {.used = 1};
    uint32_t mantissa = low & 0x7fffff;
    int q = (int)(low >> 23);

    if (q) mantissa |= 0x800000;
    else q = 1;
    right.limb[0] = 2 * mantissa + 1; /* midpoint = (2m + 1) * 2^(q - 151) */
    if (exponent >= 0) big_multiply_5(&left, exponent);
    else big_multiply_5(&right, -exponent);
    exponent -= q - 151;
    if (exponent >= 0) big_shift(&left, exponent);
    else big_shift(&right, -exponent);
    return big_compare(&left, &right);
}

/* Walks from a float near the decimal to the nearest one. */
static uint32_t settle(const struct decimal *d, uint32_t bits)
{
    struct big digits;
    int64_t exponent = big_read(&digits, d);

    for (; bits < 0x7f800000; bits++) {
        int order = compare_midpoint(&digits, exponent, bits);
        if (order < 0 || (order == 0 && bits % 2 == 0)) break;
    }
    for (; bits > 0; bits--) {
        int order = compare_midpoint(&digits, exponent, bits - 1);
        if (order > 0 || (order == 0 && bits % 2 == 0)) break;
    }
    return bits;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */
enum { POWER_LEAST = -64, POWER_MOST = 39 };
static const double powers[POWER_MOST - POWER_LEAST + 1] = { /* each the nearest double */
    1e-64, 1e-63, 1e-62, 1e-61, 1e-60, 1e-59, 1e-58, 1e-57, 1e-56, 1e-55, 1e-54, 1e-53, 1e-52, 1e-51, 1e-50, 1e-49,
    1e-48, 1e-47, 1e-46, 1e-45, 1e-44, 1e-43, 1e-42, 1e-41, 1e-40, 1e-39, 1e-38, 1e-37, 1e-36, 1e-35, 1e-34, 1e-33,
    1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26, 1e-25, 1e-24, 1e-23, 1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17,
    1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1,
    1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21,
    1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39,
};

static float float_of(uint32_t bits, bool negative)
{
    float f;

    if (negative) bits |= UINT32_C(1) << 31;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* A double with an error below 3 units of its last place, or exact, rounds to the same float as what it stands for. */
static bool rounds_safely(double v, bool exact)
{
    uint64_t wide;
    int64_t from_midpoint;

    if (!(v >= 0x1p-126 && v <= 0x1.fffffep127)) return false;
    memcpy(&wide, &v, sizeof wide);
    from_midpoint = (int64_t)(wide & 0x1fffffff) - 0x10000000;
    return from_midpoint > 8 || from_midpoint < -8 || exact;
}

float number_float(const struct decimal *d)
{
    int64_t top = d->exponent + d->count; /* 10^(top - 1) <= value < 10^top */
    double v;
    uint32_t bits;
    float f;

    if (d->count == 0 || top < -45) return float_of(0, d->negative);
    if (top > 39) return float_of(0x7f800000, d->negative);
    v = (double)d->digits * powers[d->exponent - POWER_LEAST]; /* -45 - 19 <= exponent <= 39 - 1 */
    f = v > 0x1.fffffep127 ? 0x1.fffffep127f : (float)v;
    if (rounds_safely(v, d->exponent == 0 && !d->truncated && d->digits < UINT64_C(1) << 53))
        return d->negative ? -f : f;
    memcpy(&bits, &f, sizeof bits);
    return float_of(settle(d, bits), d->negative);
}

static uint64_t load(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word); /* little-endian, as every machine this builds for */
    return word ^ UINT64_C(0x3030303030303030); /* digits are 0 to 9 then, anything else more */
}

/* How many bytes of a loaded word are digits, from the lowest on. A byte is none where it or it + 0x76 has the highest
 * bit; a carry out of such a byte reaches only those behind it. */
static int count_digits(uint64_t word)
{
    uint64_t others = ((word + UINT64_C(0x7676767676767676)) | word) & UINT64_C(0x8080808080808080);

    return others ? __builtin_ctzll(others) / 8 : 8;
}

/* The value of its n first digits, the lowest byte being the first: zeros are put in front, then pairs, fours and all
 * eight are joined. */
static uint64_t join_digits(uint64_t word, int n)
{
    word = word << 4 * (8 - n) << 4 * (8 - n);
    word = (word * 10 + (word >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
    word = (word * 100 + (word >> 16)) & UINT64_C(0x0000ffff0000ffff);
    return (word * 10000 + (word >> 32)) & UINT64_C(0xffffffff);
}

/* [-]d{1,7}[.d+][e[+-]d{1,2}] with at most 19 digits, of a text with 40 bytes to read (it looks at 1 + 7 + 1 + 24; an
 * exponent begins within 1 + 19 + 1 and is looked at with eight more).
 * How many digits there are behind the point is decided without a branch, since it could not be foreseen. */
static const char *read_plain(const char *p, float *out)
{
    static const uint64_t tens_of[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
    bool negative = *p == '-';
    uint64_t digits, word, second;
    int whole, behind = 0, exponent, n, m;
    double v;

    p += negative;
    if ((unsigned)(*p - '0') < 10 && p[1] == '.') { /* foreseen: what follows need not wait for it */
        whole = 1;
        digits = (uint64_t)(*p++ - '0');
    } else {
        word = load(p);
        whole = count_digits(word);
        if (whole == 0 || whole == 8 || (whole > 1 && *p == '0')) return NULL;
        digits = join_digits(word, whole);
        p += whole;
    }
    if (*p == '.') {
        word = load(++p);
        second = load(p + 8);
        n = count_digits(word);
        m = n == 8 ? count_digits(second) : 0;
        behind = n + m;
        if (n == 0) return NULL;
        digits = (digits * tens_of[n] + join_digits(word, n)) * tens_of[m] + join_digits(second, m);
        if (behind == 16) {
            word = load(p + 16);
            n = count_digits(word);
            behind += n;
            digits = digits * tens_of[n] + join_digits(word, n);
        }
        if (whole + behind > 19) return NULL;
        p += behind;
    }
    exponent = -behind;
    if ((*p | 0x20) == 'e') {
        bool minus = *++p == '-';
        p += minus || *p == '+';
        n = count_digits(load(p));
        if (n == 0 || n > 2) return NULL;
        m = (int)join_digits(load(p), n);
        exponent += minus ? -m : m;
        if (exponent < POWER_LEAST || exponent > POWER_MOST) return NULL;
        p += n;
    }
    v = (double)digits * powers[exponent - POWER_LEAST];
    if (!rounds_safely(v, exponent == 0 && digits < UINT64_C(1) << 53) && digits != 0) return NULL;
    *out = negative ? -(float)v : (float)v;
    return p;
}

const char *number_read(const char *text, const char *end, struct decimal *d, float *out)
{
    char padded[48] = {0};
    const char *p;

    if (end - text < 40) { /* digits are taken eight bytes at a time, but never beyond the text */
        memcpy(padded, text, (size_t)(end - text));
        p = read_plain(padded, out);
        if (p) return text + (p - padded);
    } else {
        p = read_plain(text, out);
        if (p) return p;
    }
    p = number_scan(text, end, d);
    if (p) *out = number_float(d);
    return p;
}

bool json_read_float(const char *text, size_t bytes, float *out)
{
    struct decimal d;

    if (number_read(text, text + bytes, &d, out) != text + bytes) return false;
    return *out - *out == 0; /* finite */
}

/* ---- writing ------------------------------------------------------------------------------------------------- */
/* 10^j for j = -31 .. 45, to 64 bits, rounded up: 10^j = g * 2^(floor(log2 10^j) - 63). */
static const uint64_t tens[77] = {
    0x81ceb32c4b43fcf5u, 0xa2425ff75e14fc32u, 0xcad2f7f5359a3b3fu, 0xfd87b5f28300ca0eu,
    0x9e74d1b791e07e49u, 0xc612062576589ddbu, 0xf79687aed3eec552u, 0x9abe14cd44753b53u,
    0xc16d9a0095928a28u, 0xf1c90080baf72cb2u, 0x971da05074da7befu, 0xbce5086492111aebu,
    0xec1e4a7db69561a6u, 0x9392ee8e921d5d08u, 0xb877aa3236a4b44au, 0xe69594bec44de15cu,
    0x901d7cf73ab0acdau, 0xb424dc35095cd810u, 0xe12e13424bb40e14u, 0x8cbccc096f5088ccu,
    0xafebff0bcb24aaffu, 0xdbe6fecebdedd5bfu, 0x89705f4136b4a598u, 0xabcc77118461cefdu,
    0xd6bf94d5e57a42bdu, 0x8637bd05af6c69b6u, 0xa7c5ac471b478424u, 0xd1b71758e219652cu,
    0x83126e978d4fdf3cu, 0xa3d70a3d70a3d70bu, 0xcccccccccccccccdu, 0x8000000000000000u,
    0xa000000000000000u, 0xc800000000000000u, 0xfa00000000000000u, 0x9c40000000000000u,
    0xc350000000000000u, 0xf424000000000000u, 0x9896800000000000u, 0xbebc200000000000u,
    0xee6b280000000000u, 0x9502f90000000000u, 0xba43b74000000000u, 0xe8d4a51000000000u,
    0x9184e72a00000000u, 0xb5e620f480000000u, 0xe35fa931a0000000u, 0x8e1bc9bf04000000u,
    0xb1a2bc2ec5000000u, 0xde0b6b3a76400000u, 0x8ac7230489e80000u, 0xad78ebc5ac620000u,
    0xd8d726b7177a8000u, 0x878678326eac9000u, 0xa968163f0a57b400u, 0xd3c21bcecceda100u,
    0x84595161401484a0u, 0xa56fa5b99019a5c8u, 0xcecb8f27f4200f3au, 0x813f3978f8940985u,
    0xa18f07d736b90be6u, 0xc9f2c9cd04674edfu, 0xfc6f7c4045812297u, 0x9dc5ada82b70b59eu,
    0xc5371912364ce306u, 0xf684df56c3e01bc7u, 0x9a130b963a6c115du, 0xc097ce7bc90715b4u,
    0xf0bdc21abb48db21u, 0x96769950b50d88f5u, 0xbc143fa4e250eb32u, 0xeb194f8e1ae525feu,
    0x92efd1b8d0cf37bfu, 0xb7abc627050305aeu, 0xe596b7b0c643c71au, 0x8f7e32ce7bea5c70u,
    0xb35dbf821ae4f38cu,};

static int floor_log2_ten(int j)
{
    return (j * 1741647) >> 19;
}

/* g * c / 2^64, rounded to odd: the lowest bit remembers whether anything was cut off. */
static uint32_t multiply_to_odd(uint64_t g, uint32_t c)
{
    unsigned __int128 product = (unsigned __int128)g * c;
    uint32_t rest = (uint32_t)(product >> 32);

    return (uint32_t)(product >> 64) | (rest > 1);
}

/* Shortest digits * 10^k within the rounding interval of c * 2^q; the closest where several are. */
static uint32_t shortest(uint32_t c, int q, bool low_neighbour_closer, int *k)
{
    bool even = c % 2 == 0;
    /* floor(log10(2^q)), or of 3/4 * 2^q at a power of two */
    *k = (q * 1262611 - (low_neighbour_closer ? 524031 : 0)) >> 22;
    int h = q + floor_log2_ten(-*k) + 1;
    uint64_t g = tens[-*k + 31];
    uint32_t value = multiply_to_odd(g, (4 * c) << h); /* 4 * v / 10^k */
    uint32_t low = multiply_to_odd(g, (4 * c - 2 + low_neighbour_closer) << h) + !even;
    uint32_t high = multiply_to_odd(g, (4 * c + 2) << h) - !even;
    uint32_t s = value / 4;

    if (s >= 10) { /* one digit less */
        uint32_t t = s / 10;
        bool below = low <= 40 * t, above = 40 * t + 40 <= high;
        if (below != above) {
            ++*k;
            return t + above;
        }
    }
    bool below = low <= 4 * s, above = 4 * s + 4 <= high;
    if (below != above) return s + above;
    uint32_t middle = 4 * s + 2;
    return s + (value > middle || (value == middle && s % 2));
}

/* The digits of v < 10^9 at text; how many. */
static int put_digits(char text[16], uint32_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    static const uint32_t tens_of[10] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    int n = (32 - __builtin_clz(v)) * 1233 >> 12, at; /* floor(bits * log10(2)): digits but perhaps one */

    n += v >= tens_of[n];
    for (at = n; at > 1; at -= 2, v /= 100) memcpy(text + at - 2, pairs + 2 * (v % 100), 2);
    if (at == 1) text[0] = (char)('0' + v);
    return n;
}

/* digits * 10^k as JSON: plain between 1e-5 and 1e16, else with an exponent. Writes up to 25 bytes, of which so many as
 * it returns are the number's: copies of fixed length are one instruction. */
static size_t layout(char *out, uint32_t digits, int k)
{
    char text[16];
    size_t at;

    while (digits % 10 == 0) digits /= 10, k++;
    int n = put_digits(text, digits), point = n + k; /* digits before the point */
    if (point <= 0 && point >= -4) {
        memcpy(out, "0.0000", 6);
        memcpy(out + 2 - point, text, sizeof text);
        return (size_t)(2 - point + n);
    }
    if (point > 0 && point <= 16) {
        memcpy(out, text, sizeof text);
        if (k >= 0) {
            memset(out + n, '0', 16);
            return (size_t)point;
        }
        out[point] = '.';
        memcpy(out + point + 1, text + point, 8);
        return (size_t)n + 1;
    }
    out[0] = text[0];
    out[1] = '.';
    memcpy(out + 2, text + 1, 8);
    at = n > 1 ? (size_t)n + 1 : 1;
    int exponent = point - 1;
    out[at++] = 'e';
    if (exponent < 0) out[at++] = '-', exponent = -exponent;
    if (exponent >= 10) out[at++] = (char)('0' + exponent / 10);
    out[at++] = (char)('0' + exponent % 10);
    return at;
}

size_t json_format_float(char out[32], float v)
{
    uint32_t bits, fraction;
    size_t at = 0;
    int q, k = 0;

    memcpy(&bits, &v, sizeof bits);
    fraction = bits & 0x7fffff;
    q = (int)(bits >> 23 & 0xff);
    if (q == 255) {
        memcpy(out, "null", 5);
        return 4;
    }
    if (bits >> 31) out[at++] = '-';
    if (q == 0 && fraction == 0) {
        out[at++] = '0';
    } else {
        uint32_t c = q ? fraction | 0x800000 : fraction;
        int power = (q ? q : 1) - 150, shift = -power;
        uint32_t digits;
        if (shift >= 0 && shift < 24 && (c & ((UINT32_C(1) << shift) - 1)) == 0)
            digits = c >> shift; /* a small whole number */
        else
            digits = shortest(c, power, fraction == 0 && q > 1, &k);
        at += layout(out + at, digits, k);
    }
    out[at] = 0;
    return at;
}
