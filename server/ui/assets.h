/* assets.h -- the page's files, embedded in the program. */
#ifndef SERVER_UI_ASSETS_H
#define SERVER_UI_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

struct asset {
    const char *content_type;
    const void *data;
    size_t bytes;
};

bool asset_find(const char *name, struct asset *out); /* false if there is none; "index.html" is the page */

#endif
