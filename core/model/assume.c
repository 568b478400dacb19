/* assume.c -- what a file does not say and was guessed. */
#include "core/model/assume.h"

#include <string.h>

#include "core/base/error.h"

rnnd_code model_assume(struct rnnd_model *m, const char *sentence, rnnd_error *err)
{
    size_t n = m->info.assumption_count;
    const char **list = arena_alloc(&m->arena, n + 1, sizeof *list);
    char *copy = arena_string(&m->arena, sentence, strlen(sentence));
    if (!list || !copy) return fail_memory(err, strlen(sentence));
    if (n) memcpy(list, m->info.assumptions, n * sizeof *list);
    list[n] = copy;
    m->info.assumptions = list;
    m->info.assumption_count = n + 1;
    return RNND_OK;
}

rnnd_code model_side_file(struct rnnd_model *m, const char *text, rnnd_error *err)
{
    m->info.side_file = arena_string(&m->arena, text, strlen(text));
    return m->info.side_file ? RNND_OK : fail_memory(err, strlen(text));
}

rnnd_code model_check_confirmed(const struct rnnd_model *m, rnnd_error *err)
{
    if (!m->info.unconfirmed) return RNND_OK;
    return fail_at(err, RNND_CONFLICT, "config",
                   "model %.80s is not confirmed: %.200s. Check it, then put the configuration beside the file as "
                   "NAME.rnnd.json (`rnnd init` writes it), or accept guesses",
                   m->info.name, m->info.assumptions[0]);
}
