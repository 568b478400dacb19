/* test_allocations.c -- a step request like the one before it allocates nothing: each malloc of the process is counted.
 *
 * The server runs in a thread of this program, whose own malloc and relatives stand before the C library's. Those that
 * libmicrohttpd calls (a response and its headers) are told apart by the address they return to, and only printed.
 * Skipped where a sanitizer has its own malloc. */
#include <errno.h>
#include <link.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/serve.h"
#include "tests/lib/socket.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

static void counting_needs_the_plain_malloc(void **unused)
{
    (void)unused;
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counting_needs_the_plain_malloc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

enum { WARM_UP = 30, COUNTED = 100, MODEL_INPUTS = 3 /* of models/tiny/lstm */ };

/* ---- malloc and its relatives ------------------------------------------------------------------------------------ */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *p, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

static _Thread_local bool is_test;        /* the thread of the tests themselves */
static atomic_bool counting;
static atomic_size_t ours, of_microhttpd;
static uintptr_t microhttpd_begin, microhttpd_end, first_of_ours;

static int find_microhttpd(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    if (!strstr(info->dlpi_name, "libmicrohttpd")) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X)) continue;
        microhttpd_begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        microhttpd_end = microhttpd_begin + info->dlpi_phdr[i].p_memsz;
    }
    return 1;
}

static void count(void *caller)
{
    uintptr_t at = (uintptr_t)caller;

    if (is_test || !atomic_load_explicit(&counting, memory_order_relaxed)) return;
    if (at >= microhttpd_begin && at < microhttpd_end) atomic_fetch_add(&of_microhttpd, 1);
    else if (atomic_fetch_add(&ours, 1) == 0) first_of_ours = at;
}

#define FOR_ALL __attribute__((visibility("default"))) /* the libraries' calls come here too */

FOR_ALL void *malloc(size_t bytes)
{
    count(__builtin_return_address(0));
    return __libc_malloc(bytes);
}

FOR_ALL void *calloc(size_t n, size_t bytes)
{
    count(__builtin_return_address(0));
    return __libc_calloc(n, bytes);
}

FOR_ALL void *realloc(void *p, size_t bytes)
{
    count(__builtin_return_address(0));
    return __libc_realloc(p, bytes);
}

FOR_ALL int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    void *p = __libc_memalign(alignment, bytes);

    count(__builtin_return_address(0));
    if (p) *out = p;
    return p ? 0 : ENOMEM;
}

FOR_ALL char *strdup(const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *copy = __libc_malloc(bytes);

    count(__builtin_return_address(0));
    return copy ? memcpy(copy, s, bytes) : NULL;
}

/* ---- the server -------------------------------------------------------------------------------------------------- */
static char listen_on[32];
static uint16_t port;
static pthread_t server;

static void *serve(void *unused)
{
    char *arguments[] = {"serve", "--listen", listen_on, "--log-format", "off", "models/tiny/lstm.safetensors",
                         "models/tiny/text.safetensors", NULL};
    (void)unused;
    return (void *)(intptr_t)serve_command(sizeof arguments / sizeof *arguments - 1, arguments);
}

static void ask(int fd, const char *request, size_t bytes)
{
    char answer[65536];
    size_t got = 0;
    const char *body, *length;

    assert_int_equal(send(fd, request, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
    do {
        ssize_t n = recv(fd, answer + got, sizeof answer - 1 - got, 0);
        assert_true(n > 0);
        answer[got += (size_t)n] = 0;
        body = strstr(answer, "\r\n\r\n");
        length = body ? strcasestr(answer, "\r\ncontent-length:") : NULL;
    } while (!length || got < (size_t)(body + 4 - answer) + strtoul(length + 17, NULL, 10));
    if (memcmp(answer, "HTTP/1.1 200", 12)) fail_msg("%s\nis the answer to\n%.400s", answer, request);
}

static int start(void **unused)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)unused;
    is_test = true;
    dl_iterate_phdr(find_microhttpd, NULL);
    if (!microhttpd_end || bind(fd, (struct sockaddr *)&a, size) || getsockname(fd, (struct sockaddr *)&a, &size))
        return -1;
    close(fd);
    port = ntohs(a.sin_port);
    snprintf(listen_on, sizeof listen_on, "127.0.0.1:%u", port);
    if (pthread_create(&server, NULL, serve, NULL)) return -1;
    for (int i = 0; i < 1000; i++, usleep(10000)) {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        int failed = connect(fd, (struct sockaddr *)&a, sizeof a);
        close(fd);
        if (!failed) return 0;
    }
    return -1;
}

