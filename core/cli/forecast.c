/* forecast.c -- `rnnd forecast`: the next steps of the series in a CSV file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/array.h"
#include "core/cli/cli.h"

enum { MOST_QUANTILES = 99, ROWS_A_SLICE = 256 };

static bool read_quantiles(const char *text, float *q, size_t *count)
{
    *count = 0;
    for (;;) {
        char *end;
        double v = strtod(text, &end);
        if (end == text || !(v > 0 && v < 1) || *count == MOST_QUANTILES || (*count && !((float)v > q[*count - 1])))
            return false;
        q[(*count)++] = (float)v;
        if (*end == 0)
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
}

/* The model's channels by the names of columns, else by their order. */
static rnnd_code match_columns(const rnnd_info *m, const struct csv *csv, size_t *column, rnnd_error *err)
{
    size_t found = 0;
    const char *lacking = m->channel_count ? m->channels[0] : "";
    for (size_t i = 0; i < m->channel_count; i++) {
        column[i] = i;
        for (size_t k = 0; csv->names && k < csv->columns; k++)
            if (strcmp(csv->names[k], m->channels[i]) == 0) {
                column[i] = k;
                found++;
                break;
            }
        if (found == i)
            lacking = m->channels[i];
    }
    if (found == m->channel_count)
        return RNND_OK;
    for (size_t i = 0; i < m->channel_count; i++)
        column[i] = i;
    if (csv->columns == m->channel_count)
        return RNND_OK;
    return cli_error(err, RNND_MISMATCH, "the file has %zu columns of values and none called '%s'; model %s has %zu "
                                         "channels", csv->columns, lacking, m->name, m->channel_count);
}

static rnnd_code feed(rnnd_workspace *ws, void *state, const rnnd_info *m, const struct csv *csv, const size_t *column,
                      float *input, rnnd_error *err)
{
    struct progress p;
    rnnd_code code = RNND_OK;
    rnnd_step_row row = {.state = state, .input = input};
    progress_start(&p, "steps", csv->rows);
    for (size_t i = 0; i < csv->rows && code == RNND_OK; i++) {
        for (size_t k = 0; k < m->channel_count; k++)
            input[k] = csv->data[i * csv->columns + column[k]];
        rnnd_error why;
        code = rnnd_step(ws, &row, 1, &why);
        if (code != RNND_OK)
            cli_error(err, code, "row %zu: %.480s", i + 1, why.message);
        progress_at(&p, i + 1);
    }
    progress_end(&p);
    return code;
}

/* What a second file knows of the steps ahead, by the names of its columns; channels without a column are not known. */
static rnnd_code read_future(const rnnd_info *m, const char *path, rnnd_forecast_params *p, float **owned,
                             rnnd_error *err)
{
    struct csv csv = {0};
    char *text = NULL;
    size_t bytes, found = 0;
    rnnd_code code = cli_read_file(path, (size_t)1 << 30, &text, &bytes, err);
    if (code == RNND_OK)
        code = csv_read(text, bytes, &csv, err);
    if (code == RNND_OK && !(*owned = calloc(csv.rows + 1, (m->channel_count + 1) * sizeof(float))))
        code = cli_error(err, RNND_NO_MEMORY, "no memory for %zu steps ahead", csv.rows);
    for (size_t c = 0; code == RNND_OK && c < m->channel_count; c++) {
        size_t k = 0;
        while (k < csv.columns && (!csv.names || strcmp(csv.names[k], m->channels[c]) != 0))
            k++;
        found += k < csv.columns;
        for (size_t t = 0; t < csv.rows; t++)
            (*owned)[t * m->channel_count + c] = k < csv.columns ? csv.data[t * csv.columns + k] : NAN;
    }
    if (code == RNND_OK && found == 0)
        code = cli_error(err, RNND_MISMATCH, "%.200s has no column named as a channel of %s, such as %.80s", path,
                         m->name, m->channel_count ? m->channels[0] : "");
    p->future = *owned;
    p->future_steps = code == RNND_OK ? csv.rows : 0;
    csv_free(&csv);
    free(text);
    return code;
}

static void print_forecast(const rnnd_info *m, const rnnd_forecast_params *p, const rnnd_forecast_out *out)
{
    printf("step,channel,mean");
    for (size_t q = 0; q < p->quantile_count; q++)
        printf(",q%g", (double)p->quantiles[q]);
    printf("\n");
    size_t targets = m->target_count;
    for (size_t i = 0; i < p->horizon; i++)
        for (size_t k = 0; k < targets; k++) {
            printf("%zu,%s,%.9g", i + 1, m->targets[k], (double)out->mean[i * targets + k]);
            for (size_t q = 0; q < p->quantile_count; q++)
                printf(",%.9g", (double)out->quantiles[(q * p->horizon + i) * targets + k]);
            printf("\n");
        }
}

static rnnd_code ask(const rnnd_model *model, rnnd_workspace *ws, const void *state, const rnnd_forecast_params *p,
                     rnnd_error *err)
{
    const rnnd_info *m = rnnd_model_info(model);
    rnnd_forecast *f = NULL;
    rnnd_forecast_out out = {0};
    size_t cells = p->horizon * m->target_count;
    bool done = false;
    rnnd_code code = rnnd_forecast_open(model, state, p, &f, err);
    if (code != RNND_OK)
        return code;
    out.mean = calloc(cells, sizeof(float));
    out.quantiles = calloc(cells, (p->quantile_count + 1) * sizeof(float));
    if (!out.mean || !out.quantiles)
        code = cli_error(err, RNND_NO_MEMORY, "no memory for a forecast of %zu steps", p->horizon);
    while (code == RNND_OK && !done)
        code = rnnd_forecast_work(f, ws, ROWS_A_SLICE, &done, err);
    if (code == RNND_OK)
        code = rnnd_forecast_read(f, &out, err);
    if (code == RNND_OK)
        print_forecast(m, p, &out);
    free(out.mean);
    free(out.quantiles);
    rnnd_forecast_close(f);
    return code;
}

