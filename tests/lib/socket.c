/* socket.c -- HTTP as bytes on a socket, for what no client library would send. */
#include "tests/lib/socket.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cmocka.h>

int socket_dial(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

void socket_say(int fd, const char *text)
{
    size_t n = strlen(text);

    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

char *socket_hear(int fd, const char *until)
{
    static char text[70000];
    size_t at = 0;
    ssize_t n;

    text[0] = 0;
    while (at < sizeof text - 1 && !(until && strstr(text, until)) &&
           (n = recv(fd, text + at, sizeof text - 1 - at, 0)) > 0) {
        at += (size_t)n;
        text[at] = 0;
    }
    return text;
}
