/* tasks.h -- all tasks. */
#ifndef RNND_TASKS_H
#define RNND_TASKS_H

#include "core/model/model.h"

extern const struct task task_raw, task_text, task_series;
extern const struct task *const tasks_all[]; /* NULL at the end */

#endif
