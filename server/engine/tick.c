/* tick.c -- one tick: what has come is taken in, rows are gathered and stepped together, outputs handed out. */
#include <string.h>

#include "server/engine/batch_private.h"
#include "server/engine/fail.h"
#include "server/engine/stats.h"

/* ---- how jobs end ------------------------------------------------------------------------------------------------ */

static void set_result(struct job *j, rnnd_code code)
{
    j->code = code;
    if (code == RNND_OK) j->error = (rnnd_error){0};
    else if (j->error.code != code)
        engine_fail(&j->error, code, "", "%s failed: %s", j->type->name, rnnd_code_name(code));
}

static void end_job(struct lane *lane, struct job *j, rnnd_code code)
{
    set_result(j, code);
    jobs_append(&lane->ended, j);
}

static bool cancelled(struct job *j)
{
    if (!atomic_load(&j->cancelled)) return false;
    stats_add(STAT_JOBS_CANCELLED, 1);
    engine_fail(&j->error, RNND_GONE, "", "%s was cancelled after %llu steps", j->type->name,
                (unsigned long long)j->steps_done);
    return true;
}

static void mark_started(struct job *j, double now)
{
    if (j->started > 0) return;
    j->started = now;
    stats_observe(STAT_QUEUE_WAIT_S, now - j->submitted);
}

/* ---- rows in ----------------------------------------------------------------------------------------------------- */

static void wait_for_wake(struct batch *b, struct lane *lane, struct job *j)
{
    jobs_append(&lane->waiting, j);
    if (!atomic_load(&j->woken)) return;
    pthread_mutex_lock(&b->lock);
    lane->stirred = true;
    pthread_mutex_unlock(&b->lock);
}

/* The job's next row becomes row n of the lane; false where it has none, and is put where it belongs. */
static bool load(struct batch *b, struct lane *lane, struct job *j, size_t n)
{
    float *input = lane->inputs + n * lane->input_width;
    atomic_store(&j->woken, false); /* before asking: a wake from here on counts for the next answer */
    enum job_next next = j->type->input(j, input);
    if (next == JOB_READY) {
        lane->jobs[n] = j;
        lane->rows[n] = (rnnd_step_row){.state = j->state, .input = input,
                                        .output = lane->outputs + n * lane->output_width, .code = RNND_OK};
        return true;
    }
    if (next == JOB_FINISHED) end_job(lane, j, RNND_OK);
    else wait_for_wake(b, lane, j);
    return false;
}

/* Of the rows given after the last step, those that are still wanted. */
static size_t keep_loaded(struct lane *lane)
{
    size_t n = 0;
    for (size_t i = 0; i < lane->loaded; i++) {
        struct job *j = lane->jobs[i];
        if (cancelled(j)) {
            end_job(lane, j, RNND_GONE);
            continue;
        }
        if (n < i) {
            float *input = lane->inputs + n * lane->input_width;
            memcpy(input, lane->rows[i].input, lane->input_width * sizeof *input);
            lane->jobs[n] = j;
            lane->rows[n].state = j->state;
            lane->rows[n].input = input;
            lane->rows[n].output = lane->outputs + n * lane->output_width;
        }
        n++;
    }
    lane->loaded = 0;
    return n;
}

/* ---- rows out ---------------------------------------------------------------------------------------------------- */

static void note_progress(struct lane *lane, struct job *j)
{
    if (!j->wants_progress) return;
    j->wants_progress = false;
    if (j->type->progress) lane->noted[lane->noted_count++] = j;
}

static void fail_row(struct lane *lane, struct job *j, rnnd_step_row *row)
{
    rnnd_code code = row->code;
    if (code == RNND_NOT_FINITE) {
        engine_fail(&j->error, code, "", "the model %s computed a value that is not finite at step %llu of the request",
                    lane->model->name, (unsigned long long)j->steps_done);
    } else { /* the state is untouched: alone again, for the sentence about this row */
        code = rnnd_step(lane->ws, row, 1, &j->error);
        if (code == RNND_OK) code = RNND_INTERNAL;
    }
    end_job(lane, j, code);
}

/* A stepped job's output; it then gives its next row at once, so that a last step ends its job in the same tick. Its
 * place, `loaded`, is before or at its own, whose input is used up. Where others stand in line it goes behind them. */
static void unload(struct batch *b, struct lane *lane, struct job *j, const float *output)
{
    j->steps_done++;
    rnnd_code code = j->type->output(j, output, &j->error);
    note_progress(lane, j);
    if (code != RNND_OK) {
        end_job(lane, j, code);
    } else if (lane->ready.first) {
        jobs_append(&lane->ready, j);
        lane->ready_count++;
    } else if (load(b, lane, j, lane->loaded)) {
        lane->loaded++;
    }
}

/* Steps the lane's first n rows as one batch. */
static void step_rows(struct batch *b, struct lane *lane, size_t n, double begin)
{
    rnnd_error why = {0};
    bool some_failed = false;
    rnnd_code code = rnnd_step(lane->ws, lane->rows, n, &why);
    double measured = (batch_seconds() - begin) / (double)n;

    if (measured > 4 * lane->row_seconds) measured = 4 * lane->row_seconds; /* the thread was put aside meanwhile */
    lane->row_seconds += 0.1 * (measured - lane->row_seconds);
    stats_add(STAT_STEPS, n);
    stats_add(STAT_STEP_BATCHES, 1);
    stats_observe(STAT_BATCH_ROWS, (double)n);
    for (size_t i = 0; code != RNND_OK && i < n; i++) some_failed |= lane->rows[i].code != RNND_OK;
    for (size_t i = 0; i < n; i++) {
        struct job *j = lane->jobs[i];
        if (lane->rows[i].code != RNND_OK) {
            fail_row(lane, j, &lane->rows[i]);
        } else if (code != RNND_OK && !some_failed) { /* about the batch, not about a row */
            j->error = why;
            end_job(lane, j, code);
        } else {
            unload(b, lane, j, lane->rows[i].output);
        }
    }
}

