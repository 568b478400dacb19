/* page.c -- GET / and /ui/{file}: the page, from memory, with headers that let it load nothing from elsewhere. */
#include <string.h>

#include "server/api/handlers.h"
#include "server/ui/assets.h"

void get_page(struct app *app, struct http_request *r)
{
    const char *name = strcmp(http_path(r), "/") ? http_param(r, 0) : "index.html";
    struct asset asset;

    (void)app;
    if (!name || !asset_find(name, &asset)) {
        http_error(r, 404, "not_found", "", "the page has no file '%.80s'", name ? name : "");
        return;
    }
    http_add_header(r, "Content-Security-Policy",
                    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    http_add_header(r, "X-Content-Type-Options", "nosniff");
    http_add_header(r, "Referrer-Policy", "no-referrer");
    http_add_header(r, "Cache-Control", "no-cache");
    http_answer(r, 200, asset.content_type, asset.data, asset.bytes);
}
