/* forecast_csv.c -- one series from CSV: header found, time column found, channels by name or by order.
 *
 * RFC 4180 with a comma, semicolon or tab; quotes, CRLF and a byte order mark are taken; empty lines are passed over.
 * An empty cell, NaN, NA, null and None are missing values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/api/forecast.h"

#define COLUMNS 256

struct cell { const char *text; size_t bytes; }; /* without quotes and outer blanks; "" inside quotes stays doubled */

struct csv {
    struct forecast_request *q;
    const char *p, *end;
    char separator;
    size_t line;                 /* of the row last read, from 1 */
    struct cell cells[COLUMNS], names[COLUMNS];
    size_t count, columns;
    bool has_header;
    int time_column;             /* -1: none */
    int channel_column[COLUMNS]; /* of each channel of the model */
    /* what was read */
    float *rows;
    int64_t *ticks;
    size_t *lines;
    size_t steps, cap;
    struct time_format format;
};

static bool bad(struct csv *c, int status, size_t column, const char *sentence)
{
    char name[80];
    if (c->has_header && column < c->columns)
        snprintf(name, sizeof name, "'%.*s'", (int)(c->names[column].bytes < 60 ? c->names[column].bytes : 60),
                 c->names[column].text);
    else snprintf(name, sizeof name, "%zu", column + 1);
    http_error(c->q->http, status, "invalid_csv", "series", "row %zu, column %s: %s", c->line, name, sentence);
    return false;
}

static bool read_cell(struct csv *c, struct cell *cell)
{
    const char *begin, *stop;
    while (c->p < c->end && *c->p == ' ') c->p++;
    if (c->p < c->end && *c->p == '"') {
        begin = ++c->p;
        for (;; c->p++) {
            if (c->p == c->end || *c->p == '\n') return bad(c, 400, c->count, "a quote is not closed");
            if (*c->p != '"') continue;
            if (c->p + 1 < c->end && c->p[1] == '"') c->p++;
            else break;
        }
        stop = c->p++;
        while (c->p < c->end && (*c->p == ' ' || *c->p == '\r')) c->p++;
        if (c->p < c->end && *c->p != c->separator && *c->p != '\n') return bad(c, 400, c->count,
                                                                                "text behind a closed quote");
    } else {
        begin = c->p;
        while (c->p < c->end && *c->p != c->separator && *c->p != '\n') c->p++;
        stop = c->p;
        while (stop > begin && (stop[-1] == ' ' || stop[-1] == '\r')) stop--;
    }
    *cell = (struct cell){begin, (size_t)(stop - begin)};
    return true;
}

/* The next row that is not empty; *more false at the end. */
static bool read_row(struct csv *c, bool *more)
{
    for (;;) {
        *more = c->p < c->end;
        if (!*more) return true;
        c->line++;
        c->count = 0;
        for (;;) {
            if (c->count == COLUMNS) return bad(c, 400, c->count, "more than 256 columns");
            if (!read_cell(c, &c->cells[c->count])) return false;
            c->count++;
            if (c->p == c->end || *c->p == '\n') break;
            c->p++;
        }
        if (c->p < c->end) c->p++;
        if (c->count > 1 || c->cells[0].bytes) return true;
    }
}

static bool is_word(const struct cell *cell, const char *word)
{
    return cell->bytes == strlen(word) && !strncasecmp(cell->text, word, cell->bytes);
}

static bool is_missing(const struct cell *cell)
{
    return !cell->bytes || is_word(cell, "nan") || is_word(cell, "na") || is_word(cell, "null") || is_word(cell,
                                                                                                           "none");
}

/* Numbers as people write them: a sign, leading zeros and a bare point are taken beyond JSON's grammar. */
static bool read_value(const struct cell *cell, float *out)
{
    char text[64], *end;
    const char *p = cell->text;
    if (is_missing(cell)) {
        *out = NAN;
        return true;
    }
    if (json_read_float(p, cell->bytes, out)) return true;
    if (cell->bytes >= sizeof text) return false;
    memcpy(text, p, cell->bytes);
    text[cell->bytes] = '\0';
    if (strspn(text, "+-.0123456789eE") != cell->bytes) return false;
    *out = strtof(text, &end);
    return !*end && end != text && isfinite(*out);
}

