/* bound.c -- calls a fuzz target and ends the process where it holds more memory than a file of its size may cost.
 *
 * AddressSanitizer tells of every allocation, its size as asked for: its own red zones and quarantine do not count. */
#include "tests/fuzz/bound.h"

#include <sanitizer/allocator_interface.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool counting;
static size_t held, most, bound; /* bytes since the target began */

static void on_malloc(const volatile void *p, size_t bytes)
{
    (void)p;
    if (!counting) return;
    held += bytes;
    if (held > most) most = held;
    if (held <= bound) return;
    counting = false;
    fprintf(stderr, "memory: %zu bytes are held after one of %zu more, %zu are allowed\n", held, bytes, bound);
    abort();
}

/* What was there before the target began is not freed by it. */
static void on_free(const volatile void *p)
{
    if (counting && p) held -= __sanitizer_get_allocated_size(p);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    if (!__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free)) abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    held = most = 0;
    bound = ((size_t)64 << 20) + 4 * bytes;
    counting = true;
    fuzz_one(data, bytes);
    counting = false;
    if (getenv("RNND_FUZZ_PEAK")) fprintf(stderr, "memory: %zu bytes at most, the input has %zu\n", most, bytes);
    return 0;
}
