/* tasks.h -- what the files of the tasks suite share. */
#ifndef TESTS_BENCH_TASKS_H
#define TESTS_BENCH_TASKS_H

#include "tests/bench/bench.h"

/* A line of the table and of the CSV file; the figure's name ends in its unit. */
void task_figure(const char *task, const char *model, const char *figure, double value);
/* tasks_serving.c: a server's time to the first answer, and what sessions take. */
void serving(void);

#endif
