/* team.c -- the threads of team.h.
 *
 * One word says what there is to do: the number of the job in its upper half, a bit for each piece not yet begun in the
 * lower. A member takes a piece by clearing its bit, and can only do so in the job whose number it saw: a late one
 * finds another number or no bit, and nothing else is read before a piece is taken. The next job is not published
 * before all pieces of this one are done. */
#include "core/base/team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "core/base/error.h"
#include "core/base/mem.h"

/* A member looks for work for so many turns, some tens of microseconds, before it sleeps: about what waking it would
 * take. */
#define IDLE_TURNS 1000
/* A caller waits so for the last piece, then lets others have the processor: its member may have been put aside. */
#define WAIT_TURNS 2000
/* Work that takes longer wakes those that sleep; and shorter work that followed at once, so many seconds of it. */
#define LONG_SECONDS 100e-6
#define PAUSE_SECONDS 20e-6
#define STREAK_SECONDS 300e-6

struct member {
    struct team *team;
    size_t number;
    pthread_t thread;
};

struct team {
    _Alignas(64) _Atomic uint64_t job; /* number << 32 | pieces not begun */
    _Alignas(64) atomic_size_t left;   /* pieces not done */
    _Alignas(64) atomic_size_t asleep;
    atomic_bool stopping;
    void (*work)(void *context, size_t piece);
    void *context;
    atomic_size_t pieces;
    size_t threads, started;
    double last_end, streak; /* seconds: of the last job, and of those that followed each other at once */
    pthread_mutex_t lock;    /* sleeping and waking alone */
    pthread_cond_t called;
    struct member members[];
};

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void rest(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Does the pieces of the job there is, from the member's own one on, until none is left to begin; false if there was
 * none. */
static bool take_pieces(struct team *team, size_t member)
{
    uint64_t job = atomic_load(&team->job);
    bool some = false;
    while ((uint32_t)job != 0) {
        /* a late member may see another job's number of pieces, and then only prefers another */
        size_t first = member * atomic_load_explicit(&team->pieces, memory_order_relaxed) / team->threads;
        uint32_t open = (uint32_t)job, own = open >> first << first;
        int piece = __builtin_ctz(own ? own : open);
        if (!atomic_compare_exchange_weak(&team->job, &job, job & ~((uint64_t)1 << piece))) continue;
        team->work(team->context, (size_t)piece);
        atomic_fetch_sub(&team->left, 1);
        some = true;
        job = atomic_load(&team->job);
    }
    return some;
}

static void sleep_until_called(struct team *team)
{
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->asleep, 1);
    while ((uint32_t)atomic_load(&team->job) == 0 && !atomic_load(&team->stopping))
        pthread_cond_wait(&team->called, &team->lock);
    atomic_fetch_sub(&team->asleep, 1);
    pthread_mutex_unlock(&team->lock);
}

static void *serve(void *context)
{
    struct member *m = context;
    size_t idle = 0;
    while (!atomic_load(&m->team->stopping)) {
        if (take_pieces(m->team, m->number))
            idle = 0;
        else if (++idle < IDLE_TURNS)
            rest();
        else
            sleep_until_called(m->team), idle = 0;
    }
    return NULL;
}

static void call_all(struct team *team)
{
    pthread_mutex_lock(&team->lock);
    pthread_cond_broadcast(&team->called);
    pthread_mutex_unlock(&team->lock);
}

rnnd_code team_open(size_t threads, struct team **out, rnnd_error *err)
{
    sigset_t all, before;
    *out = NULL;
    if (threads < 2 || threads > TEAM_MOST)
        return fail_at(err, RNND_INVALID, "threads", "threads must be 1 to %zu, found %zu", TEAM_MOST, threads);
    struct team *team = mem_aligned(sizeof *team + (threads - 1) * sizeof team->members[0]);
    if (!team) return fail_memory(err, sizeof *team);
    team->threads = threads;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->called, NULL);
    sigfillset(&all); /* signals are for the threads of the program */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int failed = 0; team->started < threads - 1 && !failed; team->started += !failed) {
        struct member *m = &team->members[team->started];
        *m = (struct member){.team = team, .number = team->started + 1};
        failed = pthread_create(&m->thread, NULL, serve, m);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (team->started < threads - 1) {
        team_close(team);
        return fail(err, RNND_NO_MEMORY, "%zu threads could not be started", threads - 1);
    }
    *out = team;
    return RNND_OK;
}

void team_close(struct team *team)
{
    if (!team) return;
    atomic_store(&team->stopping, true);
    call_all(team);
    for (size_t i = 0; i < team->started; i++)
        pthread_join(team->members[i].thread, NULL);
    pthread_cond_destroy(&team->called);
    pthread_mutex_destroy(&team->lock);
    mem_free(team);
}

size_t team_threads(const struct team *team)
{
    return team->threads;
}

/* Whether waking those that sleep is worth it. */
static bool worth_a_call(struct team *team, double now, double seconds)
{
    team->streak = now - team->last_end < PAUSE_SECONDS ? team->streak + seconds : 0;
    return seconds > LONG_SECONDS || team->streak > STREAK_SECONDS;
}

void team_run(struct team *team, void (*work)(void *context, size_t piece), void *context, size_t pieces,
              double seconds)
{
    bool call = worth_a_call(team, seconds_now(), seconds);
    if (!call && atomic_load(&team->asleep) == team->threads - 1) {
        for (size_t i = 0; i < pieces; i++)
            work(context, i);
    } else {
        uint64_t number = (atomic_load(&team->job) >> 32) + 1;
        team->work = work;
        team->context = context;
        atomic_store_explicit(&team->pieces, pieces, memory_order_relaxed);
        atomic_store(&team->left, pieces);
        atomic_store(&team->job, number << 32 | (((uint64_t)1 << pieces) - 1));
        if (call && atomic_load(&team->asleep)) call_all(team);
        take_pieces(team, 0);
        for (size_t turns = 0; atomic_load(&team->left); turns++)
            if (turns < WAIT_TURNS)
                rest();
            else
                sched_yield();
    }
    team->last_end = seconds_now();
}
