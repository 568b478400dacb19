/* run.c -- `rnnd run`: a model over arrays in files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/array.h"
#include "core/cli/cli.h"

enum { BATCH = 64 }; /* sequences at a time: enough to be fast, and the progress line moves */

struct job { /* [batch][steps][inputs] -> [batch][answers][outputs] */
    struct array x, y;
    size_t batch, steps, inputs, answers, outputs;
    bool one_sequence; /* the batch axis was not there */
};

static rnnd_code read_input(const char *path, struct array *x, rnnd_error *err)
{
    char *bytes;
    size_t size;
    struct csv csv;
    rnnd_code code = cli_read_file(path, (size_t)4 << 30, &bytes, &size, err);
    if (code != RNND_OK)
        return code;
    if (!cli_has_suffix(path, ".csv")) {
        rnnd_error why;
        if ((code = npy_read(bytes, size, x, &why)) != RNND_OK)
            cli_error(err, code, "%.200s: %.280s", path, why.message);
    } else if ((code = csv_read(bytes, size, &csv, err)) == RNND_OK) {
        *x = (struct array){.rank = 2, .dim = {csv.rows, csv.columns}, .data = csv.data};
        csv.data = NULL;
        csv_free(&csv);
    }
    free(bytes);
    return code;
}

/* [steps][inputs], [batch][steps][inputs]; where a step is one number also [steps]. */
static rnnd_code set_shape(struct job *j, rnnd_error *err)
{
    const struct array *x = &j->x;
    size_t rank = x->rank;
    bool narrow = rank == 1 && j->inputs == 1;
    if (!narrow && (rank < 2 || rank > 3 || x->dim[rank - 1] != j->inputs)) {
        char found[ARRAY_MAX_RANK * 24] = "";
        for (size_t i = 0, n = 0; i < rank; i++)
            n += (size_t)snprintf(found + n, sizeof found - n, "[%zu]", x->dim[i]);
        return cli_error(err, RNND_MISMATCH, "the input has shape %s; wanted [steps][%zu] or [batch][steps][%zu]",
                         found[0] ? found : "[]", j->inputs, j->inputs);
    }
    j->one_sequence = rank < 3;
    j->batch = rank == 3 ? x->dim[0] : 1;
    j->steps = narrow ? x->dim[0] : x->dim[rank - 2];
    if (j->batch == 0 || j->steps == 0)
        return cli_error(err, RNND_MISMATCH, "the input is empty: %zu sequences of %zu steps", j->batch, j->steps);
    return RNND_OK;
}

static rnnd_code make_output(struct job *j, rnnd_error *err)
{
    size_t cells;
    if (__builtin_mul_overflow(j->batch, j->answers, &cells) || __builtin_mul_overflow(cells, j->outputs, &cells) ||
        !(j->y.data = calloc(cells, sizeof *j->y.data)))
        return cli_error(err, RNND_NO_MEMORY, "no memory for %zu sequences of %zu answers of %zu numbers", j->batch,
                         j->answers, j->outputs);
    size_t all[3] = {j->batch, j->answers, j->outputs};
    j->y.rank = j->one_sequence ? 2 : 3;
    memcpy(j->y.dim, all + (j->one_sequence ? 1 : 0), j->y.rank * sizeof *all);
    return RNND_OK;
}

static rnnd_code run_windows(const rnnd_model *model, struct job *j, rnnd_error *err)
{
    rnnd_workspace *ws;
    struct progress p;
    size_t most = j->batch < BATCH ? j->batch : BATCH;
    rnnd_code code = rnnd_workspace_open(model, most, &ws, err);
    if (code != RNND_OK)
        return code;
    progress_start(&p, "sequences", j->batch);
    for (size_t at = 0; at < j->batch && code == RNND_OK; at += most) {
        rnnd_window w = {.batch = j->batch - at < most ? j->batch - at : most,
                         .steps = j->steps,
                         .inputs = j->x.data + at * j->steps * j->inputs,
                         .outputs = j->y.data + at * j->answers * j->outputs};
        code = rnnd_run_window(ws, &w, err);
        progress_at(&p, at + w.batch);
    }
    progress_end(&p);
    rnnd_workspace_close(ws);
    return code;
}

