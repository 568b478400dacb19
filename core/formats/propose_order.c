/* propose_order.c -- the order of layers: that of the file where widths fit, else the first in which they do. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/propose_parts.h"

#define MAX_TRIES 200000

struct search {
    const struct item *items;
    size_t anchors[PROPOSE_MAX_ITEMS], count; /* items that have widths */
    size_t taken[PROPOSE_MAX_ITEMS], best[PROPOSE_MAX_ITEMS];
    bool used[PROPOSE_MAX_ITEMS];
    size_t solutions, tries;
    bool ids; /* one begins with an embedding */
};

/* Depth first in the file's order, so that this order is the first that is tried. */
static void search(struct search *s, size_t depth, size_t width)
{
    if (depth == s->count) {
        if (s->solutions++ == 0) memcpy(s->best, s->taken, sizeof s->best);
        return;
    }
    for (size_t i = 0; i < s->count && s->solutions < 2 && s->tries < MAX_TRIES; i++) {
        const struct item *item = &s->items[s->anchors[i]];
        bool embedding = item->kind == ITEM_EMBEDDING;
        s->tries++;
        if (s->used[i] || (depth ? embedding || item->inputs != width : embedding != s->ids)) continue;
        s->used[i] = true;
        s->taken[depth] = i;
        search(s, depth + 1, item->outputs);
        s->used[i] = false;
    }
}

static void list_items(const struct proposing *p, bool recurrent, char *text, size_t room)
{
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < p->item_count && at + 1 < room; i++) {
        const struct item *item = &p->items[i];
        if (!item->inputs || (recurrent && item->kind != ITEM_RECURRENT)) continue;
        int n = snprintf(text + at, room - at, "%s\"%.40s\" %s %zu to %zu", at ? ", " : "", propose_name(item),
                         propose_type(item), item->inputs, item->outputs);
        at = n < 0 || (size_t)n >= room - at ? room : at + (size_t)n;
    }
}

static rnnd_code no_order(struct proposing *p)
{
    char text[240];
    size_t recurrent = 0;
    for (size_t i = 0; i < p->item_count; i++)
        recurrent += p->items[i].kind == ITEM_RECURRENT;
    list_items(p, recurrent > 1, text, sizeof text);
    if (recurrent > 1)
        return fail(p->err, RNND_UNSUPPORTED,
                    PROPOSE_NONE "the file has %zu recurrent layers that are no chain (%s), and a side file "
                    "%.60s.rnnd.json must say what the network is", recurrent, text, p->name);
    return fail(p->err, RNND_UNSUPPORTED,
                PROPOSE_NONE "the widths of its layers make no chain (%s)" PROPOSE_WAY_OUT, text, p->name);
}

/* An embedding by another name than that: a matrix without bias, as wide as a recurrent layer's input. */
static bool guess_embedding(struct proposing *p)
{
    for (size_t i = 0; i < p->item_count; i++) {
        struct item *item = &p->items[i];
        bool feeds = false;
        for (size_t k = 0; k < p->item_count; k++)
            feeds |= p->items[k].kind == ITEM_RECURRENT && p->items[k].inputs == item->inputs;
        if (item->kind != ITEM_DENSE || item->bias || !feeds || (item->module && item->module->class_name)) continue;
        size_t rows = item->outputs;
        item->kind = ITEM_EMBEDDING;
        item->outputs = item->inputs;
        item->inputs = rows;
        item->guessed = true;
        return true;
    }
    return false;
}

rnnd_code propose_order(struct proposing *p)
{
    struct search *s = mem_alloc(1, sizeof *s);
    struct item *sorted = mem_alloc(p->item_count, sizeof *sorted);
    size_t n = 0, lead = 0;
    rnnd_code code = RNND_OK;
    if (!s || !sorted) {
        code = fail_memory(p->err, p->item_count * sizeof *sorted);
        goto out;
    }
    s->items = p->items;
    for (size_t i = 0; i < p->item_count; i++) {
        if (!p->items[i].inputs) continue;
        s->ids |= p->items[i].kind == ITEM_EMBEDDING;
        s->anchors[s->count++] = i;
    }
    search(s, 0, 0);
    if (!s->solutions && !s->ids && guess_embedding(p)) {
        s->ids = true;
        search(s, 0, 0);
    }
    if (!s->solutions) {
        code = no_order(p);
        goto out;
    }
    p->ambiguous = s->solutions > 1 || s->tries >= MAX_TRIES;
    while (!p->items[lead].inputs)
        lead++;
    for (size_t k = 0; k < s->count; k++) { /* what has no width stays behind what it stood behind */
        size_t from = s->anchors[s->best[k]];
        sorted[n++] = p->items[from];
        for (size_t i = 0; k == 0 && i < lead; i++)
            sorted[n++] = p->items[i];
        for (size_t i = from + 1; i < p->item_count && !p->items[i].inputs; i++)
            sorted[n++] = p->items[i];
    }
    memcpy(p->items, sorted, n * sizeof *sorted);
out:
    mem_free(s);
    mem_free(sorted);
    return code;
}
