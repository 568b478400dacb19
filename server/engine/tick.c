/* tick.c -- one tick: what has come is taken in, rows are gathered and stepped together, outputs handed out. */
#include "server/engine/batch_private.h"
#include "server/engine/fail.h"
#include "server/engine/stats.h"

static struct job *take_first(struct job_list *list)
{
    struct job *j = list->first;
    if (!j) return NULL;
    list->first = j->next;
    if (!list->first) list->last = NULL;
    j->next = NULL;
    return j;
}

static void end_job(struct batch *b, struct job *j, rnnd_code code)
{
    j->code = code;
    if (code == RNND_OK) j->error = (rnnd_error){0};
    else if (j->error.code != code)
        engine_fail(&j->error, code, "", "%s failed: %s", j->type->name, rnnd_code_name(code));
    b->ended[b->ended_count++] = j;
}

static bool end_if_cancelled(struct batch *b, struct job *j)
{
    if (!atomic_load(&j->cancelled)) return false;
    stats_add(STAT_JOBS_CANCELLED, 1);
    engine_fail(&j->error, RNND_GONE, "", "%s was cancelled after %llu steps", j->type->name,
                (unsigned long long)j->steps_done);
    end_job(b, j, RNND_GONE);
    return true;
}

static void mark_started(struct job *j, double now)
{
    if (j->started > 0) return;
    j->started = now;
    stats_observe(STAT_QUEUE_WAIT_S, now - j->submitted);
}

static void note_progress(struct batch *b, struct job *j)
{
    if (!j->wants_progress) return;
    j->wants_progress = false;
    if (j->type->progress) b->noted[b->noted_count++] = j;
}

static void fail_row(struct batch *b, struct lane *lane, struct job *j, rnnd_step_row *row)
{
    rnnd_code code = row->code;
    if (code == RNND_NOT_FINITE) {
        engine_fail(&j->error, code, "", "the model %s computed a value that is not finite at step %llu of the request",
                    lane->model->name, (unsigned long long)j->steps_done);
    } else { /* the state is untouched: alone again, for the sentence about this row */
        code = rnnd_step(lane->ws, row, 1, &j->error);
        if (code == RNND_OK) code = RNND_INTERNAL;
    }
    end_job(b, j, code);
}

/* Steps the lane's first n gathered rows as one batch. */
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
    for (size_t i = 0; i < n; i++) some_failed |= lane->rows[i].code != RNND_OK;
    for (size_t i = 0; i < n; i++) {
        struct job *j = lane->jobs[i];
        rnnd_step_row *row = &lane->rows[i];
        if (row->code != RNND_OK) {
            fail_row(b, lane, j, row);
            continue;
        }
        if (code != RNND_OK && !some_failed) { /* about the batch, not about a row */
            j->error = why;
            end_job(b, j, code);
            continue;
        }
        j->steps_done++;
        rnnd_code mine = j->type->output(j, row->output, &j->error);
        note_progress(b, j);
        if (mine != RNND_OK) {
            end_job(b, j, mine);
        } else {
            jobs_append(&lane->ready, j);
            lane->ready_count++;
        }
    }
}

/* One step of every ready job of a model. */
static void tick_lane(struct batch *b, struct lane *lane)
{
    struct job_list list = lane->ready;
    struct job *j;
    double now = batch_seconds();
    size_t n = 0;

    lane->ready = (struct job_list){0};
    lane->ready_count = 0;
    while ((j = take_first(&list))) {
        float *input = lane->inputs + n * lane->input_width;
        if (end_if_cancelled(b, j)) continue;
        atomic_store(&j->woken, false); /* before asking: a wake from here on counts for the next answer */
        enum job_next next = j->type->input(j, input);
        if (next == JOB_FINISHED) {
            end_job(b, j, RNND_OK);
        } else if (next == JOB_WAIT) {
            jobs_append(&b->waiting, j);
            if (!atomic_load(&j->woken)) continue;
            pthread_mutex_lock(&b->lock);
            b->stirred = true;
            pthread_mutex_unlock(&b->lock);
        } else {
            mark_started(j, now);
            lane->jobs[n] = j;
            lane->rows[n] = (rnnd_step_row){.state = j->state, .input = input,
                                            .output = lane->outputs + n * lane->output_width, .code = RNND_OK};
            if (++n < LANE_ROWS) continue;
            step_rows(b, lane, n, now);
            n = 0;
            now = batch_seconds();
        }
    }
    if (n) step_rows(b, lane, n, now);
}

/* One slice of the work job whose turn it is; it then goes to the end of the line. */
static void tick_work(struct batch *b)
{
    struct job *j = take_first(&b->works);
    bool done = false;

    if (!j || end_if_cancelled(b, j)) return;
    mark_started(j, batch_seconds());
    rnnd_code code = j->type->work(j, j->lane->ws, &done, &j->error);
    note_progress(b, j);
    if (code != RNND_OK || done) end_job(b, j, code);
    else jobs_append(&b->works, j);
}

static void queue_event(struct batch *b, struct job *j)
{
    if (j->queued) return;
    j->queued = true;
    j->next_event = NULL;
    if (b->events_last) b->events_last->next_event = j;
    else b->events = j;
    b->events_last = j;
    b->event_count++;
}

void tick_run(struct batch *b)
{
    for (struct lane *lane = b->lanes_seen; lane; lane = lane->next)
        if (lane->ready.first) tick_lane(b, lane);
    tick_work(b);
}

void tick_publish(struct batch *b)
{
    for (size_t i = 0; i < b->noted_count; i++) {
        b->noted[i]->progress_due = true;
        queue_event(b, b->noted[i]);
    }
    for (size_t i = 0; i < b->ended_count; i++) {
        b->ended[i]->queued_done = true;
        queue_event(b, b->ended[i]);
    }
    b->live -= b->ended_count;
    b->noted_count = b->ended_count = 0;
}

static void make_ready(struct batch *b, struct job *j)
{
    if (j->type->input) {
        jobs_append(&j->lane->ready, j);
        j->lane->ready_count++;
    } else {
        jobs_append(&b->works, j);
    }
}

bool tick_gather(struct batch *b)
{
    struct job *j;

    b->lanes_seen = b->lanes;
    if (b->hold) {
        if (b->live < b->hold) return false;
        b->hold = 0;
    }
    while ((j = take_first(&b->incoming))) make_ready(b, j);
    if (b->stirred) {
        struct job_list waiting = b->waiting;
        b->stirred = false;
        b->waiting = (struct job_list){0};
        while ((j = take_first(&waiting))) {
            if (atomic_load(&j->woken) || atomic_load(&j->cancelled)) make_ready(b, j);
            else jobs_append(&b->waiting, j);
        }
    }
    if (b->works.first) return true;
    for (struct lane *lane = b->lanes_seen; lane; lane = lane->next)
        if (lane->ready.first) return true;
    return false;
}
