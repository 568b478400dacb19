/* control.c -- rnnd's HTTP stack with something else behind it: nothing, or ONNX Runtime stepping the sessions.
 *
 *     bench-control MODE PORT FILE
 *
 * MODE empty: every request gets the same answer, as long as rnnd's to a step; its body is not looked at.
 * MODE ort: POST /v1/sessions/{id}/steps {"inputs":[[..]]} as rnnd answers it, each request one run of a batch of 1,
 * as ONNX Runtime is mostly used. MODE ort_batch: all requests that are ready together are one run, up to 64 rows.
 * FILE: the LSTM of model_image(), one layer of 256 units with one output; ONNX Runtime gets the same weights. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/http.h"
#include "server/http/json.h"
#include "tests/bench/control/lstm.h"
#include "tests/bench/peers/ort.h"

enum { INPUTS = LSTM_INPUTS, HIDDEN = LSTM_HIDDEN, MOST_ROWS = 64, BUCKETS = 1 << 14 };

struct session {
    struct session *next;
    uint64_t step;
    bool waiting; /* has a row among the pending */
    float h[HIDDEN], c[HIDDEN];
    char id[];
};

struct pending { /* a request that waits for its row */
    struct http_request *request;
    struct session *session;
    float input[INPUTS];
};

static struct {
    struct http_server *http;
    struct ort_session *model;
    struct ort_rows *rows[MOST_ROWS + 1]; /* [rows of a run], made when first needed */
    struct session *sessions[BUCKETS];
    struct pending pending[MOST_ROWS];
    size_t count, most; /* pending; rows of a run at most */
} control;

/* ---- stepping ---------------------------------------------------------------------------------------------------- */

static void answer_step(struct http_request *r, uint64_t step, float output)
{
    struct json_out o;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "step");
    json_put_int(&o, (int64_t)step);
    json_put_key(&o, "outputs");
    json_put_floats(&o, &output, 2, (size_t[]){1, 1});
    json_put_key(&o, "replayed");
    json_put_bool(&o, false);
    json_put_key(&o, "mode");
    json_put_text(&o, "carry");
    json_put_key(&o, "model_version");
    json_put_text(&o, "000000000000");
    json_close(&o, '}');
    http_answer(r, 200, "application/json", o.data, o.bytes);
    json_out_free(&o);
}

static void step_pending(void *context)
{
    size_t n = control.count;
    (void)context;
    if (!n) return;
    if (!control.rows[n]) control.rows[n] = ort_rows_open(control.model, 1, n);
    struct ort_rows *rows = control.rows[n];
    for (size_t i = 0; rows && i < n; i++) {
        memcpy(ort_rows_x(rows) + i * INPUTS, control.pending[i].input, sizeof control.pending[i].input);
        memcpy(ort_rows_h(rows, 0) + i * HIDDEN, control.pending[i].session->h, sizeof control.pending[i].session->h);
        memcpy(ort_rows_c(rows, 0) + i * HIDDEN, control.pending[i].session->c, sizeof control.pending[i].session->c);
    }
    const float *y = rows ? ort_rows_run(rows) : NULL;
    control.count = 0;
    for (size_t i = 0; i < n; i++) {
        struct pending *p = &control.pending[i];
        p->session->waiting = false;
        if (!y) {
            http_error(p->request, 500, "failed", "", "%s", ort_error());
            continue;
        }
        memcpy(p->session->h, ort_rows_h(rows, 0) + i * HIDDEN, sizeof p->session->h);
        memcpy(p->session->c, ort_rows_c(rows, 0) + i * HIDDEN, sizeof p->session->c);
        answer_step(p->request, ++p->session->step, y[i]);
    }
}