void tick_run(struct batch *b, struct lane *lane)
{
    double now = batch_seconds();
    size_t n = keep_loaded(lane);
    struct job *j;

    while (n < LANE_ROWS && (j = jobs_take_first(&lane->ready))) {
        lane->ready_count--;
        if (cancelled(j)) {
            end_job(lane, j, RNND_GONE);
        } else if (load(b, lane, j, n)) {
            mark_started(j, now);
            n++;
        }
    }
    if (n) step_rows(b, lane, n, now);
}

/* ---- work -------------------------------------------------------------------------------------------------------- */

void tick_take_work(struct batch *b, struct work *w)
{
    struct job_list others = b->works, rest = {0};
    struct job *first = jobs_take_first(&others), *j;
    const struct job_kin *kin = first ? first->kin : NULL;
    size_t most = kin && !first->alone ? kin->most(first) : 1;

    w->count = 0;
    if (!first) return;
    w->jobs[w->count++] = first;
    while (w->count < most && (j = jobs_take_first(&others))) {
        if (j->kin == kin && j->lane == first->lane && !j->alone && kin->alike(first, j)) w->jobs[w->count++] = j;
        else jobs_append(&rest, j);
    }
    jobs_append_all(&rest, &others);
    b->works = rest;
}

static bool work_alone(struct job *j, rnnd_workspace *ws)
{
    bool done = false;
    rnnd_code code;

    if (cancelled(j)) {
        set_result(j, RNND_GONE);
        return true;
    }
    mark_started(j, batch_seconds());
    if (!ws) {
        set_result(j, j->error.code == RNND_OK ? RNND_NO_MEMORY : j->error.code);
        return true;
    }
    code = j->type->work(j, ws, &done, &j->error);
    if (code == RNND_OK && !done) return false;
    set_result(j, code);
    return true;
}

/* False where one has to be done alone, or was cancelled. */
static bool work_together(struct work *w, rnnd_workspace *ws)
{
    double now = batch_seconds();

    for (size_t i = 0; i < w->count; i++)
        if (atomic_load(&w->jobs[i]->cancelled)) return false;
    for (size_t i = 0; i < w->count; i++) mark_started(w->jobs[i], now);
    if (w->jobs[0]->kin->together(w->jobs, w->count, ws) == RNND_OK) return true;
    for (size_t i = 0; i < w->count; i++) w->jobs[i]->alone = true;
    return false;
}

void tick_work(struct work *w, rnnd_workspace *ws)
{
    bool together = ws && w->count > 1 && work_together(w, ws);
    for (size_t i = 0; i < w->count; i++) {
        w->ended[i] = together;
        if (together) set_result(w->jobs[i], RNND_OK);
    }
    if (!together) w->ended[0] = work_alone(w->jobs[0], ws);
}

/* ---- what others see, under the lock ----------------------------------------------------------------------------- */

static void queue_event(struct batch *b, struct job *j)
{
    if (j->queued) return;
    j->queued = true;
    j->next_event = NULL;
    if (b->events_last) b->events_last->next_event = j;
    else b->events = j;
    b->events_last = j;
}

static void queue_end(struct batch *b, struct job *j)
{
    j->queued_done = true;
    queue_event(b, j);
    b->live--;
}

void tick_publish(struct batch *b, struct lane *lane)
{
    struct job *j;
    for (size_t i = 0; i < lane->noted_count; i++) {
        lane->noted[i]->progress_due = true;
        queue_event(b, lane->noted[i]);
    }
    while ((j = jobs_take_first(&lane->ended))) queue_end(b, j);
    lane->noted_count = 0;
}

void tick_publish_work(struct batch *b, struct work *w)
{
    for (size_t i = 0; i < w->count; i++) {
        struct job *j = w->jobs[i];
        if (j->wants_progress && j->type->progress) {
            j->progress_due = true;
            queue_event(b, j);
        }
        j->wants_progress = false;
        if (w->ended[i]) queue_end(b, j);
        else jobs_append(&b->works, j);
    }
}

bool tick_due(const struct lane *lane)
{
    return lane->incoming.first || lane->ready.first || lane->loaded || lane->stirred;
}

void tick_gather(struct lane *lane)
{
    struct job *j;

    jobs_append_all(&lane->ready, &lane->incoming);
    lane->ready_count += lane->incoming_count;
    lane->incoming_count = 0;
    if (!lane->stirred) return;
    lane->stirred = false;
    struct job_list waiting = lane->waiting;
    lane->waiting = (struct job_list){0};
    while ((j = jobs_take_first(&waiting))) {
        if (atomic_load(&j->woken) || atomic_load(&j->cancelled)) {
            jobs_append(&lane->ready, j);
            lane->ready_count++;
        } else {
            jobs_append(&lane->waiting, j);
        }
    }
}
