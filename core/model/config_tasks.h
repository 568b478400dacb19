/* config_tasks.h -- the "text" and "series" parts of a configuration. Inside core/model only. */
#ifndef RNND_CONFIG_TASKS_H
#define RNND_CONFIG_TASKS_H

#include "core/formats/json.h"
#include "core/model/config.h"

/* Where the vocabulary is a file (vocabulary_file), config_end_text() comes once it is read; else it has been done. */
rnnd_code config_read_text(const struct json *j, struct arena *arena, struct text_config *out, rnnd_error *err);
rnnd_code config_end_text(const struct json *j, struct arena *arena, struct text_config *out, rnnd_error *err);
rnnd_code config_read_series(const struct json *j, struct arena *arena, struct series_config *out, rnnd_error *err);

#endif
