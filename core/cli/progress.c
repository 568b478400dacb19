/* progress.c -- a line on stderr that tells how far long work is. */
#include <time.h>
#include <unistd.h>

#include "core/cli/cli.h"

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_start(struct progress *p, const char *label, uint64_t total)
{
    int64_t now = now_ms();
    *p = (struct progress){label, total, false, isatty(STDERR_FILENO) == 1, now, now + 400};
}

void progress_at(struct progress *p, uint64_t done)
{
    if (!p->terminal)
        return;
    int64_t now = now_ms();
    if (now - p->last_ms < 100)
        return;
    p->last_ms = now;
    p->shown = true;
    double rate = now > p->started_ms ? (double)done * 1000 / (double)(now - p->started_ms) : 0;
    if (p->total > 0) {
        int cells = done < p->total ? (int)((double)done / (double)p->total * 30) : 30;
        fprintf(stderr, "\r%s [%.*s%*s] %3.0f %%  %.0f/s ", p->label, cells, "##############################",
                30 - cells, "", 100.0 * (double)done / (double)p->total, rate);
    } else {
        fprintf(stderr, "\r%s %llu  %.0f/s ", p->label, (unsigned long long)done, rate);
    }
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r%79s\r", "");
    p->shown = false;
}
