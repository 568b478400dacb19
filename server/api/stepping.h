/* stepping.h -- one request of steps on one session: its turn, the step rule, the job, the outputs; all or nothing. */
#ifndef SERVER_STEPPING_H
#define SERVER_STEPPING_H

#include <stdatomic.h>

#include "server/api/app.h"
#include "server/api/inputs.h"

#define STEPPING_TOP 20                              /* log-probabilities a token answers with */
#define STEPPING_OUTPUT_LIMIT ((size_t)256 << 20)    /* bytes of outputs one request may ask for: as bytes, in pieces */
#define STEPPING_TEXT_LIMIT ((size_t)32 << 20)       /* where the loop writes them as one text: JSON, NDJSON, CSV */

struct stepping_top { int32_t id; float logprob; };

struct stepping_memory { /* what one request after another may use */
    struct inputs in;
    struct json_out outputs;                    /* the rows' bytes */
    void *state;
    float *scratch;
    size_t state_bytes, scratch_bytes;
};

struct stepping {
    /* the owner sets */
    struct app *app;
    void *owner;
    struct model *model;                        /* the session's */
    struct session_request request;             /* what it borrows must last until done, or until cancelled */
    struct stepping_memory memory;              /* .in: the rows; owned from start on */
    bool last_only;                             /* "outputs":"last" */
    bool all_logprobs;                          /* text: whole rows of log-probabilities, not the top ones */
    size_t taken_bytes;                         /* by app_take_outputs() */
    size_t *output_left_bytes;                  /* what the request may still ask for; less what this takes */
    void (*progress)(struct stepping *s);       /* optional: `ready` has grown */
    void (*done)(struct stepping *s);           /* exactly once, maybe inside stepping_start() */

    /* the outcome */
    rnnd_code code;
    rnnd_error error;
    const char *wire_code, *reason;             /* the error's name on the wire; reason of a dead session or NULL */
    bool unconfirmed;                           /* the error is that of confirm_check() */
    uint64_t last_step;                         /* of a dead session */
    uint64_t first_step, step;                  /* the session's, before and after */
    bool replayed;
    size_t rows, row_width;
    float *outputs;                             /* [rows][row_width], NULL where tops are kept instead */
    struct stepping_top *tops;                  /* [rows][top_count], of text models; in memory.outputs too */
    size_t top_count;
    atomic_size_t ready;                        /* rows that are complete; may be read while the job runs */

    /* own */
    struct session_turn turn;
    struct job job;
    size_t fed;
    bool in_line, running, cancelled;
};

/* The session's turn is awaited, the steps run, `done` is called. Loop thread. */
void stepping_start(struct stepping *s, struct session *x);
/* Nobody waits any more: the session stays as it is; `done` comes with code GONE (maybe inside this call). */
void stepping_cancel(struct stepping *s);
void stepping_free(struct stepping *s);
/* As new, but with the memory it has, as far as that is not large. */
void stepping_forget(struct stepping *s);
/* Outside a session's turn: fails the request before it began. Calls done. */
void stepping_fail(struct stepping *s, const char *wire_code);

/* Reads "outputs" and "logits" of a body, and its rows: "inputs", or a text model's "text" or "ids". The body's
 * document must last until done: the rows may stay there. */
rnnd_code stepping_read(struct stepping *s, const struct json *body, rnnd_error *err);
/* Finds the session `id` for this request, or creates it where model_name is given. Sets s->model. On failure s->error,
 * s->wire_code and, of a dead id, s->reason. *x stays NULL where it is to be created by stepping_create(). */
bool stepping_find(struct stepping *s, const char *id, const char *model_name, struct session **x);
bool stepping_create(struct stepping *s, const char *id, struct session **x);

/* One row as JSON: [..], or a text model's {"token","id","top":[{"id","token","logprob"}]} or {.., "logprobs":[..]}. */
void stepping_put_row(struct json_out *o, const struct stepping *s, size_t row);
/* The step the session is at after that row. */
uint64_t stepping_row_step(const struct stepping *s, size_t row);
/* "step","replayed","mode","model_version","assumed"? as members of an open object; "outputs" too if wanted. */
void stepping_put_result(struct json_out *o, const struct stepping *s, bool outputs);
/* The error object of a request that failed, with reason and last_step where the id is dead, with assumptions and the
 * side file where the model is unconfirmed; and {"error":{..}} with it. */
void stepping_put_error(struct json_out *o, const struct stepping *s);
void stepping_put_failure(struct json_out *o, const struct stepping *s);
void stepping_answer_failure(struct http_request *r, const struct stepping *s);

#endif