static bool is_time_name(const struct cell *cell)
{
    static const char *const names[] = {"timestamp", "timestamps", "time", "date", "datetime", "ds", "index", "step"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_word(cell, names[i])) return true;
    return false;
}

static bool is_iso(const struct cell *cell)
{
    int64_t ticks;
    struct time_format f;
    return time_read_iso(cell->text, cell->bytes, &ticks, &f);
}

/* A first row with a cell that is neither number nor time is a header. */
static bool looks_like_header(const struct csv *c)
{
    float v;
    for (size_t i = 0; i < c->count; i++)
        if (!read_value(&c->cells[i], &v) && !is_iso(&c->cells[i])) return true;
    return false;
}

static int find_column(const struct csv *c, const char *name, size_t bytes)
{
    for (size_t i = 0; c->has_header && i < c->columns; i++)
        if (c->names[i].bytes == bytes && !memcmp(c->names[i].text, name, bytes)) return (int)i;
    return -1;
}

/* ?target=a,b names the columns of the model's channels in their order. */
static bool map_target(struct csv *c, const char *target)
{
    const struct model *m = c->q->model;
    size_t n = 0;

    while (n < m->info->channel_count) {
        size_t bytes = strcspn(target, ",");
        char *end;
        long number = strtol(target, &end, 10);
        int column = find_column(c, target, bytes);
        bool numbered = bytes && end == target + bytes && number >= 1 && (size_t)number <= c->columns;
        if (column < 0 && numbered) column = (int)number - 1;
        if (column < 0) {
            http_error(c->q->http, 422, "unknown_column", "target", "there is no column '%.*s'",
                       (int)(bytes < 80 ? bytes : 80), target);
            return false;
        }
        if (column == c->time_column) c->time_column = -1;
        c->channel_column[n++] = column;
        target += bytes;
        if (!*target) break;
        target++;
    }
    if (n == m->info->channel_count && !*target) return true;
    http_error(c->q->http, 422, "mismatch", "target", "target must name a column for each of the %zu channels of %s",
               m->info->channel_count, m->name);
    return false;
}

/* By target, else by the channels' names, else all columns that are not the time, in order. */
static bool map_channels(struct csv *c)
{
    const rnnd_info *info = c->q->model->info;
    const char *target = http_query(c->q->http, "target");
    size_t named = 0, n = 0;

    if (info->channel_count > COLUMNS) {
        http_error(c->q->http, 422, "mismatch", "series", "CSV has at most %d columns", COLUMNS);
        return false;
    }
    if (target) return map_target(c, target);
    for (size_t k = 0; k < info->channel_count; k++) {
        c->channel_column[k] = find_column(c, info->channels[k], strlen(info->channels[k]));
        named += c->channel_column[k] >= 0;
    }
    if (named == info->channel_count) return true;
    if (c->columns - (c->time_column >= 0) != info->channel_count) {
        http_error(c->q->http, 422, "mismatch", "target",
                   "%s has %zu channels, the file has %zu columns besides the time; ?target= names those meant",
                   c->q->model->name, info->channel_count, c->columns - (c->time_column >= 0));
        return false;
    }
    for (size_t i = 0; i < c->columns; i++)
        if ((int)i != c->time_column) c->channel_column[n++] = (int)i;
    return true;
}

