/* confirm.h -- models that rest on guesses: refused until somebody has confirmed them, or served with each guess named.
 */
#ifndef SERVER_CONFIRM_H
#define SERVER_CONFIRM_H

#include "server/api/app.h"

/* CONFLICT, with the first guess and what to do about it, where the model is unconfirmed: nothing is computed then. */
rnnd_code confirm_check(const struct model *m, rnnd_error *err);
/* The same for a whole request: false after answering 409 "model_unconfirmed" with the side file to write. */
bool confirm_request(struct http_request *r, const struct model *m);
/* The error object {"message",..,"code":"model_unconfirmed","assumptions","side_file"} that confirm_check() means. */
void confirm_put_error(struct json_out *o, const struct model *m, const char *message);
/* "assumptions" and "side_file" as members of an open object; side_file is null where there is none. */
void confirm_put_facts(struct json_out *o, const struct model *m);
/* Of a reply that was computed: "assumed":[..] as a member of the open object, or a header with their number; nothing
 * where nothing was guessed. */
void confirm_put_assumed(struct json_out *o, const struct model *m);
void confirm_add_header(struct http_request *r, const struct model *m);

#endif
