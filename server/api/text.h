/* text.h -- what completions and chat share: a request becomes generations, generations become a reply or a stream.
 *
 * One text_request holds prompts x best_of choices; each choice is one step job with a state and a generation of its
 * own. The ticking thread fills choice->ready under its lock; the loop thread takes from there and writes. A request
 * ends when all its jobs are done: then it commits its session, answers, and frees itself. A client that leaves cancels
 * the jobs. */
#ifndef SERVER_TEXT_H
#define SERVER_TEXT_H

#include <pthread.h>

#include "server/api/session_use.h"

struct text_request;
struct text_choice;

struct text_token { /* one token behind text that was given out */
    int32_t id;
    bool has_logprob;
    float logprob;
    size_t first, count; /* its alternatives in the piece */
};

struct text_cut { size_t bytes, count; }; /* an event of a stream ends here: bytes of text, tokens */

struct text_piece { /* text and its tokens, growing */
    char *text;
    size_t bytes, text_cap;
    struct text_token *tokens;
    size_t count, token_cap;
    rnnd_alternative *alternatives;
    size_t alternative_count, alternative_cap;
    struct text_cut *cuts;       /* streams: one behind each token that gave something out */
    size_t cut_count, cut_cap;
};

struct text_settings {
    rnnd_sampling sampling;      /* bias is owned, seed not yet the choice's */
    int64_t max_tokens, n, best_of;
    bool stream, include_usage, echo, return_state;
    bool logprobs;               /* the client wants them */
    int top;                     /* how many alternatives */
    bool has_seed;
    uint64_t seed;
    const char **stop;           /* owned array, strings borrowed from the body */
    size_t stop_count;
};

struct text_prompt { int32_t *ids; size_t count; }; /* owned */

struct text_choice {
    struct job job;
    struct text_request *request;
    size_t prompt, index;        /* its prompt; its number on the wire */
    void *state;                 /* owned */
    rnnd_generation *generation;
    float *logits;               /* while its prompt is fed as windows, owned */
    void (*then)(struct job *j); /* what follows that, on the loop */
    pthread_mutex_t lock;
    struct text_piece ready;     /* under lock until the job is done */
    struct text_piece taken;     /* loop thread: what a stream is writing */
    bool submitted, finished;
    double logprob_sum;          /* best_of: of the sampled tokens */
    size_t logprob_count;
    size_t characters;           /* text_offset of the next token */
};

/* What differs between the two resources. finish: "stop" or "length", NULL while it goes on. */
struct text_shape {
    const char *id_prefix, *object, *chunk_object;
    bool opening;                /* a stream's first chunk of a choice has no text: piece NULL, finish NULL */
    rnnd_code (*prompts)(struct text_request *q, bool continues, rnnd_error *err); /* or NULL: made at parsing */
    void (*put_choice)(struct json_out *o, struct text_choice *c, const struct text_piece *piece, const char *finish);
    void (*put_chunk)(struct json_out *o, struct text_choice *c, const struct text_piece *piece, const char *finish);
};

struct text_request {
    struct app *app;
    struct http_request *http;   /* NULL: nobody is waiting any more */
    const struct text_shape *shape;
    struct json_doc *doc;
    const struct json *body;
    struct model *model;
    char id[48];
    int64_t created;
    struct text_settings settings;
    struct text_prompt *prompts;
    size_t prompt_count;
    rnnd_message *messages;      /* chat; owned array */
    size_t message_count;
    char *message_text;          /* contents that came in parts, joined; owned */
    const char *const *template_stops; /* chat; borrowed from the model */
    size_t template_stop_count, min_bytes;
    struct text_choice *choices;
    size_t choice_count, pending;
    /* session */
    char session_id[SESSION_ID_BYTES]; /* "" = none */
    struct session *session;
    struct session_turn turn;
    struct session_request step_rule;
    bool in_line, replayed;
    uint64_t kept_steps, session_step;
    /* stream */
    bool streaming;
    atomic_bool paused;          /* the client reads too slowly */
    double last_write;
    struct json_out out;         /* reused from chunk to chunk */
    struct json_out head;        /* what every chunk begins with */
    struct text_request *next_stream, *previous_stream;
    /* failure */
    bool failed;
    rnnd_error error;
    const char *error_code;      /* on the wire, or NULL */
    const char *ended;           /* why the session ended while this waited for it, or NULL */
    uint64_t ended_step;
};

/* text.c. Parses body, model and settings; answers the error itself, NULL then. */
struct text_request *text_open(struct app *app, struct http_request *r, const struct text_shape *shape, bool chat);
/* Runs it. From here it belongs to the machinery, whatever happens. */
void text_start(struct text_request *q);
void text_free(struct text_request *q);
void text_cancel(struct text_request *q); /* ends its jobs at their next step */
/* Called once a second: comment lines on streams that have been quiet; endless streams end when the server does. */
void text_every_second(struct app *app);

/* text_settings.c: answers 400 naming the field itself, false then. */
bool text_settings_read(struct text_request *q, bool chat);
void text_settings_free(struct text_settings *s);

/* text_prompt.c: whether a prompt is fed as windows first. Then its job is that; when it is done, `then` continues. */
bool text_prompt_fed(struct text_choice *c, void (*then)(struct job *j));
void text_prompt_dropped(struct text_choice *c); /* it was not submitted, and will not be */
/* text_piece.c */
/* Drains the generation; *something: the piece is not empty now. False: no memory. */
bool text_piece_take(struct text_choice *c, struct text_piece *into, bool *something);
void text_piece_free(struct text_piece *p);
/* text_logprobs.c */
void text_put_token(struct json_out *o, const struct model *m, int32_t id); /* its text, or "bytes:\xe2" */
void text_put_completion_logprobs(struct json_out *o, struct text_choice *c, const struct text_piece *piece);
void text_put_chat_logprobs(struct json_out *o, struct text_choice *c, const struct text_piece *piece);
/* text_write.c */
void text_write_opening(struct text_request *q);
void text_write_piece(struct text_choice *c);
void text_write_finish(struct text_choice *c);
void text_write_end(struct text_request *q);
void text_write_error(struct text_request *q);
void text_answer(struct text_request *q);

/* Ids of a text, owned; at most limit of them. */
rnnd_code text_tokenize(const struct model *m, const char *text, size_t bytes, size_t limit, struct text_prompt *out,
                        rnnd_error *err);

#endif