static bool keep_row(struct csv *c)
{
    size_t width = c->q->model->info->channel_count;

    if (c->count != c->columns) {
        http_error(c->q->http, 400, "invalid_csv", "series", "row %zu has %zu columns, the first row has %zu", c->line,
                   c->count, c->columns);
        return false;
    }
    if (c->steps == c->q->app->steps_limit) {
        http_error(c->q->http, 413, "too_large", "series", "row %zu: a request may feed %zu steps", c->line,
                   c->q->app->steps_limit);
        return false;
    }
    if (c->steps == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 256;
        float *rows = realloc(c->rows, cap * width * sizeof *rows);
        if (rows) c->rows = rows;
        int64_t *ticks = rows ? realloc(c->ticks, cap * sizeof *ticks) : NULL;
        if (ticks) c->ticks = ticks;
        size_t *lines = ticks ? realloc(c->lines, cap * sizeof *lines) : NULL;
        if (lines) c->lines = lines;
        if (!lines) {
            http_error(c->q->http, 503, "no_memory", "series", "no memory for %zu rows", cap);
            return false;
        }
        c->cap = cap;
    }
    if (c->time_column >= 0) {
        const struct cell *cell = &c->cells[c->time_column];
        if (!time_read(cell->text, cell->bytes, &c->ticks[c->steps], &c->format))
            return bad(c, 400, (size_t)c->time_column, c->steps ? "no timestamp of the first one's kind"
                                                                : "no timestamp: wanted ISO 8601 or a whole number");
    }
    for (size_t k = 0; k < width; k++)
        if (!read_value(&c->cells[c->channel_column[k]], &c->rows[c->steps * width + k]))
            return bad(c, 400, (size_t)c->channel_column[k], "no number");
    c->lines[c->steps++] = c->line;
    return true;
}

static void find_time_column(struct csv *c)
{
    c->time_column = -1;
    for (size_t i = 0; i < c->columns && c->time_column < 0; i++)
        if (is_iso(&c->cells[i]) || (c->has_header && is_time_name(&c->names[i]))) c->time_column = (int)i;
}

static char guess_separator(const char *text, size_t bytes)
{
    const char *line_end = memchr(text, '\n', bytes);
    size_t n = line_end ? (size_t)(line_end - text) : bytes;
    if (memchr(text, ',', n)) return ',';
    return memchr(text, ';', n) ? ';' : memchr(text, '\t', n) ? '\t' : ',';
}

static bool read_rows(struct csv *c)
{
    bool more;

    if (!read_row(c, &more)) return false;
    if (more && looks_like_header(c)) {
        c->has_header = true;
        c->columns = c->count;
        memcpy(c->names, c->cells, c->count * sizeof *c->names);
        if (!read_row(c, &more)) return false;
    }
    if (!more) {
        http_error(c->q->http, 400, "invalid_csv", "series", "the file has no row of values");
        return false;
    }
    if (!c->has_header) c->columns = c->count;
    else if (c->count < c->columns) return keep_row(c); /* says so */
    find_time_column(c);
    if (!map_channels(c)) return false;
    for (; more; ) {
        if (!keep_row(c) || !read_row(c, &more)) return false;
    }
    return true;
}

bool forecast_read_csv(struct forecast_request *q)
{
    struct csv *c = calloc(1, sizeof *c);
    size_t bytes;
    const char *text = http_body(q->http, &bytes);
    struct frequency f = {0, false};
    bool ok = false;

    if (!c) {
        http_error(q->http, 503, "no_memory", "series", "no memory for this request");
        return false;
    }
    if (bytes >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) text += 3, bytes -= 3;
    c->q = q;
    c->p = text;
    c->end = text + bytes;
    c->separator = guess_separator(text, bytes);
    q->has_series = bytes > 0;
    if (!bytes && *q->session_id) { /* a forecast of the session as it is */
        ok = true;
        goto out;
    }
    if (!read_rows(c) || !forecast_make_items(q, 1)) goto out;
    q->items[0].rows = q->items[0].owned = c->rows;
    q->items[0].steps = c->steps;
    c->rows = NULL;
    ok = c->time_column < 0 || (forecast_read_frequency(q, NULL, &c->format, &f) &&
                                forecast_place(q, &q->items[0], c->ticks, c->steps, &c->format, &f, c->lines));
out:
    free(c->rows);
    free(c->ticks);
    free(c->lines);
    free(c);
    return ok;
}
