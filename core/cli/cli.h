/* cli.h -- what the commands share: options, messages, files, a progress line. Over core/rnnd.h alone. */
#ifndef RNND_CLI_H
#define RNND_CLI_H

#include <stdio.h>

#include "core/rnnd.h"

/* Exit codes. UNABLE: the model was found and cannot be opened or run here: damaged, unsupported, unconfirmed. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_UNABLE = 3 };

struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns an exit code */
};
extern const struct command command_inspect, command_run, command_generate, command_forecast, command_init,
    command_verify, command_convert;

/* ---- options --------------------------------------------------------------------------------------------------- */

/* value: bool, const char *, int64_t, double, struct cli_list (for options that may stand several times) */
enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_INTEGER, CLI_NUMBER, CLI_LIST };
enum { CLI_MOST_ITEMS = 32 };
struct cli_list { const char *items[CLI_MOST_ITEMS]; size_t count; };
struct cli_option { /* a table of them ends with name NULL */
    const char *name;     /* without the dashes */
    char letter;          /* of the short form, or 0 */
    enum cli_kind kind;
    void *value;          /* holds the default before */
    const char *argument; /* what it is called in the help, or NULL */
    const char *help;
};
struct cli_usage {
    const char *command, *arguments, *about, *example;
    const struct cli_option *options;
    int least, most;      /* positional arguments */
};
/* Reads options and, into positional[most], arguments; the rest of positional is NULL. True: go on. False: return
 * *exit_code (help was printed, or what is wrong was said on stderr). */
bool cli_parse(const struct cli_usage *usage, int argc, char **argv, const char **positional, int *exit_code);

/* ---- messages and files ---------------------------------------------------------------------------------------- */

/* Fills *err like the library does and returns code. */
rnnd_code cli_error(rnnd_error *err, rnnd_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "rnnd COMMAND: message" on stderr; returns CLI_FAILED. */
int cli_fail(const char *command, const rnnd_error *err);
/* The same where a model could not be opened or run; returns CLI_UNABLE where that is for its own sake. */
int cli_fail_model(const char *command, const rnnd_error *err);

/* The whole of a file ("-": standard input), owned by the caller, with a 0 behind it. TOO_LARGE above limit. */
rnnd_code cli_read_file(const char *path, size_t limit, char **data, size_t *bytes, rnnd_error *err);
/* What RNND_ISA says of the kernel row to compute with, or NULL: the best. */
const char *cli_kernel_row(void);
/* Opens a model by path, or by its name in the folder ./models, else among the installed ones. */
rnnd_code cli_open_model(const char *name, rnnd_model **out, rnnd_error *err);
/* The same with options, whose config is the file's at config_path (or NULL). */
rnnd_code cli_open_model_as(const char *name, const char *config_path, const rnnd_options *options, rnnd_model **out,
                            rnnd_error *err);
/* The file that cli_open_model() opens, into path[CLI_PATH_BYTES]. */
enum { CLI_PATH_BYTES = 4608 };
rnnd_code cli_find_model(const char *name, char *path, rnnd_error *err);
/* Whether a path ends in .npy or the like. */
bool cli_has_suffix(const char *path, const char *suffix);

/* ---- a line that tells how far long work is, on a terminal only ------------------------------------------------ */

struct progress {
    const char *label;
    uint64_t total;   /* 0 = not known */
    bool shown, terminal;
    int64_t started_ms, last_ms;
};
void progress_start(struct progress *p, const char *label, uint64_t total);
void progress_at(struct progress *p, uint64_t done); /* cheap: draws ten times a second, first after half a second */
void progress_end(struct progress *p);               /* wipes the line */

#endif
