/* healthcheck.c -- one GET /livez over a plain socket; no HTTP library, so that it starts and ends in a millisecond. */
#include "server/healthcheck.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 2

static void be_patient(int fd)
{
    struct timeval patience = {PATIENCE_S, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    be_patient(fd);
    if (!connect(fd, (struct sockaddr *)&address, sizeof address)) return fd;
    close(fd);
    return -1;
}

static int connect_tcp(const char *host, uint16_t port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char service[8];
    int fd = -1;

    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &found)) return -1;
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0) continue;
        be_patient(fd);
        if (!connect(fd, a->ai_addr, a->ai_addrlen)) break;
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

int healthcheck(const struct config *config, char *message, size_t message_bytes)
{
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    const char *host = config->host;
    char reply[64];
    size_t got = 0;
    ssize_t n;

    if (!strcmp(host, "0.0.0.0")) host = "127.0.0.1"; /* listening everywhere includes here */
    if (!strcmp(host, "::")) host = "::1";
    int fd = !strncmp(host, "unix:", 5) ? connect_unix(host + 5) : connect_tcp(host, config->port);
    if (fd < 0) {
        snprintf(message, message_bytes, "nobody answers at %s: %s", config->listen, strerror(errno));
        return 1;
    }
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)sizeof request - 1)
        while (got < sizeof reply - 1 && (n = recv(fd, reply + got, sizeof reply - 1 - got, 0)) > 0) got += (size_t)n;
    close(fd);
    reply[got] = '\0';
    if (!strncmp(reply, "HTTP/1.1 200 ", 13)) return 0;
    snprintf(message, message_bytes, "/livez at %s wants 200, found '%.*s'", config->listen,
             (int)strcspn(reply, "\r\n"), reply);
    return 1;
}
