/* layout_table.c -- a folder with cases.tsv and expected/CASE.npz: arrays in_* and out_*, axes by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/cli.h"
#include "tests/conformance/table.h"

enum { MOST_COLUMNS = 32 };

bool table_axes(const char *text, const char *name, char out[128])
{
    size_t n = strlen(name);
    for (const char *p = text; p && *p; p = strchr(p, ';')) {
        p += strspn(p, "; ");
        if (strncmp(p, name, n) == 0 && p[n] == '=') {
            snprintf(out, 128, "%.*s", (int)strcspn(p + n + 1, "; "), p + n + 1);
            return strstr(out, "...") == NULL;
        }
    }
    return false;
}

bool table_number(const struct table_case *c, const char *name, long *out)
{
    size_t n = strlen(name);
    for (const char *p = c->notes; (p = strstr(p, name)) != NULL; p += n) {
        bool begins = p == c->notes || strchr(" ,;", p[-1]);
        char *end;
        if (!begins || p[n] != '=')
            continue;
        *out = strtol(p + n + 1, &end, 10);
        if (end != p + n + 1)
            return true;
    }
    return false;
}

/* The model's path: below the folder, beside it, or below it without the folder's own name in front. */
static bool find_model(const char *folder, const char *model, char path[PATH_BYTES])
{
    char up[PATH_BYTES];
    const char *slash = strchr(model, '/');
    return (path_join(path, folder, model) && file_exists(path)) ||
           (slash && path_join(path, folder, slash + 1) && file_exists(path)) ||
           (path_join(up, folder, "..") && path_join(path, up, model) && file_exists(path));
}

/* The text of a side file; NULL: there is none. */
static char *find_config(const struct suite *s, const char *folder, const char *name)
{
    const char *const places[] = {s->configs, folder};
    char path[PATH_BYTES], file[160], *text;
    size_t bytes;
    snprintf(file, sizeof file, "%s.rnnd.json", name);
    for (size_t i = 0; i < 2; i++)
        if (places[i] && path_join(path, places[i], file) && file_exists(path) &&
            cli_read_file(path, 8 << 20, &text, &bytes, NULL) == RNND_OK)
            return text;
    return NULL;
}

/* in_x and out_y by their prefixes; the arrays move. */
static void sort_arrays(struct bundle *all, struct table_case *c)
{
    for (size_t i = 0; i < all->count; i++) {
        struct named *n = &all->items[i];
        bool in = strncmp(n->name, "in_", 3) == 0, out = strncmp(n->name, "out_", 4) == 0;
        struct bundle *to = in ? &c->in : &c->out;
        if (!in && !out) {
            array_free(&n->array);
            continue;
        }
        to->items[to->count] = *n;
        snprintf(to->items[to->count++].name, sizeof n->name, "%s", n->name + (in ? 3 : 4));
    }
    all->count = 0;
}

static void run_session(struct suite *s, struct table_case *c, struct subject *m, const char *name)
{
    struct verdict v = {0};
    char label[PATH_BYTES + 16], reason[512];
    snprintf(label, sizeof label, "%s (session)", name);
    if (table_session(c, m, &v, reason))
        verdict_close(s, label, &v);
    else
        suite_skip(s, label, "%s", reason);
}

static void run_case(struct suite *s, struct table_case *c, const char *model, const char *config, const char *name)
{
    struct verdict v = {0};
    struct stream_result r = {.kind = STREAM_NEITHER};
    struct subject m;
    bool stream = strcmp(c->mode, "stream") == 0, open = subject_open(&m, model, config, &v);
    if (open && stream)
        table_stream(c, &m, &v, &r);
    else if (open)
        table_window(c, &m, &v, &r);
    verdict_close(s, name, &v);
    if (open && stream)
        run_session(s, c, &m, name);
    stream_close(s, name, &r);
    subject_close(&m);
}

static void open_case(struct suite *s, const char *folder, struct table_case *c)
{
    static struct bundle all;
    char path[PATH_BYTES], file[200], npz[PATH_BYTES], name[PATH_BYTES], *config = NULL;
    rnnd_error err;
    path_join(path, folder, c->name);
    snprintf(name, sizeof name, "%s", suite_name(s, path));
    snprintf(file, sizeof file, "expected/%s.npz", c->name);
    if (!path_join(npz, folder, file) || !file_exists(npz)) {
        suite_skip(s, name, "there is no %s", file);
    } else if (!find_model(folder, c->model, path)) {
        suite_skip(s, name, "there is no model %s", c->model);
    } else if (!(config = find_config(s, folder, c->name)) && strcmp(c->config, "yes") == 0) {
        suite_skip(s, name, "its architecture is not in the file, and there is no %s.rnnd.json", c->name);
    } else if (bundle_read_npz(npz, &all, &err) != RNND_OK) {
        struct verdict v = {0};
        verdict_fail(&v, "%s", err.message);
        verdict_close(s, name, &v);
    } else {
        sort_arrays(&all, c);
        run_case(s, c, path, config, name);
        bundle_free(&c->in);
        bundle_free(&c->out);
    }
    free(config);
}

/* A line's cells into the fields that the first line names; what has no field is notes. */
static void read_line(char *line, char *const *heads, size_t columns, struct table_case *c)
{
    const struct { const char *name; char *field; size_t cap; } fields[] = {
        {"case", c->name, sizeof c->name},          {"model", c->model, sizeof c->model},
        {"mode", c->mode, sizeof c->mode},          {"axes_in", c->axes_in, sizeof c->axes_in},
        {"axes_out", c->axes_out, sizeof c->axes_out}, {"config", c->config, sizeof c->config}};
    for (size_t i = 0; i < columns && line; i++) {
        char *cell = strsep(&line, "\t");
        bool known = false;
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
            if (strcmp(heads[i], fields[k].name) == 0) {
                snprintf(fields[k].field, fields[k].cap, "%s", cell);
                known = true;
            }
        if (!known)
            snprintf(c->notes, sizeof c->notes, "%s", cell);
    }
}

bool table_folder(struct suite *s, const char *folder)
{
    static struct table_case c;
    char path[PATH_BYTES], *text, *at, *line, *heads[MOST_COLUMNS];
    size_t bytes, columns = 0;
    if (!path_join(path, folder, "cases.tsv") || !file_exists(path) ||
        cli_read_file(path, 8 << 20, &text, &bytes, NULL) != RNND_OK)
        return false;
    at = text;
    line = strsep(&at, "\n");
    while (line && columns < MOST_COLUMNS)
        heads[columns++] = strsep(&line, "\t");
    while ((line = strsep(&at, "\n")) != NULL) {
        memset(&c, 0, sizeof c);
        line[strcspn(line, "\r")] = 0;
        read_line(line, heads, columns, &c);
        if (c.name[0])
            open_case(s, folder, &c);
    }
    free(text);
    return true;
}
