/* verdict.c -- what is near enough, and the line that says so. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/conformance/runner.h"

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
    if (!array_same_shape(got, want)) {
        verdict_fail(v, "%s has shape %s; wanted %s", label, array_shape(got, a), array_shape(want, b));
        return;
    }
    struct array_difference d = array_compare(got, want);
    double allowed = 1e-5 * (d.largest > 1 ? d.largest : 1);
    if (!v->seen || d.worst / allowed > v->error / v->allowed) {
        v->error = d.worst;
        v->allowed = allowed;
    }
    v->seen = true;
    if (d.worst > allowed)
        verdict_fail(v, "%s%s is %.9g, wanted %.9g", label, array_place(want, d.at, a), d.got, d.want);
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
