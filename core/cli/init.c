/* init.c -- `rnnd init`: writes the side file NAME.rnnd.json of a model. */
#include "core/cli/init.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cli/json.h"

static bool written_here(struct json_text key, bool series)
{
    static const char *const ours[] = {"task", "series", "text", NULL};
    for (size_t i = 0; series && ours[i]; i++)
        if (json_key_is(key, ours[i]))
            return true;
    return false;
}

/* What the side file that is there says, or the library proposes, but for what is said anew; else the least that a side
 * file says. */
static void put_base(FILE *f, const rnnd_info *m, const char *there, bool series)
{
    const char *side = there ? there : m->side_file ? m->side_file : "";
    struct json_text t = {side, side + strlen(side)}, key, value;
    if (json_take(&t, '{')) {
        const char *comma = "";
        while (json_member(&t, &key, &value))
            if (!written_here(key, series)) {
                fprintf(f, "%s\n  \"%.*s\": %.*s", comma, (int)(key.end - key.at), key.at, (int)(value.end - value.at),
                        value.at);
                comma = ",";
            }
        return;
    }
    fprintf(f, "\n  \"format\": 1,\n  \"name\": ");
    init_string(f, m->name);
    if (m->mode == RNND_SLIDING)
        fprintf(f, ",\n  \"mode\": \"sliding\",\n  \"window\": %zu", m->window);
    else if (m->streamable)
        fprintf(f, ",\n  \"mode\": \"carry\"");
    if (!series)
        fprintf(f, ",\n  \"task\": \"raw\"");
}

void init_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20)
            fprintf(f, "\\u%04x", c);
        else
            fprintf(f, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    fputc('"', f);
}

static rnnd_code write_text(const char *path, const char *text, bool force, rnnd_error *err)
{
    FILE *f = fopen(path, force ? "w" : "wx");
    if (!f && errno == EEXIST)
        return cli_error(err, RNND_CONFLICT, "%.300s is there already; --force writes over it", path);
    if (!f)
        return cli_error(err, RNND_IO, "cannot write %.300s: %s", path, strerror(errno));
    fputs(text, f);
    bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad)
        return cli_error(err, RNND_IO, "cannot write %.300s: %s", path, strerror(errno));
    return RNND_OK;
}

/* "dir/net.h5" -> "dir/net.rnnd.json" */
static bool side_path(const char *model, char out[CLI_PATH_BYTES])
{
    const char *slash = strrchr(model, '/'), *base = slash ? slash + 1 : model, *dot = strrchr(base, '.');
    int stem = (int)(dot && dot > base ? dot - model : (long)strlen(model));
    int n = snprintf(out, CLI_PATH_BYTES, "%.*s.rnnd.json", stem, model);
    return n > 0 && n < CLI_PATH_BYTES;
}

static rnnd_code make_text(const rnnd_model *model, const struct init_plan *p, const char *there,
                           const struct csv *csv, char **text, rnnd_error *err)
{
    size_t bytes;
    FILE *f = open_memstream(text, &bytes);
    rnnd_code code = RNND_OK;
    if (!f)
        return cli_error(err, RNND_NO_MEMORY, "no memory for a side file");
    fputc('{', f);
    put_base(f, rnnd_model_info(model), there, csv != NULL);
    if (csv)
        code = init_series(f, model, p, csv, err);
    fprintf(f, "\n}\n");
    if (fclose(f) != 0 && code == RNND_OK)
        code = cli_error(err, RNND_NO_MEMORY, "no memory for a side file");
    return code;
}

/* A side file that would not open the model is not written. */
static rnnd_code check_text(const char *path, const char *text, rnnd_error *err)
{
    rnnd_model *again = NULL;
    rnnd_options options = {.kernel_row = cli_kernel_row(), .config = text, .accept_guesses = true};
    rnnd_error why;
    rnnd_code code = rnnd_model_open(path, &options, &again, &why);
    rnnd_model_close(again);
    if (code == RNND_OK)
        return code;
    return cli_error(err, code, "the model does not open with the side file made for it: %.400s", why.message);
}

