/* test_team.c -- every piece once, whoever does it, job after job. */
#include "core/base/team.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <time.h>

#include <cmocka.h>

#include "core/base/mem.h"

struct job {
    size_t pieces;
    int done[32]; /* plain: what a member wrote must be seen */
    int most;     /* of turns that a piece takes */
};

static void work(void *context, size_t piece)
{
    struct job *j = context;
    for (volatile int i = 0; i < j->most * (int)(piece % 3); i++) {
    }
    j->done[piece]++;
}

static void run_jobs(size_t threads, int jobs, double seconds, bool pauses)
{
    struct team *team;
    rnnd_error err;
    assert_int_equal(team_open(threads, &team, &err), RNND_OK);
    assert_int_equal(team_threads(team), threads);
    for (int i = 0; i < jobs; i++) {
        struct job j = {.pieces = 1 + (size_t)i % 32, .most = i % 5 * 100};
        team_run(team, work, &j, j.pieces, seconds);
        for (size_t p = 0; p < 32; p++)
            assert_int_equal(j.done[p], p < j.pieces);
        if (pauses && i % 50 == 0) nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL); /* they fall asleep */
    }
    team_close(team);
}

static void every_piece_once(void **unused)
{
    (void)unused;
    for (size_t threads = 2; threads <= 5; threads++) {
        run_jobs(threads, 2000, 1e-6, false); /* too short to be shared */
        run_jobs(threads, 2000, 1e-5, true);  /* shared once they are awake */
        run_jobs(threads, 2000, 1, true);     /* wakes them */
    }
}

static void bad_sizes(void **unused)
{
    (void)unused;
    struct team *team = (struct team *)&unused;
    rnnd_error err;
    assert_int_equal(team_open(1, &team, &err), RNND_INVALID);
    assert_null(team);
    assert_int_equal(team_open(TEAM_MOST + 1, &team, &err), RNND_INVALID);
    assert_string_equal(err.param, "threads");
    mem_fail_at(1);
    assert_int_equal(team_open(2, &team, &err), RNND_NO_MEMORY);
    mem_fail_at(0);
    team_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_piece_once), cmocka_unit_test(bad_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
