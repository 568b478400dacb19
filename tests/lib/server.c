/* server.c -- starts and ends a server process for a test; HTTP through libcurl. */
#include "tests/lib/server.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGUMENTS 64

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_init(void)
{
    curl_global_init(CURL_GLOBAL_ALL);
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* The rnnd two or more folders above this program: build/tests/server/test_x -> build/rnnd. */
static bool find_binary(char *out, size_t cap)
{
    const char *given = getenv("RNND_BIN");
    if (given) return (size_t)snprintf(out, cap, "%s", given) < cap;
    char folder[1024];
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (n <= 0) return false;
    folder[n] = 0;
    for (char *slash; (slash = strrchr(folder, '/')); ) {
        *slash = 0;
        int length = snprintf(out, cap, "%s/rnnd", folder);
        if (length > 0 && (size_t)length < cap && access(out, X_OK) == 0) return true;
    }
    return false;
}

/* A port nobody has now; another may take it before the server does, so starting is tried again. */
static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    uint16_t port = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, size) == 0 && getsockname(fd, (struct sockaddr *)&a, &size) == 0)
        port = ntohs(a.sin_port);
    if (fd >= 0) close(fd);
    return port;
}

static void print_log(const char *path)
{
    char line[1024];
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) fprintf(stderr, "server: %s", line);
    if (f) fclose(f);
}

static pid_t spawn(const char *binary, uint16_t port, const char *const *arguments, int log)
{
    const char *argv[MAX_ARGUMENTS + 5];
    char listen[32];
    size_t n = 0;
    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    argv[n++] = binary;
    argv[n++] = "serve";
    argv[n++] = "--listen";
    argv[n++] = listen;
    for (size_t i = 0; arguments && arguments[i] && i < MAX_ARGUMENTS; i++) argv[n++] = arguments[i];
    argv[n] = NULL;
    pid_t parent = getpid(), pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    dup2(log, 1);
    dup2(log, 2);
    execv(binary, (char *const *)argv);
    dprintf(2, "%s: %s\n", binary, strerror(errno));
    _exit(127);
}

static bool ready(const struct test_server *s)
{
    struct test_client *c = test_client_open(s);
    struct test_reply reply;
    bool yes = c && test_request(c, "GET", "/readyz", NULL, NULL, 0, &reply);
    if (yes) {
        yes = reply.status == 200;
        test_reply_free(&reply);
    }
    test_client_close(c);
    return yes;
}

static struct test_server *start_once(const char *binary, const char *const *arguments)
{
    struct test_server *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    snprintf(s->log, sizeof s->log, "/tmp/rnnd-test-XXXXXX");
    int log = mkostemp(s->log, O_CLOEXEC);
    s->port = free_port();
    if (log < 0 || !s->port) {
        free(s);
        return NULL;
    }
    s->pid = spawn(binary, s->port, arguments, log);
    close(log);
    for (int tries = 0; s->pid > 0 && tries < 1500; tries++) {
        int status;
        if (ready(s)) return s;
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) s->pid = 0;
        sleep_ms(20);
    }
    fprintf(stderr, "server: %s on port %u did not become ready\n", binary, s->port);
    print_log(s->log);
    test_server_stop(s);
    return NULL;
}

struct test_server *test_server_start(const char *const *arguments)
{
    char binary[1100];
    struct test_server *s = NULL;
    pthread_once(&curl_once, curl_init);
    if (!find_binary(binary, sizeof binary)) {
        fprintf(stderr, "server: no rnnd above this program, and RNND_BIN is not set\n");
        return NULL;
    }
    for (int tries = 0; !s && tries < 2; tries++) s = start_once(binary, arguments);
    return s;
}

int test_server_stop(struct test_server *s)
{
    int status = 0;
    if (!s) return 0;
    if (s->pid > 0) {
        kill(s->pid, SIGTERM);
        for (int tries = 0; waitpid(s->pid, &status, WNOHANG) == 0; tries++) {
            if (tries == 750) kill(s->pid, SIGKILL);
            sleep_ms(20);
        }
    }
    int result = WIFSIGNALED(status) ? -1 - WTERMSIG(status) : WEXITSTATUS(status);
    if (result) print_log(s->log);
    unlink(s->log);
    free(s);
    return result;
}

/* ---- the client ------------------------------------------------------------------------------------------------ */

struct test_client {
    CURL *curl;
    uint16_t port;
};

struct growing {
    char *data;
    size_t bytes, cap;
    bool (*on_data)(void *context, const char *data, size_t n);
    void *context;
};

