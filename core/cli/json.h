/* json.h -- the little JSON the commands read by themselves: nested lists (array.h) and the members of one object. */
#ifndef RNND_CLI_JSON_H
#define RNND_CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* A place in a text. */
struct json_text { const char *at, *end; };

/* Steps over blanks and then one whole value, or, of strings, gives the bytes between the quotes as they stand.
 * False: there is none. Depth is bounded. */
bool json_skip(struct json_text *t);
bool json_raw_string(struct json_text *t, struct json_text *inside);
/* Steps over blanks and then this character; false if something else stands there. */
bool json_take(struct json_text *t, char c);

/* The next member of an object: *t begins behind its `{`. False at the end, or where the text is no object. */
bool json_member(struct json_text *t, struct json_text *key, struct json_text *value);
/* The value of a member of the object in `text`, its quotes or braces included; at NULL if there is none. */
struct json_text json_find(struct json_text text, const char *key);
bool json_key_is(struct json_text key, const char *name);

#endif