/* All sequences of a group side by side, step after step, each with a state of its own. */
static rnnd_code run_stream(const rnnd_model *model, struct job *j, rnnd_error *err)
{
    size_t bytes = (rnnd_state_bytes(model) + 7) / 8 * 8, most = j->batch < BATCH ? j->batch : BATCH;
    rnnd_step_row rows[BATCH];
    rnnd_workspace *ws = NULL;
    struct progress p;
    char *states = calloc(most, bytes);
    rnnd_code code = states ? rnnd_workspace_open(model, most, &ws, err)
                            : cli_error(err, RNND_NO_MEMORY, "no memory for %zu states", most);
    progress_start(&p, "steps", (uint64_t)j->batch * j->steps);
    for (size_t at = 0; at < j->batch && code == RNND_OK; at += most) {
        size_t n = j->batch - at < most ? j->batch - at : most;
        for (size_t b = 0; b < n; b++)
            rnnd_state_reset(model, states + b * bytes);
        for (size_t t = 0; t < j->steps && code == RNND_OK; t++) {
            for (size_t b = 0; b < n; b++) {
                size_t row = (at + b) * j->steps + t;
                rows[b] = (rnnd_step_row){.state = states + b * bytes,
                                          .input = j->x.data + row * j->inputs,
                                          .output = j->y.data + row * j->outputs};
            }
            rnnd_error why;
            code = rnnd_step(ws, rows, n, &why);
            if (code != RNND_OK)
                cli_error(err, code, "step %zu: %.480s", t, why.message);
            progress_at(&p, (uint64_t)at * j->steps + (t + 1) * n);
        }
    }
    progress_end(&p);
    rnnd_workspace_close(ws);
    free(states);
    return code;
}

static rnnd_code write_output(const char *path, const struct job *j, rnnd_error *err)
{
    if (!cli_has_suffix(path, ".csv"))
        return npy_write(path, &j->y, err);
    FILE *f = fopen(path, "w");
    if (!f)
        return cli_error(err, RNND_IO, "cannot write %s: %s", path, strerror(errno));
    for (size_t i = 0; i < j->batch * j->answers; i++)
        for (size_t k = 0; k < j->outputs; k++)
            fprintf(f, "%.9g%c", (double)j->y.data[i * j->outputs + k], k + 1 < j->outputs ? ',' : '\n');
    bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad)
        return cli_error(err, RNND_IO, "cannot write %s: %s", path, strerror(errno));
    return RNND_OK;
}

static rnnd_code run_job(const rnnd_model *model, const char *in, const char *out, bool stream, rnnd_error *err)
{
    const rnnd_info *m = rnnd_model_info(model);
    struct job j = {.inputs = stream ? m->input_width : rnnd_window_input_width(model),
                    .outputs = stream ? m->output_width : rnnd_window_output_width(model)};
    rnnd_code code;
    if (stream && !m->streamable)
        return cli_error(err, RNND_UNSUPPORTED, "model %s runs windows only: %s", m->name, m->not_streamable);
    if ((code = read_input(in, &j.x, err)) != RNND_OK || (code = set_shape(&j, err)) != RNND_OK)
        goto out;
    j.answers = m->output_last && !stream ? 1 : j.steps;
    if ((code = make_output(&j, err)) != RNND_OK)
        goto out;
    code = stream ? run_stream(model, &j, err) : run_windows(model, &j, err);
    if (code == RNND_OK)
        code = write_output(out, &j, err);
out:
    array_free(&j.x);
    array_free(&j.y);
    return code;
}

static int run(int argc, char **argv)
{
    const char *in = NULL, *out = NULL, *name;
    bool stream = false;
    const struct cli_option options[] = {
        {"input", 'i', CLI_TEXT, &in, "FILE", "X.npy: [steps][inputs] or [batch][steps][inputs]; X.csv: rows"},
        {"output", 'o', CLI_TEXT, &out, "FILE", "Y.npy or Y.csv: what the network answers"},
        {"stream", 's', CLI_FLAG, &stream, NULL, "step by step, as a session does: scaled, state carried along"},
        {0}};
    const struct cli_usage usage = {
        "run", "MODEL -i X.npy -o Y.npy [--stream]",
        "Runs a model over arrays: whole windows as predict() of a framework does, or step by step with\n"
        "--stream. MODEL is a path, or the name of a model, in ./models\n"
        "or installed.",
        "example: what numpy.save() wrote, through the network and back\n\n"
        "  rnnd run models/tiny/lstm.safetensors -i x.npy -o y.npy",
        options, 1, 1};
    int code;
    rnnd_error err;
    rnnd_model *model;
    if (!cli_parse(&usage, argc, argv, &name, &code))
        return code;
    if (!in || !out) {
        fprintf(stderr, "rnnd run: both -i and -o are needed; `rnnd run --help` tells more\n");
        return CLI_USAGE;
    }
    if (cli_open_model(name, &model, &err) != RNND_OK)
        return cli_fail("run", &err);
    rnnd_code done = run_job(model, in, out, stream, &err);
    rnnd_model_close(model);
    return done == RNND_OK ? CLI_OK : cli_fail("run", &err);
}

const struct command command_run = {"run", "run a model over arrays in files", run};