static rnnd_code run_forecast(const rnnd_model *model, const char *path, rnnd_forecast_params *p, rnnd_error *err)
{
    const rnnd_info *m = rnnd_model_info(model);
    struct csv csv = {0};
    char *text = NULL;
    size_t bytes, *column = NULL;
    void *state = NULL;
    float *input = NULL;
    rnnd_workspace *ws = NULL;
    rnnd_code code;
    if (m->task != RNND_SERIES)
        return cli_error(err, RNND_UNSUPPORTED, "model %s does not forecast series", m->name);
    if (p->horizon == 0)
        p->horizon = m->horizon ? m->horizon : 1;
    if ((code = cli_read_file(path, (size_t)1 << 30, &text, &bytes, err)) != RNND_OK ||
        (code = csv_read(text, bytes, &csv, err)) != RNND_OK)
        goto out;
    column = calloc(m->channel_count + 1, sizeof *column);
    input = calloc(m->input_width + 1, sizeof *input);
    state = calloc(1, rnnd_state_bytes(model));
    if (!column || !input || !state) {
        code = cli_error(err, RNND_NO_MEMORY, "no memory for a state of %zu bytes", rnnd_state_bytes(model));
        goto out;
    }
    rnnd_state_reset(model, state);
    if ((code = match_columns(m, &csv, column, err)) != RNND_OK ||
        (code = rnnd_workspace_open(model, ROWS_A_SLICE, &ws, err)) != RNND_OK ||
        (code = feed(ws, state, m, &csv, column, input, err)) != RNND_OK)
        goto out;
    code = ask(model, ws, state, p, err);
    if (code == RNND_OK && rnnd_state_imputed(model, state) > 0)
        fprintf(stderr, "rnnd forecast: missing values filled in: %llu\n",
                (unsigned long long)rnnd_state_imputed(model, state));
out:
    rnnd_workspace_close(ws);
    csv_free(&csv);
    free(text);
    free(column);
    free(input);
    free(state);
    return code;
}

static int forecast(int argc, char **argv)
{
    const char *name = "taxi", *quantiles = NULL, *future = NULL, *path; /* quantiles NULL: not given */
    int64_t horizon = INT64_MIN; /* not given */
    const struct cli_option options[] = {
        {"model", 'm', CLI_TEXT, &name, "MODEL", "a path, or a model's name, ./models or installed (default taxi)"},
        {"horizon", 'n', CLI_INTEGER, &horizon, "STEPS", "how far ahead (default: as the model was trained)"},
        {"quantiles", 'q', CLI_TEXT, &quantiles, "LIST", "ascending, inside 0 and 1 (default 0.1,0.5,0.9, if any)"},
        {"future", 'f', CLI_TEXT, &future, "FILE.csv", "what is known of the steps ahead, columns named as channels"},
        {0}};
    const struct cli_usage usage = {
        "forecast", "FILE.csv [--model MODEL] [--horizon STEPS] [--quantiles LIST] [--future FILE.csv]",
        "Reads a series, one row a step and one column a channel, and prints its next steps as CSV:\n"
        "step, channel, mean and quantiles, in the units of the file. A header and a first column of time\n"
        "stamps may be there; empty cells are missing values. - reads standard input.",
        "example: the next day of half-hourly taxi passengers, with a band that should hold 80 % of them\n\n"
        "  rnnd forecast models/examples/taxi.csv --model taxi --horizon 48 --quantiles 0.1,0.9",
        options, 1, 1};
    float list[MOST_QUANTILES];
    rnnd_forecast_params params = {.quantiles = list};
    int code;
    rnnd_error err;
    rnnd_model *model;
    if (!cli_parse(&usage, argc, argv, &path, &code))
        return code;
    if (!read_quantiles(quantiles ? quantiles : "0.1,0.5,0.9", list, &params.quantile_count)) {
        fprintf(stderr, "rnnd forecast: --quantiles is '%s'; wanted ascending numbers inside 0 and 1, like 0.1,0.9\n",
                quantiles);
        return CLI_USAGE;
    }
    if (horizon != INT64_MIN && (horizon < 1 || horizon > 1000000)) {
        fprintf(stderr, "rnnd forecast: --horizon is %lld; wanted 1 to 1000000\n", (long long)horizon);
        return CLI_USAGE;
    }
    params.horizon = horizon == INT64_MIN ? 0 : (size_t)horizon;
    if (cli_open_model(name, &model, &err) != RNND_OK)
        return cli_fail("forecast", &err);
    if (!quantiles && rnnd_model_info(model)->quantile_count == 0)
        params.quantile_count = 0; /* it answers the mean alone */
    float *known = NULL;
    rnnd_code done = future ? read_future(rnnd_model_info(model), future, &params, &known, &err) : RNND_OK;
    if (done == RNND_OK)
        done = run_forecast(model, path, &params, &err);
    free(known);
    rnnd_model_close(model);
    return done == RNND_OK ? CLI_OK : cli_fail("forecast", &err);
}

const struct command command_forecast = {"forecast", "forecast the series in a CSV file", forecast};
