/* init_series.c -- the series block of a side file: channels, scalers, horizon, frequency out of a table. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cli/init.h"

struct shape { /* of the series around a network */
    size_t first, channels; /* columns of the table */
    size_t horizon;
    bool one_target;        /* the network answers the target alone, not every channel */
};

static const char *column_name(const struct csv *csv, size_t i, char number[24])
{
    snprintf(number, 24, "%zu", i + 1);
    return csv->names ? csv->names[i] : number;
}

static rnnd_code find_target(const struct init_plan *p, const struct csv *csv, size_t *out, rnnd_error *err)
{
    char number[24];
    for (*out = 0; *out < csv->columns; ++*out)
        if (strcmp(column_name(csv, *out, number), p->target) == 0)
            return RNND_OK;
    return cli_error(err, RNND_NOT_FOUND, "%.200s has no column %.80s", p->csv, p->target);
}

static rnnd_code find_shape(const rnnd_model *model, const struct init_plan *p, const struct csv *csv,
                            struct shape *s, rnnd_error *err)
{
    size_t in = rnnd_window_input_width(model), out = rnnd_window_output_width(model), target = 0;
    rnnd_code code = p->target ? find_target(p, csv, &target, err) : RNND_OK;
    if (code != RNND_OK)
        return code;
    *s = (struct shape){.first = 0, .channels = csv->columns};
    if (in == 1 && p->target)
        *s = (struct shape){.first = target, .channels = 1};
    if (in != s->channels)
        return cli_error(err, RNND_MISMATCH, "the network takes %zu number%s a step, %.200s has %zu column%s of values",
                         in, in == 1 ? "" : "s", p->csv, csv->columns, csv->columns == 1 ? "" : "s");
    s->one_target = p->target && s->channels > 1;
    if (!s->one_target && out % s->channels != 0)
        return cli_error(err, RNND_MISMATCH, "the network answers %zu number%s for %zu columns; --target names the one "
                                             "it forecasts", out, out == 1 ? "" : "s", s->channels);
    s->horizon = s->one_target ? out : out / s->channels;
    return RNND_OK;
}

/* ---- scalers --------------------------------------------------------------------------------------------------- */

/* mean and standard deviation (of the whole, as scikit-learn has it), or least and largest; missing values left out. */
static bool fit(const struct csv *csv, size_t column, bool standard, double *a, double *b)
{
    double sum = 0, squares = 0, least = INFINITY, largest = -INFINITY;
    size_t n = 0;
    for (size_t i = 0; i < csv->rows; i++) {
        double v = csv->data[i * csv->columns + column];
        if (isnan(v))
            continue;
        n++;
        sum += v;
        least = v < least ? v : least;
        largest = v > largest ? v : largest;
    }
    if (n == 0)
        return false;
    for (size_t i = 0; i < csv->rows; i++) {
        double d = csv->data[i * csv->columns + column] - sum / (double)n;
        squares += isnan(d) ? 0 : d * d;
    }
    *a = standard ? sum / (double)n : least;
    *b = standard ? sqrt(squares / (double)n) : largest;
    if (standard && (float)*b == 0)
        *b = 1;
    if (!standard && (float)*a == (float)*b)
        *b = *a + 1;
    return true;
}

static rnnd_code put_channel(FILE *f, const struct init_plan *p, const struct csv *csv, size_t column, rnnd_error *err)
{
    bool standard = strcmp(p->scaler, "standard") == 0;
    char number[24];
    double a, b;
    fprintf(f, "\n      {\"name\": ");
    init_string(f, column_name(csv, column, number));
    if (strcmp(p->scaler, "none") != 0) {
        if (!fit(csv, column, standard, &a, &b))
            return cli_error(err, RNND_MISMATCH, "column %.80s of %.200s has no values",
                             column_name(csv, column, number), p->csv);
        fprintf(f, ", \"scaler\": {\"type\": \"%s\", \"%s\": %.9g, \"%s\": %.9g}", p->scaler,
                standard ? "mean" : "min", a, standard ? "std" : "max", b);
    }
    fprintf(f, "}");
    return RNND_OK;
}