static rnnd_code run_init(const char *path, const struct init_plan *p, const char *beside, const char *out, bool force,
                          rnnd_error *err)
{
    rnnd_model *model = NULL;
    struct csv csv = {0};
    char *table = NULL, *text = NULL, *there = NULL;
    size_t bytes;
    rnnd_options options = {.kernel_row = cli_kernel_row(), .accept_guesses = true};
    rnnd_code code = rnnd_model_open(path, &options, &model, err);
    if (code == RNND_OK && access(beside, F_OK) == 0)
        code = cli_read_file(beside, (size_t)8 << 20, &there, &bytes, err);
    if (code == RNND_OK && p->csv && (code = cli_read_file(p->csv, (size_t)1 << 30, &table, &bytes, err)) == RNND_OK)
        code = csv_read(table, bytes, &csv, err);
    if (code == RNND_OK)
        code = make_text(model, p, there, p->csv ? &csv : NULL, &text, err);
    if (code == RNND_OK && (code = check_text(path, text, err)) == RNND_OK)
        code = write_text(out, text, force, err);
    if (code == RNND_OK) {
        const rnnd_info *m = rnnd_model_info(model);
        for (size_t i = 0; i < m->assumption_count; i++)
            printf("assumed: %s\n", m->assumptions[i]);
        if (p->csv)
            init_explain(model, p, &csv);
        printf("wrote %s%s\n", out, m->assumption_count || p->csv ? ": check it, for with it beside the model what was "
                                                                    "assumed counts as said" : "");
    }
    csv_free(&csv);
    free(table);
    free(text);
    free(there);
    rnnd_model_close(model);
    return code;
}

static int init(int argc, char **argv)
{
    struct init_plan plan = {.scaler = "standard"};
    const char *out = NULL, *name;
    bool force = false;
    const struct cli_option options[] = {
        {"csv", 0, CLI_TEXT, &plan.csv, "FILE", "a series it was trained on: channels, scalers, frequency from there"},
        {"target", 0, CLI_TEXT, &plan.target, "COLUMN", "what it forecasts, where that is one column of several"},
        {"scaler", 0, CLI_TEXT, &plan.scaler, "KIND", "standard (default), minmax or none: how training scaled"},
        {"output", 'o', CLI_TEXT, &out, "FILE", "where to write (default: NAME.rnnd.json beside the model)"},
        {"force", 'f', CLI_FLAG, &force, NULL, "write over a file that is there"},
        {0}};
    const struct cli_usage usage = {
        "init", "MODEL [--csv TRAIN.csv] [--target COLUMN] [-o FILE]",
        "Writes the side file of a model, NAME.rnnd.json: what the file does not say, as it was guessed, and,\n"
        "with --csv, the series task around it. What was assumed is printed; look it through. What a side file\n"
        "that is there says besides is kept.\n\n"
        "Exit codes: 0 done, 1 failed, 2 usage, 3 the model cannot be opened.",
        "example: a Keras model that forecasts a table's next row\n\n"
        "  rnnd init lstm.keras --csv train.csv",
        options, 1, 1};
    char path[CLI_PATH_BYTES], beside[CLI_PATH_BYTES];
    rnnd_error err;
    int code;
    if (!cli_parse(&usage, argc, argv, &name, &code))
        return code;
    if (strcmp(plan.scaler, "standard") && strcmp(plan.scaler, "minmax") && strcmp(plan.scaler, "none")) {
        fprintf(stderr, "rnnd init: --scaler is '%s'; wanted standard, minmax or none\n", plan.scaler);
        return CLI_USAGE;
    }
    if (plan.target && !plan.csv) {
        fprintf(stderr, "rnnd init: --target names a column of --csv, which is not given\n");
        return CLI_USAGE;
    }
    if (cli_find_model(name, path, &err) != RNND_OK)
        return cli_fail("init", &err);
    if (!side_path(path, beside)) {
        fprintf(stderr, "rnnd init: the model's path is too long\n");
        return CLI_FAILED;
    }
    if (run_init(path, &plan, beside, out ? out : beside, force, &err) != RNND_OK)
        return err.code == RNND_UNSUPPORTED || err.code == RNND_CORRUPT ? cli_fail_model("init", &err)
                                                                        : cli_fail("init", &err);
    return CLI_OK;
}

const struct command command_init = {"init", "write a model's side file, with a series around it", init};
