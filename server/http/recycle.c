/* recycle.c -- requests used again: a small request and its answer take no memory from the system.
 *
 * A request that ends goes to its server's stack of spare ones with the buffers it has grown, unless all those together
 * are large; the next one, likely still in the cache, takes it from there. What lives as long as one request and is of
 * unknown size (target, path, query, headers to be sent) lies in its room, one piece behind the other. */
#include "server/http/http_private.h"

#include <stdlib.h>
#include <string.h>

#include <sanitizer/asan_interface.h> /* empty but under ASan: an ended request is poisoned as if it were freed */

enum { BUFFER_KEPT = 64 << 10, SPARE_MOST = 16 << 20 };

static size_t kept_bytes(const struct http_request *r)
{
    return sizeof *r + r->body_cap + r->out_cap + r->reply.cap;
}

/* One large request need not cost memory for good. */
static void drop_large(struct http_request *r)
{
    if (r->body_cap > BUFFER_KEPT) {
        free(r->body);
        r->body = NULL;
        r->body_cap = 0;
    }
    if (r->out_cap > BUFFER_KEPT) {
        free(r->out);
        r->out = NULL;
        r->out_cap = 0;
    }
    if (r->reply.cap > BUFFER_KEPT) json_out_free(&r->reply);
    for (struct room_block *block = r->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    r->blocks = NULL;
}

static void free_whole(struct http_request *r)
{
    free(r->body);
    free(r->out);
    json_out_free(&r->reply);
    free(r);
}

struct http_request *recycle_take(struct http_server *s)
{
    struct http_request *r = s->spare;
    const size_t kept = offsetof(struct http_request, prev);

    if (r) {
        ASAN_UNPOISON_MEMORY_REGION(r, sizeof *r);
        s->spare = r->next;
        s->spare_bytes -= kept_bytes(r);
    } else {
        r = malloc(sizeof *r);
        if (!r) return NULL;
        memset(r, 0, kept);
    }
    memset((char *)r + kept, 0, offsetof(struct http_request, id) - kept);
    r->id[0] = 0;
    r->server = s;
    return r;
}

void recycle_give(struct http_request *r)
{
    struct http_server *s = r->server;

    drop_large(r);
    if (kept_bytes(r) > SPARE_MOST - s->spare_bytes) {
        free_whole(r);
        return;
    }
    s->spare_bytes += kept_bytes(r);
    r->next = s->spare;
    s->spare = r;
    ASAN_POISON_MEMORY_REGION(r, sizeof *r);
}

void recycle_free_all(struct http_server *s)
{
    struct http_request *r = s->spare;

    while (r) {
        ASAN_UNPOISON_MEMORY_REGION(r, sizeof *r);
        s->spare = r->next;
        free_whole(r);
        r = s->spare;
    }
    json_out_free(&s->nowhere);
}

void *recycle_room(struct http_request *r, size_t bytes)
{
    const size_t align = sizeof(void *);
    struct room_block *block;
    void *place;

    if (bytes <= ROOM_BYTES - r->room_used) {
        place = r->room + r->room_used;
        r->room_used += (bytes + align - 1) / align * align;
        return place;
    }
    block = bytes < SIZE_MAX - sizeof *block ? malloc(sizeof *block + bytes) : NULL;
    if (!block) return NULL;
    block->next = r->blocks;
    r->blocks = block;
    return block->bytes;
}

char *recycle_text(struct http_request *r, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = recycle_room(r, bytes);

    return copy ? memcpy(copy, text, bytes) : NULL;
}
