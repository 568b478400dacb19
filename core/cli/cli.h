/* cli.h -- a command of the program: a name, a line for the help, a function. */
#ifndef RNND_CLI_H
#define RNND_CLI_H

#include "core/rnnd.h"

struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; the process's exit status */
};

extern const struct command command_inspect, command_run, command_generate, command_forecast;

#endif