static struct session *find_session(const char *id)
{
    uint64_t hash = 1469598103934665603u;
    for (const char *at = id; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 1099511628211u;
    struct session **link = &control.sessions[(hash ^ hash >> 32) % BUCKETS];
    while (*link && strcmp((*link)->id, id))
        link = &(*link)->next;
    if (!*link && (*link = calloc(1, sizeof **link + strlen(id) + 1))) memcpy((*link)->id, id, strlen(id));
    return *link;
}

static void handle_step(void *context, struct http_request *r)
{
    const char *path = http_path(r), *prefix = "/v1/sessions/", *suffix = "/steps";
    char id[130] = "", message[200];
    size_t bytes, length = strlen(path);
    struct json_doc *doc = NULL;
    const char *body = http_body(r, &bytes);
    (void)context;
    if (length > strlen(prefix) + strlen(suffix) && strncmp(path, prefix, strlen(prefix)) == 0)
        snprintf(id, sizeof id, "%.*s", (int)(length - strlen(prefix) - strlen(suffix)), path + strlen(prefix));
    const struct json_numbers *row = NULL;
    if (json_parse(body, bytes, 16, &doc, message, sizeof message) == 0)
        row = json_numbers(json_get(json_root(doc), "inputs"));
    struct session *session = id[0] && row && row->count == INPUTS ? find_session(id) : NULL;
    if (session && session->waiting) step_pending(NULL); /* its steps one after another */
    if (session) {
        struct pending *p = &control.pending[control.count++];
        *p = (struct pending){.request = r, .session = session};
        memcpy(p->input, row->data, sizeof p->input);
        session->waiting = true;
    } else {
        http_error(r, 400, "invalid_request", "", "wanted a session's step of %d inputs", INPUTS);
    }
    json_free(doc);
    if (control.count == control.most) step_pending(NULL);
}

/* ---- nothing ----------------------------------------------------------------------------------------------------- */

static void handle_nothing(void *context, struct http_request *r)
{
    static const char body[] = "{\"step\":12345,\"outputs\":[[-0.12345678]],\"replayed\":false,\"mode\":\"carry\","
                               "\"model_version\":\"000000000000\"}";
    (void)context;
    http_answer(r, 200, "application/json", body, sizeof body - 1);
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

static void end(int signal_number)
{
    (void)signal_number;
    http_drain(control.http, 0, 1000);
}

/* The tensors of model_image(), which stand one behind the other behind the header. */
static bool open_model(const char *path)
{
    static float w[LSTM_FLOATS];
    uint64_t header;
    FILE *f = fopen(path, "rb");
    bool read = f && fread(&header, 1, 8, f) == 8 && fseek(f, (long)header, SEEK_CUR) == 0 &&
                fread(w, sizeof *w, LSTM_FLOATS, f) == LSTM_FLOATS;
    if (f) fclose(f);
    if (!read) return false;
    const struct onnx_net net = lstm_net(w);
    if (ort_load()) control.model = ort_session_open(&net, 1);
    if (!control.model) fprintf(stderr, "bench-control: %s\n", ort_error());
    return control.model;
}

int main(int argc, char **argv)
{
    char message[512] = "";
    struct http_hooks hooks = {.handle = handle_nothing};
    if (argc != 4) {
        fprintf(stderr, "usage: bench-control empty|ort|ort_batch PORT FILE\n");
        return 2;
    }
    if (strcmp(argv[1], "empty") != 0) {
        control.most = strcmp(argv[1], "ort") == 0 ? 1 : MOST_ROWS;
        hooks.handle = handle_step;
        hooks.after_poll = step_pending;
        if (!open_model(argv[3])) return 1;
    }
    const struct http_options options = {.host = "127.0.0.1",
                                         .port = (uint16_t)strtoul(argv[2], NULL, 10),
                                         .body_limit = 1 << 20,
                                         .connection_limit = 1000,
                                         .header_deadline_ms = 10000,
                                         .idle_ms = 60000,
                                         .request_deadline_ms = 30000,
                                         .stream_high_water = 1 << 20};
    if (http_open(&options, &hooks, &control.http, message, sizeof message)) {
        fprintf(stderr, "bench-control: %s\n", message);
        return 1;
    }
    signal(SIGTERM, end);
    signal(SIGPIPE, SIG_IGN);
    http_run(control.http);
    http_close(control.http);
    return 0;
}
