/* csv.c -- tables of numbers as text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/cli/array.h"
#include "core/cli/cli.h"

enum { MOST_COLUMNS = 65536, LONGEST_CELL = 255 };

struct reader {
    const char *at, *end;
    char separator;
    size_t line;             /* of the text, from 1 */
    char cell[LONGEST_CELL + 1];
    bool last_of_row;
};

/* The next cell without blanks and quotes around it. False: too long, or a quote is not closed. */
static bool next_cell(struct reader *r)
{
    size_t n = 0, kept = 0;
    while (r->at < r->end && (*r->at == ' ' || (*r->at == '\t' && r->separator != '\t')))
        r->at++;
    bool quoted = r->at < r->end && *r->at == '"';
    if (quoted) {
        for (r->at++;; r->at++) {
            if (r->at == r->end || *r->at == '\n' || n == LONGEST_CELL)
                return false;
            if (*r->at == '"' && (r->at + 1 == r->end || r->at[1] != '"'))
                break;
            r->at += *r->at == '"';
            r->cell[n++] = *r->at;
        }
        kept = n;
        r->at++;
    }
    for (; r->at < r->end && *r->at != r->separator && *r->at != '\n'; r->at++) {
        bool blank = *r->at == ' ' || *r->at == '\r' || *r->at == '\t';
        if (blank && quoted)
            continue;
        if (n == LONGEST_CELL || quoted)
            return false;
        r->cell[n++] = *r->at;
        if (!blank)
            kept = n;
    }
    r->cell[kept] = 0;
    r->last_of_row = r->at == r->end || *r->at == '\n';
    if (r->at < r->end)
        r->at++;
    return true;
}

/* Moves to the next line with something in it; false at the end. */
static bool next_row(struct reader *r)
{
    for (r->line++; r->at < r->end; r->at++) {
        if (*r->at == '\n')
            r->line++;
        else if (*r->at != '\r' && *r->at != ' ')
            return true;
    }
    return false;
}

static bool read_number(const char *cell, float *out)
{
    static const char *const missing[] = {"", "nan", "na", "null", "none"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        if (strcasecmp(cell, missing[i]) == 0) {
            *out = NAN;
            return true;
        }
    char *end;
    double v = strtod(cell, &end);
    *out = (float)v;
    return end != cell && *end == 0 && isfinite(*out) && !strpbrk(cell, "xXpP");
}

static bool is_time_name(const char *name)
{
    static const char *const names[] = {"timestamp", "time", "date", "datetime", "ds"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static rnnd_code bad_cell(const struct reader *r, size_t column, rnnd_error *err)
{
    return cli_error(err, RNND_INVALID, "line %zu, column %zu: a cell is longer than %d bytes or its quotes are wrong",
                     r->line, column + 1, LONGEST_CELL);
}

/* Looks at the first row: how many columns, is it a header, does a time stamp come first. */
static rnnd_code look(struct reader r, struct csv *out, size_t *cells, bool *header, rnnd_error *err)
{
    size_t n = 0;
    float number;
    bool any_number = false, first_number = false, named_time = false, digit = false;
    if (!next_row(&r))
        return cli_error(err, RNND_INVALID, "the CSV text is empty");
    do {
        if (!next_cell(&r))
            return bad_cell(&r, n, err);
        bool is = read_number(r.cell, &number);
        if (n == 0) {
            first_number = is;
            named_time = is_time_name(r.cell);
            digit = r.cell[0] >= '0' && r.cell[0] <= '9';
        }
        any_number = any_number || (is && r.cell[0] != 0);
        if (++n > MOST_COLUMNS)
            return cli_error(err, RNND_TOO_LARGE, "the CSV text has more than %d columns", MOST_COLUMNS);
    } while (!r.last_of_row);
    *cells = n;
    *header = !any_number && !digit;
    out->has_stamps = named_time;
    if (*header && !named_time) {
        if (next_row(&r)) {
            if (!next_cell(&r))
                return bad_cell(&r, 0, err);
            out->has_stamps = !read_number(r.cell, &number) && n > 1;
        }
    } else if (!*header) {
        out->has_stamps = !first_number && n > 1;
    }
    out->columns = n - out->has_stamps;
    if (out->columns == 0)
        return cli_error(err, RNND_INVALID, "the CSV text has time stamps and no values");
    return RNND_OK;
}

static rnnd_code read_names(struct reader *r, struct csv *out, rnnd_error *err)
{
    out->names = calloc(out->columns + 1, sizeof *out->names);
    if (!out->names)
        return cli_error(err, RNND_NO_MEMORY, "no memory for %zu column names", out->columns);
    next_row(r);
    for (size_t i = 0; i < out->columns + out->has_stamps; i++) {
        if (!next_cell(r))
            return bad_cell(r, i, err);
        if (i >= out->has_stamps && !(out->names[i - out->has_stamps] = strdup(r->cell)))
            return cli_error(err, RNND_NO_MEMORY, "no memory for a column name");
    }
    return RNND_OK;
}

static rnnd_code read_row(struct reader *r, struct csv *out, float *row, rnnd_error *err)
{
    size_t cells = out->columns + out->has_stamps, n = 0;
    for (;;) {
        if (!next_cell(r))
            return bad_cell(r, n, err);
        if (n >= cells)
            return cli_error(err, RNND_INVALID, "line %zu has more than the %zu columns of the first line", r->line,
                             cells);
        if (n >= out->has_stamps && !read_number(r->cell, &row[n - out->has_stamps]))
            return cli_error(err, RNND_INVALID, "line %zu, column %zu: '%.40s' is no number that fits float32", r->line,
                             n + 1, r->cell);
        if (n == 0 && out->has_stamps && out->rows < 2)
            snprintf(out->stamps[out->rows], sizeof *out->stamps, "%.39s", r->cell);
        n++;
        if (r->last_of_row)
            break;
    }
    if (n < cells)
        return cli_error(err, RNND_INVALID, "line %zu has %zu columns; the first line has %zu", r->line, n, cells);
    return RNND_OK;
}

rnnd_code csv_read(const char *text, size_t size, struct csv *out, rnnd_error *err)
{
    struct reader r = {.at = text, .end = text + size, .separator = ','};
    size_t cells = 0, capacity = 0;
    bool header = false;
    memset(out, 0, sizeof *out);
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        r.at += 3;
    for (const char *p = r.at; p < r.end && (*p != '\n' || p == r.at); p++)
        if (*p == ',' || *p == ';' || *p == '\t') {
            r.separator = *p;
            break;
        }
    rnnd_code code = look(r, out, &cells, &header, err);
    if (code == RNND_OK && header)
        code = read_names(&r, out, err);
    while (code == RNND_OK && next_row(&r)) {
        if (out->rows == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            float *larger = capacity <= SIZE_MAX / sizeof(float) / out->columns
                                ? realloc(out->data, capacity * out->columns * sizeof *larger) : NULL;
            if (!larger) {
                code = cli_error(err, RNND_NO_MEMORY, "no memory for %zu rows of %zu numbers", capacity, out->columns);
                break;
            }
            out->data = larger;
        }
        code = read_row(&r, out, out->data + out->rows * out->columns, err);
        out->rows += code == RNND_OK;
    }
    if (code == RNND_OK && out->rows == 0)
        code = cli_error(err, RNND_INVALID, "the CSV text has a header and no rows");
    if (code != RNND_OK)
        csv_free(out);
    return code;
}

void csv_free(struct csv *c)
{
    for (size_t i = 0; c->names && i < c->columns; i++)
        free(c->names[i]);
    free(c->names);
    free(c->data);
    memset(c, 0, sizeof *c);
}
