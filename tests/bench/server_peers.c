/* server_peers.c -- the same job by other servers: answers compared first, then speed, memory and starting.
 *
 * All serve the same LSTM of 256 units over the same requests: rnnd; its HTTP stack with ONNX Runtime inside, a run for
 * each request ("ort_http") or for all that are ready ("ort_batch"); Node around ONNX Runtime ("node_ort"). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/server.h"

#define SERVERS 4
#define CHECKED_STEPS 20
#define MOST_CLIENTS 64

struct peer {
    const char *name;
    bool (*start)(struct process *p, const struct suite_files *f);
    struct process process;
};

static bool start_ours(struct process *p, const struct suite_files *f)
{
    struct suite_files lstm_alone = *f;
    lstm_alone.text[0] = lstm_alone.series[0] = 0;
    start_rnnd(p, &lstm_alone, NULL);
    return true;
}

static bool start_ort(struct process *p, const struct suite_files *f)
{
    return start_control(p, f, "ort");
}

static bool start_ort_batch(struct process *p, const struct suite_files *f)
{
    return start_control(p, f, "ort_batch");
}

static bool start_node(struct process *p, const struct suite_files *f)
{
    const char *const args[] = {"node", "tests/bench/peers/node_server.js", "%", f->onnx, NULL};
    const struct load_request first = request_step(0);
    setenv("NODE_PATH", "build/peers/node_modules", 0);
    bool started = process_start(p, args, &first);
    if (!started) fprintf(stderr, "bench: left out: a Node server around onnxruntime-node\n");
    free(first.bytes);
    return started;
}

/* The same steps to each: the outputs must be the same within 1e-5. */
static void compare(const struct peer *peers, size_t count)
{
    struct load_request steps[CHECKED_STEPS];
    float first[CHECKED_STEPS];
    for (size_t i = 0; i < CHECKED_STEPS; i++) { /* the inputs of many sessions, all to one */
        char path[64];
        struct load_request r = request_step(i);
        snprintf(path, sizeof path, "/v1/sessions/compared/steps");
        const char *body = strstr(r.bytes, "\r\n\r\n") + 4;
        steps[i] = load_request(path, "application/json", body, strlen(body));
        free(r.bytes);
    }
    for (size_t p = 0; p < count; p++)
        for (size_t i = 0; i < CHECKED_STEPS; i++) {
            char *answer = load_once(peers[p].process.port, &steps[i]);
            const char *outputs = answer ? strstr(answer, "\"outputs\":[[") : NULL;
            if (!outputs) die("%s did not answer step %zu", peers[p].name, i);
            float y = strtof(outputs + strlen("\"outputs\":[["), NULL);
            if (p == 0) first[i] = y;
            if (!(fabsf(y - first[i]) <= 1e-5f))
                die("step %zu: %s answers %.9g, %s %.9g", i, peers[0].name, (double)first[i], peers[p].name, (double)y);
            free(answer);
        }
    for (size_t i = 0; i < CHECKED_STEPS; i++)
        free(steps[i].bytes);
}

/* Fork to first answer, and memory then; the last one started stays. False where it cannot be had. */
static bool measure_starts(struct peer *peer, const struct suite_files *f, struct case_list *list)
{
    double ms[CASE_ROUNDS], mib[CASE_ROUNDS];
    for (size_t round = 0; round < CASE_ROUNDS; round++) {
        if (round) process_stop(&peer->process);
        if (!peer->start(&peer->process, f)) return false;
        ms[round] = peer->process.start_ms;
        mib[round] = process_resident_mib(&peer->process);
    }
    struct server_case *c = case_add(list, "start", peer->name, &peer->process);
    memcpy(c->figures[START_MS], ms, sizeof ms);
    memcpy(c->figures[RESIDENT_MIB], mib, sizeof mib);
    return true;
}

void part_peers(const struct suite_files *f, struct case_list *list)
{
    static const size_t clients[] = {1, 8, 64};
    struct peer all[SERVERS] = {{"rnnd", start_ours, {0}},
                                {"ort_http", start_ort, {0}},
                                {"ort_batch", start_ort_batch, {0}},
                                {"node_ort", start_node, {0}}};
    static struct peer peers[SERVERS];
    struct load_request *json = requests_per_client(request_step, MOST_CLIENTS);
    size_t count = 0;
    for (size_t i = 0; i < SERVERS; i++) {
        peers[count] = all[i];
        count += measure_starts(&peers[count], f, list);
    }
    compare(peers, count);
    size_t from = list->count;
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < count; i++)
            case_closed(list, "step_peers", peers[i].name, &peers[i].process, json, false, clients[k]);
    for (size_t i = from; i < list->count; i++)
        list->cases[i].apart = list->cases[i].load.clients == 1;
    case_measure(list, from);
    case_print(list, 0);
    for (size_t i = 0; i < count; i++)
        process_stop(&peers[i].process);
    free_requests(json, MOST_CLIENTS);
}
