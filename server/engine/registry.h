/* registry.h -- the models that are open: by name, listed, held while used. Loop thread only, after start. */
#ifndef SERVER_REGISTRY_H
#define SERVER_REGISTRY_H

#include "core/rnnd.h"

struct registry;

struct model { /* one entry; fields are read-only for others */
    const char *name, *path;
    rnnd_model *handle;          /* NULL where loading failed */
    const rnnd_info *info;       /* NULL likewise */
    const char *version;         /* first 12 hex digits of the digest; "+fast" behind them with the kernel row "fast" */
    char failure[512];           /* the sentence, or "" */
    double load_seconds;
    int64_t loaded_unix;
    size_t sessions;             /* counted by sessions.c */
};

struct registry *registry_start(void);
void registry_stop(struct registry *r);
/* How models added from now on are opened; its strings are borrowed. */
void registry_open_as(struct registry *r, const rnnd_options *options);
/* A loaded model turned out not to run here: from now on it counts as failed, for this reason. */
void registry_fail(struct model *m, const char *sentence);
/* source: "NAME=FILE", FILE or DIR (not searched below). Files that fail are listed as failed, but for a folder's .json
 * files, most of which are no models; the sentence goes to err only where the source itself is unusable (no such file
 * or folder, a name given twice). Equal stems get their extension. "stats" is a reserved name. */
rnnd_code registry_add(struct registry *r, const char *source, rnnd_error *err);
size_t registry_list(const struct registry *r, struct model *const **models); /* sorted by name */
struct model *registry_find(const struct registry *r, const char *name); /* NULL if unknown (failed ones are found) */
/* The model a request means: by name, or (name NULL) the only loaded one of that task; task < 0: of any.
 * NOT_FOUND / INVALID (naming the candidates) / BUSY (failed to load: its sentence). */
rnnd_code registry_choose(const struct registry *r, const char *name, int task, struct model **out, rnnd_error *err);

#endif
