/* kernels.c -- which row of kernels this processor gets. */
#include "core/kernels/kernels.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/kernels/rows.h"
#include "core/rnnd.h"

/* __builtin_cpu_supports asks CPUID and also whether the operating system saves the wide registers (XGETBV). */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

static bool has_vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

static bool has_any(void)
{
    return true;
}

/* best first */
static const struct {
    const struct kernels *row;
    bool (*runs_here)(void);
} all_rows[] = {
    {&kernels_vnni, has_vnni}, {&kernels_avx512, has_avx512}, {&kernels_avx2, has_avx2}, {&kernels_base, has_any}};

#define ROW_COUNT (sizeof all_rows / sizeof all_rows[0])

static const struct kernels *usable[ROW_COUNT];
static size_t usable_count;
static char usable_names[64]; /* "avx2, baseline" */

/* Runs before main() and before any thread, so that picking needs no lock. */
__attribute__((constructor)) static void find_usable(void)
{
    __builtin_cpu_init();
    for (size_t i = 0; i < ROW_COUNT; i++) {
        size_t at = strlen(usable_names);
        if (!all_rows[i].runs_here()) continue;
        snprintf(usable_names + at, sizeof usable_names - at, "%s%s", at ? ", " : "", all_rows[i].row->name);
        usable[usable_count++] = all_rows[i].row;
    }
}

const struct kernels *kernels_pick(const char *name)
{
    if (!name) return usable[0];
    if (strcmp(name, "fast") == 0) return kernels_blas();
    for (size_t i = 0; i < usable_count; i++)
        if (strcmp(usable[i]->name, name) == 0) return usable[i];
    return NULL;
}

size_t kernels_list(const struct kernels *const **rows)
{
    *rows = usable;
    return usable_count;
}

const char *rnnd_kernel_row(void)
{
    return kernels_pick(NULL)->name;
}

const char *rnnd_kernel_rows(void)
{
    return usable_names;
}

rnnd_code rnnd_kernel_row_check(const char *name, rnnd_error *err)
{
    for (size_t i = 0; i < usable_count; i++)
        if (!name || strcmp(usable[i]->name, name) == 0) return RNND_OK;
    return fail_at(err, RNND_UNSUPPORTED, "kernel_row",
                   "wanted a kernel row that this machine has (%s), found \"%.40s\"", usable_names, name);
}
