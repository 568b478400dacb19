/* load_private.h -- one kept connection of the load generator, as load.c and load_streams.c share it. */
#ifndef TESTS_BENCH_LOAD_PRIVATE_H
#define TESTS_BENCH_LOAD_PRIVATE_H

#include "tests/bench/load.h"

#define LOAD_BUFFER 65536

struct connection {
    int fd;
    struct connection *next_idle;
    double due_us;    /* latency counts from here */
    size_t got, left; /* bytes in the buffer; bytes of the body still to come */
    bool in_body;
    char buffer[LOAD_BUFFER]; /* the head, with as much of the body as came along */
};

struct connection *load_connect(uint16_t port, size_t clients); /* [clients] */
int load_watch(struct connection *all, size_t clients);         /* an epoll on all of them */
void load_hang_up(struct connection *all, size_t clients, int poll);
/* Gives the request its next session numbers and sends it as a whole. */
void load_send(struct connection *c, const struct load_request *r);
/* Reads once; false where the connection ended. */
bool load_receive(struct connection *c);
bool load_accepted(const struct connection *c); /* a 2xx */

#endif
