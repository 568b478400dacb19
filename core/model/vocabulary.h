/* vocabulary.h -- vocabularies of text models as others write them down. Inside core/model only.
 *
 * Recognised by content: a list of tokens; {token: id}; {"id": token}; Keras' tokenizer.to_json(), also where that text
 * was written as a JSON string; tokenizer.json of HuggingFace tokenizers with a BPE model. */
#ifndef RNND_VOCABULARY_H
#define RNND_VOCABULARY_H

#include "core/formats/json.h"
#include "core/model/config.h"

#define VOCABULARY_MAX (1 << 20) /* ids */

/* Symbols and how texts are prepared, all copied into the arena. */
rnnd_code vocabulary_read(const struct json *j, struct arena *arena, struct text_config *out, rnnd_error *err);
/* The same from the file out->vocabulary_file in the folder of the model at `model_path` (NULL: there is none): a plain
 * name, an ordinary file. Errors name it. */
rnnd_code vocabulary_load(const char *model_path, struct arena *arena, struct text_config *out, rnnd_error *err);
/* The JSON text of a file that has been loaded so, to stand in a configuration in its place; mem_free(*out). */
rnnd_code vocabulary_text(const char *model_path, const char *name, char **out, rnnd_error *err);

/* vocabulary_bpe.c: of a tokenizer.json. */
rnnd_code vocabulary_read_bpe(const struct json *j, struct arena *arena, struct text_config *out, rnnd_error *err);
rnnd_code vocabulary_map(const struct json *map, struct arena *arena, struct text_config *out, rnnd_error *err);
/* Room for ids below `count`, at most VOCABULARY_MAX. */
rnnd_code vocabulary_room(struct arena *arena, struct text_config *out, size_t count, rnnd_error *err);
/* Gives an id, for which there is room, its text; CORRUPT if it has another. */
rnnd_code vocabulary_put(struct arena *arena, struct text_config *out, const char *token, size_t id, rnnd_error *err);

#endif