struct test_client *test_client_open(const struct test_server *s)
{
    pthread_once(&curl_once, curl_init);
    struct test_client *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->curl = curl_easy_init();
    c->port = s->port;
    return c;
}

void test_client_close(struct test_client *c)
{
    if (!c) return;
    curl_easy_cleanup(c->curl);
    free(c);
}

static size_t take(char *data, size_t size, size_t count, void *into)
{
    struct growing *g = into;
    size_t n = size * count;
    if (g->on_data) return g->on_data(g->context, data, n) ? n : 0;
    if (g->cap - g->bytes < n + 1) {
        size_t cap = (g->bytes + n + 1) * 2;
        char *bigger = realloc(g->data, cap);
        if (!bigger) return 0;
        g->data = bigger;
        g->cap = cap;
    }
    memcpy(g->data + g->bytes, data, n);
    g->bytes += n;
    g->data[g->bytes] = 0;
    return n;
}

/* Header lists for libcurl: those given, and an empty Content-Type and Expect where not given, so that it adds none. */
static struct curl_slist *header_list(const char *const *headers)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    bool typed = false;
    for (size_t i = 0; headers && headers[i]; i++) {
        list = curl_slist_append(list, headers[i]);
        if (strncasecmp(headers[i], "Content-Type:", 13) == 0) typed = true;
    }
    return typed ? list : curl_slist_append(list, "Content-Type:");
}

bool test_stream(struct test_client *c, const char *method, const char *path, const char *const *headers,
                 const void *body, size_t bytes, bool (*on_data)(void *context, const char *data, size_t n),
                 void *context, struct test_reply *reply)
{
    struct growing head = {0}, text = {.on_data = on_data, .context = context};
    char *url = NULL;
    long status = 0;
    memset(reply, 0, sizeof *reply);
    if (asprintf(&url, "http://127.0.0.1:%u%s", c->port, path) < 0) return false;
    struct curl_slist *list = header_list(headers);
    curl_easy_reset(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, 120L);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, take);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, &head);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &text);
    if (strcmp(method, "HEAD") == 0) curl_easy_setopt(c->curl, CURLOPT_NOBODY, 1L);
    if (body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body ? body : "");
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)bytes);
    }
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    CURLcode code = curl_easy_perform(c->curl);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(list);
    free(url);
    reply->status = (int)status;
    reply->headers = head.data ? head.data : calloc(1, 1);
    reply->body = text.data ? text.data : calloc(1, 1);
    reply->bytes = text.bytes;
    reply->broken = code != CURLE_OK && status != 0;
    if (status == 0) test_reply_free(reply);
    return status != 0;
}

bool test_request(struct test_client *c, const char *method, const char *path, const char *const *headers,
                  const void *body, size_t bytes, struct test_reply *reply)
{
    return test_stream(c, method, path, headers, body, bytes, NULL, NULL, reply);
}

bool test_json(struct test_client *c, const char *method, const char *path, const char *json, struct test_reply *reply)
{
    const char *headers[] = {"Content-Type: application/json", NULL};
    return test_request(c, method, path, headers, json, json ? strlen(json) : 0, reply);
}

bool test_reply_header(const struct test_reply *reply, const char *name, char *out, size_t cap)
{
    size_t length = strlen(name);
    for (const char *line = reply->headers; line && *line; ) {
        const char *end = strchr(line, '\n');
        size_t n = end ? (size_t)(end - line) : strlen(line);
        if (n > length && strncasecmp(line, name, length) == 0 && line[length] == ':') {
            const char *value = line + length + 1;
            while (*value == ' ') value++;
            n = (size_t)(line + n - value);
            while (n && (value[n - 1] == '\r' || value[n - 1] == ' ')) n--;
            snprintf(out, cap, "%.*s", (int)n, value);
            return true;
        }
        line = end ? end + 1 : NULL;
    }
    return false;
}

void test_reply_free(struct test_reply *reply)
{
    free(reply->headers);
    free(reply->body);
    memset(reply, 0, sizeof *reply);
}

double test_metric(struct test_client *c, const char *sample)
{
    struct test_reply reply;
    double value = -1;
    size_t length = strlen(sample);
    if (!test_request(c, "GET", "/metrics", NULL, NULL, 0, &reply)) return -1;
    for (const char *line = reply.body; line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, sample, length) == 0 && line[length] == ' ') {
            value = strtod(line + length, NULL);
            break;
        }
    }
    test_reply_free(&reply);
    return value;
}
