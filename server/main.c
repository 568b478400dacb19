/* main.c -- the program: one table of commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/cli.h"
#include "server/serve.h"

static const struct command command_serve = {"serve", "answer HTTP: sessions, windows, forecasts, text, a page",
                                             serve_command};

static const struct command *const commands[] = {&command_serve, &command_inspect, &command_run, &command_generate,
                                                 &command_forecast, &command_init, &command_verify, &command_convert};
#define COMMANDS (sizeof commands / sizeof *commands)

static void print_help(FILE *to)
{
    fprintf(to, "rnnd %s -- the daemon for recurrent networks\n\nUsage: rnnd COMMAND [...]\n\n", rnnd_version());
    for (size_t i = 0; i < COMMANDS; i++) fprintf(to, "  rnnd %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(to,
            "  rnnd --version  version and kernels\n\n"
            "RNND_ISA=ROW in the environment makes every command compute with that kernel row, one of: %s.\n"
            "The answers are the same.\n\n`rnnd COMMAND --help` tells more. To begin: rnnd serve\n",
            rnnd_kernel_rows());
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help", *row = cli_kernel_row();
    rnnd_error err;

    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_help(stdout);
        return 0;
    }
    if (!strcmp(name, "--version") || !strcmp(name, "version")) {
        printf("rnnd %s (kernels %s)\nkernel rows of this machine: %s\n", rnnd_version(), row ? row : rnnd_kernel_row(),
               rnnd_kernel_rows());
        return 0;
    }
    if (row && rnnd_kernel_row_check(row, &err) != RNND_OK) {
        fprintf(stderr, "rnnd: RNND_ISA: %s\n", err.message);
        return 2;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i]->run(argc - 1, argv + 1);
    fprintf(stderr, "rnnd: there is no command '%s'\n\n", name);
    print_help(stderr);
    return 2;
}
