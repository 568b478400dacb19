/* assets.c -- the page's files, embedded as they are by the assembler; the build runs in the repository's root. */
#include "server/ui/assets.h"

#include <string.h>

#define EMBED(symbol, path)                                                                                           \
    __asm__(".pushsection .rodata\n"                                                                                  \
            ".globl " #symbol "_begin\n.hidden " #symbol "_begin\n" #symbol "_begin:\n"                               \
            ".incbin \"" path "\"\n"                                                                                  \
            ".globl " #symbol "_end\n.hidden " #symbol "_end\n" #symbol "_end:\n"                                     \
            ".byte 0\n"                                                                                               \
            ".popsection\n");                                                                                         \
    extern const char symbol##_begin[] __attribute__((visibility("hidden")));                                         \
    extern const char symbol##_end[] __attribute__((visibility("hidden")))

EMBED(asset_index, "server/ui/index.html");
EMBED(asset_script, "server/ui/page.js");
EMBED(asset_style, "server/ui/page.css");
EMBED(asset_taxi, "models/examples/taxi.csv");

static const struct { const char *name, *content_type, *begin, *end; } files[] = {
    {"index.html", "text/html; charset=utf-8", asset_index_begin, asset_index_end},
    {"page.js", "text/javascript; charset=utf-8", asset_script_begin, asset_script_end},
    {"page.css", "text/css; charset=utf-8", asset_style_begin, asset_style_end},
    {"taxi.csv", "text/csv; charset=utf-8", asset_taxi_begin, asset_taxi_end},
};

bool asset_find(const char *name, struct asset *out)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strcmp(files[i].name, name)) continue;
        *out = (struct asset){files[i].content_type, files[i].begin, (size_t)(files[i].end - files[i].begin)};
        return true;
    }
    return false;
}
