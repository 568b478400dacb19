/* socket.h -- HTTP as bytes on a socket, for what no client library would send. */
#ifndef TESTS_SOCKET_H
#define TESTS_SOCKET_H

#include <stdint.h>

/* Connects to 127.0.0.1; reads and writes give up after 20 s. All of these fail the test where they cannot. */
int socket_dial(uint16_t port);
void socket_say(int fd, const char *text);
/* Reads until `until` has come, or (NULL) the end; what was read, terminated, valid until the next call. */
char *socket_hear(int fd, const char *until);

#endif