static int stop(void **unused)
{
    void *result;

    (void)unused;
    raise(SIGINT); /* no grace */
    pthread_join(server, &result);
    return result != NULL;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */
/* The same request again and again on one connection: what the first ones have allocated serves the others. */
static void nothing_is_allocated_for(const char *what, const char *request, size_t bytes)
{
    int fd = socket_dial(port);

    for (int i = 0; i < WARM_UP; i++) ask(fd, request, bytes);
    ours = of_microhttpd = 0;
    counting = true;
    for (int i = 0; i < COUNTED; i++) ask(fd, request, bytes);
    counting = false;
    close(fd);
    print_message("%s: %.2f allocations a request, libmicrohttpd's own %.2f\n", what, (double)ours / COUNTED,
                  (double)of_microhttpd / COUNTED);
    if (ours) fail_msg("%zu allocations in %d requests; the first returns to %#lx", (size_t)ours, COUNTED,
                       (unsigned long)first_of_ours);
    assert_true(of_microhttpd > 0); /* or this counts nothing at all */
}

static void post(char *out, size_t room, const char *target, const char *headers, const char *body)
{
    snprintf(out, room, "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s", target, headers,
             strlen(body), body);
}

static void steps_in_json(void **unused)
{
    char text[2000];
    (void)unused;
    post(text, sizeof text, "/v1/sessions/json/steps", "Content-Type: application/json\r\n",
         "{\"model\":\"lstm\",\"inputs\":[[0.25,-1.5,3e-2]]}");
    nothing_is_allocated_for("a step in JSON", text, strlen(text));
    post(text, sizeof text, "/v1/sessions/several/steps",
         "Content-Type: application/json\r\nAccept: application/json, */*;q=0.5\r\nx-request-id: abc\r\n",
         "{\"model\":\"lstm\",\"outputs\":\"last\",\"inputs\":[[1,2,3],[4,5,6],[7,8,9],[0.1,0.2,0.3]]}");
    nothing_is_allocated_for("four steps in JSON", text, strlen(text));
}

static void steps_in_bytes(void **unused)
{
    const float rows[2][MODEL_INPUTS] = {{0.5f, -0.25f, 1}, {2, 3, 4}};
    char text[1000];
    (void)unused;
    int n = snprintf(text, sizeof text, "POST /v1/sessions/bytes/steps?model=lstm HTTP/1.1\r\nHost: localhost\r\n"
                     "Content-Type: application/octet-stream\r\nAccept: application/octet-stream\r\n"
                     "Content-Length: %zu\r\n\r\n", sizeof rows);
    memcpy(text + n, rows, sizeof rows);
    nothing_is_allocated_for("two steps in bytes", text, (size_t)n + sizeof rows);
}

static void steps_of_text(void **unused)
{
    char text[1000];
    (void)unused;
    post(text, sizeof text, "/v1/sessions/text/steps", "", "{\"model\":\"text\",\"text\":\"hello\"}");
    nothing_is_allocated_for("five steps of text", text, strlen(text));
    post(text, sizeof text, "/v1/sessions/ids/steps", "", "{\"model\":\"text\",\"ids\":[65,66,67]}");
    nothing_is_allocated_for("three steps by ids", text, strlen(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_in_json), cmocka_unit_test(steps_in_bytes),
                                       cmocka_unit_test(steps_of_text)};
    return cmocka_run_group_tests(tests, start, stop);
}

#endif
