/* tasks.c -- the table of tasks, and opening models with all of them. */
#include "core/tasks/tasks.h"

const struct task *const tasks_all[] = {&task_raw, &task_text, &task_series, NULL};

rnnd_code rnnd_model_open(const char *path, const rnnd_options *options, rnnd_model **out, rnnd_error *err)
{
    return model_open_file(path, options, tasks_all, out, err);
}

rnnd_code rnnd_model_open_memory(const void *data, size_t bytes, const char *name, const rnnd_options *options,
                                 rnnd_model **out, rnnd_error *err)
{
    return model_open_memory(data, bytes, name, options, tasks_all, out, err);
}
