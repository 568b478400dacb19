/* model.h -- inside a model: configuration, graph, state layout, and the hook through which a task shapes steps. */
#ifndef RNND_MODEL_H
#define RNND_MODEL_H

#include "core/formats/stack.h"
#include "core/graph/graph.h"
#include "core/model/config.h"
#include "core/rnnd.h"

struct rnnd_model {
    rnnd_info info;
    struct arena arena;          /* strings and tables of info */
    struct config config;
    struct graph graph;
    struct network network;      /* the network's own inputs and output, which a task may dress otherwise in info */
    const struct kernels *kernels;
    const struct task *task;
    void *task_data;             /* the task's own tables, made by its attach */
    size_t network_inputs, network_outputs; /* floats of one step's row */
    const char *format;          /* of the file, as info.format */
    const char *no_rows;         /* why its ends cannot be laid out as rows of steps, or NULL; whole tensors do */
    unsigned char digest[16];    /* XXH3-128 over tensors and canonical configuration */
    size_t network_state;        /* floats of all graph states */
    /* one state's bytes: header | recurrent states (or the ring of a sliding model) | the task's part */
    size_t recurrent_offset, recurrent_floats, task_offset, task_bytes, state_bytes;
};

/* The head of every state. Padding is zero, so that memcmp and digests are honest. */
struct state_header {
    uint64_t steps;              /* rows consumed since reset */
};

/* What a task adds around the network. Each task has one; tasks/tasks.c lists them. */
struct task {
    const char *name;            /* "raw", "text", "series" */
    rnnd_task id;
    bool plain;                  /* a step's rows are the network's: before only looks at them, after is not there */
    bool last_after; /* before only looks at its rows, and after() of the last of many steps is all of theirs */
    /* after config and graph are there: verify widths, fill info (input_width, output_width, ...), size task_bytes */
    rnnd_code (*attach)(struct rnnd_model *m, rnnd_error *err);
    void (*reset)(const struct rnnd_model *m, void *task_state);
    /* a step's input row to a network row (plain: the same memory); advances causal statistics in task_state. MISMATCH
     * leaves it untouched */
    rnnd_code (*before)(const struct rnnd_model *m, void *task_state, const float *input, float *network_row,
                        rnnd_error *err);
    /* the network's output row to the step's output row (NULL = not wanted); may keep the row in task_state */
    void (*after)(const struct rnnd_model *m, void *task_state, const float *network_row, float *output);
    void (*detach)(struct rnnd_model *m); /* optional: frees what attach took */
    /* optional: task bytes from a stranger's blob are ones this model could have made in so many steps; else CORRUPT */
    rnnd_code (*verify)(const struct rnnd_model *m, uint64_t steps, const void *task_state, rnnd_error *err);
};

/* Opens with a given task table (NULL-terminated); rnnd_model_open() passes tasks.c's. */
rnnd_code model_open_memory(const void *data, size_t bytes, const char *name, const rnnd_options *options,
                            const struct task *const *tasks, rnnd_model **out, rnnd_error *err);
rnnd_code model_open_file(const char *path, const rnnd_options *options, const struct task *const *tasks,
                          rnnd_model **out, rnnd_error *err);

/* The task's part of a state. */
void *model_task_state(const rnnd_model *m, void *state);
/* The recurrent part of a state: all graph states side by side, or a sliding model's ring of network rows. */
float *model_recurrent(const rnnd_model *m, void *state);
/* The network's initial states side by side, [sum of their widths]. */
void model_initial(const rnnd_model *m, float *states);
/* MISMATCH if an id in a network row is not a whole number below its limit. */
rnnd_code model_check_ids(const rnnd_model *m, const float *network_row, rnnd_error *err);

#endif
