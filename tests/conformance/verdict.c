/* verdict.c -- what is near enough, and the line that says so. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/conformance/runner.h"

static double number(const struct array *a, size_t i)
{
    return a->dtype == RNND_FLOAT32 ? (double)a->data[i] : a->dtype == RNND_INT64 ? (double)a->whole[i] : a->truth[i];
}

static bool same_shape(const struct array *a, const struct array *b)
{
    size_t i = 0, k = 0;
    for (;; i++, k++) {
        while (i < a->rank && a->dim[i] == 1)
            i++;
        while (k < b->rank && b->dim[k] == 1)
            k++;
        if (i == a->rank || k == b->rank)
            return i == a->rank && k == b->rank;
        if (a->dim[i] != b->dim[k])
            return false;
    }
}

/* Where element `at` stands, as [1][0][7]. */
static const char *place(const struct array *a, size_t at, char text[ARRAY_MAX_RANK * 24])
{
    struct array index = *a;
    for (size_t i = a->rank; i-- > 0; at /= a->dim[i])
        index.dim[i] = at % a->dim[i];
    return array_shape(&index, text);
}

void verdict_fail(struct verdict *v, const char *format, ...)
{
    va_list args;
    v->seen = true;
    if (v->bad)
        return;
    v->bad = true;
    va_start(args, format);
    vsnprintf(v->why, sizeof v->why, format, args);
    va_end(args);
}

void verdict_compare(struct verdict *v, const struct array *got, const struct array *want, const char *label)
{
    char a[ARRAY_MAX_RANK * 24], b[ARRAY_MAX_RANK * 24];
    double largest = 1, worst = 0;
    size_t at = 0, count = array_count(want);
    if (!same_shape(got, want)) {
        verdict_fail(v, "%s has shape %s; wanted %s", label, array_shape(got, a), array_shape(want, b));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        double w = number(want, i), g = number(got, i), e = fabs(w - g);
        if (g == w || (isnan(g) && isnan(w)))
            e = 0;
        if (isfinite(w) && fabs(w) > largest)
            largest = fabs(w);
        if (!(e <= worst)) {
            worst = isnan(e) ? INFINITY : e;
            at = i;
        }
    }
    double allowed = 1e-5 * largest;
    if (!v->seen || worst / allowed > v->error / v->allowed) {
        v->error = worst;
        v->allowed = allowed;
    }
    v->seen = true;
    if (worst > allowed)
        verdict_fail(v, "%s%s is %.9g, wanted %.9g", label, place(want, at, a), number(got, at), number(want, at));
}

void verdict_close(struct suite *s, const char *name, const struct verdict *v)
{
    bool ok = v->seen && !v->bad;
    s->passed += ok;
    s->failed += !ok;
    if (v->allowed > 0)
        printf("%-56s  max error %.2e  allowed %.2e  %s", name, v->error, v->allowed, ok ? "ok" : "FAILED");
    else
        printf("%-56s  %-40s  %s", name, "", ok ? "ok" : "FAILED");
    printf("%s%s%s\n", v->guessed ? " (guessed)" : "", ok ? "" : ": ",
           ok ? "" : v->seen ? v->why : "nothing was compared");
    fflush(stdout);
}

void suite_skip(struct suite *s, const char *name, const char *format, ...)
{
    va_list args;
    s->skipped++;
    printf("%-56s  skipped: ", name);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

const char *suite_name(const struct suite *s, const char *path)
{
    size_t n = strlen(s->root);
    if (strncmp(path, s->root, n) == 0 && path[n] == '/')
        return path + n + 1;
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
