/* serve.h -- `rnnd serve`: the parts of the server wired together, from start to drained end. */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

int serve_command(int argc, char **argv); /* the process's exit status */

#endif
