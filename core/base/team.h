/* team.h -- a few threads that share one piece of work after another, each far shorter than waking a thread takes.
 *
 * Members that have just worked look for the next piece for a moment before they sleep; whoever brings the work does
 * what nobody has begun, so that it is never slower for a member who sleeps. */
#ifndef RNND_BASE_TEAM_H
#define RNND_BASE_TEAM_H

#include <stddef.h>

#include "core/rnnd.h"

/* Shorter work than so many seconds is done sooner alone, in one piece: no member should hear of it. */
#define TEAM_SHORTEST 12e-6
#define TEAM_MOST ((size_t)16) /* threads of a team, the caller's included */

struct team;

/* threads: with the one that calls team_run(), 2 .. TEAM_MOST. NO_MEMORY where one cannot be started. */
rnnd_code team_open(size_t threads, struct team **out, rnnd_error *err);
void team_close(struct team *team); /* NULL is fine; not during team_run() */
size_t team_threads(const struct team *team);
/* work(context, i) once for every i below `pieces` (at most 32), on any members at a time, each beginning with its own:
 * member m of n with piece m * pieces / n, so that the same memory stays near the same processor. Returns when all are
 * done, and what they wrote is seen. `seconds`, about what all of it takes alone: short work does not wake those that
 * sleep unless it comes again and again. One caller at a time. */
void team_run(struct team *team, void (*work)(void *context, size_t piece), void *context, size_t pieces,
              double seconds);

#endif