/* ---- frequency ------------------------------------------------------------------------------------------------- */

/* Seconds of "2024-03-01", "2024-03-01 10:30[:05]", with T too; of a number, as seconds. */
static bool stamp_seconds(const char *s, int64_t *out)
{
    struct tm t = {.tm_mday = 1};
    int n = sscanf(s, "%4d-%2d-%2d%*1[ T]%2d:%2d:%2d", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min,
                   &t.tm_sec);
    char *end;
    if (n < 3) {
        *out = strtoll(s, &end, 10);
        return end != s && *end == 0;
    }
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *out = (int64_t)timegm(&t);
    return true;
}

/* "30min" and the like; "" where the stamps do not tell. */
static const char *frequency(const struct csv *csv, char out[32])
{
    static const struct { int64_t seconds; const char *unit; } units[] = {
        {604800, "w"}, {86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    int64_t a, b;
    out[0] = 0;
    if (!stamp_seconds(csv->stamps[0], &a) || !stamp_seconds(csv->stamps[1], &b) || b <= a)
        return out;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if ((b - a) % units[i].seconds == 0) {
            snprintf(out, 32, "%lld%s", (long long)((b - a) / units[i].seconds), units[i].unit);
            break;
        }
    return out;
}

/* ---- the block ------------------------------------------------------------------------------------------------- */

rnnd_code init_series(FILE *f, const rnnd_model *model, const struct init_plan *p, const struct csv *csv,
                      rnnd_error *err)
{
    const rnnd_info *m = rnnd_model_info(model);
    struct shape s;
    char every[32];
    rnnd_code code = find_shape(model, p, csv, &s, err);
    if (code != RNND_OK)
        return code;
    fprintf(f, ",\n  \"task\": \"series\",\n  \"series\": {\n    \"channels\": [");
    for (size_t i = 0; i < s.channels && code == RNND_OK; i++) {
        fprintf(f, "%s", i ? "," : "");
        code = put_channel(f, p, csv, s.first + i, err);
    }
    fprintf(f, "\n    ],\n    \"horizon\": %zu", s.horizon);
    if (s.one_target) {
        fprintf(f, ",\n    \"target\": ");
        init_string(f, p->target);
    }
    if (m->mode == RNND_SLIDING)
        fprintf(f, ",\n    \"warmup\": %zu", m->window);
    if (frequency(csv, every)[0])
        fprintf(f, ",\n    \"frequency\": \"%s\"", every);
    fprintf(f, "\n  }");
    return code;
}

void init_explain(const rnnd_model *model, const struct init_plan *p, const struct csv *csv)
{
    const rnnd_info *m = rnnd_model_info(model);
    struct shape s;
    char number[24], every[32];
    if (find_shape(model, p, csv, &s, NULL) != RNND_OK)
        return;
    printf("assumed: the columns of the network are %s", column_name(csv, s.first, number));
    for (size_t i = 1; i < s.channels; i++)
        printf(", %s", column_name(csv, s.first + i, number));
    printf(", in this order\n");
    if (strcmp(p->scaler, "none") == 0)
        printf("assumed: training did not scale them\n");
    else
        printf("assumed: training scaled each to its own %s over these %zu rows (scaler %s)\n",
               strcmp(p->scaler, "standard") ? "least and largest value" : "mean and standard deviation", csv->rows,
               p->scaler);
    printf("assumed: the answer is the next %zu step%s of %s\n", s.horizon, s.horizon == 1 ? "" : "s",
           s.one_target ? p->target : s.channels == 1 ? column_name(csv, s.first, number) : "every column");
    if (m->mode == RNND_SLIDING)
        printf("assumed: it looks at the last %zu steps\n", m->window);
    if (frequency(csv, every)[0])
        printf("assumed: a step is %s, as between the first two rows\n", every);
}
