/* tasks_serving.c -- of the tasks suite: from starting rnnd to its first answer, and the memory that sessions take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/server.h"
#include "tests/bench/tasks.h"

#define STARTS 5
#define SESSIONS 100000

static double bytes_per_session(const struct process *p, double before_mib)
{
    return (process_resident_mib(p) - before_mib) * 1048576 / SESSIONS;
}

/* With one and with three requests each: a session keeps the states before its last ones. */
static void sessions(const struct suite_files *f)
{
    static const char *const more[] = {"--session-memory", "8GiB", NULL};
    struct process p;
    struct load_ids ids;
    rnnd_model *m = open_path(f->lstm);
    task_figure("sessions", "lstm_256", "state_bytes", (double)rnnd_model_info(m)->state_bytes);
    rnnd_model_close(m);
    start_rnnd(&p, f, more);
    double before = process_resident_mib(&p);
    load_shuffle(&ids, SESSIONS);
    create_sessions(&p, &ids);
    task_figure("sessions", "lstm_256", "resident_bytes_each_1_request", bytes_per_session(&p, before));
    create_sessions(&p, &ids);
    create_sessions(&p, &ids);
    task_figure("sessions", "lstm_256", "resident_bytes_each_3_requests", bytes_per_session(&p, before));
    process_stop(&p);
    free(ids.order);
}

static void start(const struct suite_files *f, const char *name, const char *path, struct load_request first)
{
    double ms[STARTS], mib[STARTS];
    char model[300];
    snprintf(model, sizeof model, "%s=%s", name, path);
    const char *const args[] = {f->rnnd, "serve", "--listen", "127.0.0.1:%", "--log-format", "off", model, NULL};
    for (size_t i = 0; path[0] && i < STARTS; i++) {
        struct process p;
        if (!process_start(&p, args, &first)) die("%s does not start with %s", f->rnnd, path);
        ms[i] = p.start_ms;
        mib[i] = process_resident_mib(&p);
        process_stop(&p);
    }
    free(first.bytes);
    if (!path[0]) return;
    task_figure("start", name, "to_first_answer_ms", median(ms, STARTS));
    task_figure("start", name, "resident_mib", median(mib, STARTS));
}

void serving(void)
{
    static const char text[] = "{\"model\":\"text\",\"prompt\":\"a\",\"max_tokens\":1}";
    struct suite_files f;
    if (!files_make(&f)) return;
    start(&f, "lstm", f.lstm, request_step(0));
    start(&f, "text", f.text, load_request("/v1/completions", "application/json", text, strlen(text)));
    start(&f, "series", f.series, request_forecast(672));
    sessions(&f);
    files_remove(&f);
}
