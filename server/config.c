/* config.c -- one table of settings; its parsers, its four sources, its help text. */
#include "server/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <ini.h>

#include "core/rnnd.h"

enum kind { TEXT, LIST, COUNT, BYTES, SECONDS, FLAG, CHOICE };

struct setting {
    const char *name;          /* --name, `name = ` in the file, RNND_NAME */
    enum kind kind;
    size_t offset;             /* in struct config */
    const char *standard;      /* the default, read like any other value */
    double min, max;           /* COUNT, BYTES, SECONDS */
    const char *choices;       /* CHOICE: "a|b|c"; LIST, TEXT: what an item is, for the help */
    const char *help;          /* NULL: hidden */
};

#define AT(field) offsetof(struct config, field)
#define KIB 1024.0
#define GIB (1024.0 * 1024.0 * 1024.0)

/* clang-format off */
static const struct setting settings[] = {
    {"listen",            TEXT,    AT(listen),               "127.0.0.1:8080", 0, 0, "HOST:PORT",
     "where to answer; [::1]:PORT and unix:PATH too; port 0 takes any free one"},
    {"allow-remote",      FLAG,    AT(allow_remote),         "no", 0, 0, NULL,
     "listen on an address that other machines reach; without --hosts, any Host header is then taken"},
    {"models",            LIST,    AT(models),               "", 0, 0, "NAME=FILE,FILE,DIR",
     "models to open, as the plain arguments do; none: ./models, else the installed ones"},
    {"hosts",             LIST,    AT(hosts),                "", 0, 0, "NAME,..",
     "Host names to answer to beside localhost and loopback addresses; * = any"},
    {"cors",              LIST,    AT(cors),                 "", 0, 0, "ORIGIN,..",
     "web origins whose pages may call this server, such as http://localhost:3000; * = any"},
    {"log-format",        CHOICE,  AT(log_format),           "text", 0, 0, "text|json|off",
     "the line per request on stderr"},

    {"isa",               TEXT,    AT(isa),                  "auto", 0, 0, "auto|ROW",
     "the kernel row to compute with, of those that this machine has; the answers are the same"},
    {"numerics",          CHOICE,  AT(numerics),             "exact", 0, 0, "exact|fast",
     "exact: the same bits whatever the batch, the path and the processor; fast: OpenBLAS, which cannot promise that"},
    {"precision",         CHOICE,  AT(precision),            "fp32", 0, 0, "fp32|bf16|int8",
     "of weights: bf16 takes half the memory, int8 a quarter; what it costs each model is measured when it is opened"},
    {"force-precision",   FLAG,    AT(force_precision),      "no", 0, 0, NULL,
     "take it even where outputs differ by more than a tenth"},
    {"accept-guesses",    FLAG,    AT(accept_guesses),       "no", 0, 0, NULL,
     "compute with models as guessed where their files do not say what they are; every reply then names the guesses"},

    {"ttl",               SECONDS, AT(ttl_s),                "1h", 1, 1e9, NULL,
     "life of a session that nobody uses"},
    {"session-memory",    BYTES,   AT(session_memory_bytes), "25%", 64 * KIB, 1e15, NULL,
     "ceiling of all session states; above it the least recently used idle session ends; % is of the machine's memory"},
    {"kept-states",       COUNT,   AT(kept_states),          "8", 1, 1000, NULL,
     "earlier states a session keeps, one per request, for replays and rewinding"},
    {"remember-dead",     SECONDS, AT(remember_dead_s),      "1h", 0, 1e9, NULL,
     "how long the id of an ended session answers 410 instead of 404"},
    {"remember-dead-ids", COUNT,   AT(remember_dead_ids),    "10000", 0, 1e7, NULL,
     "how many such ids"},

    {"body-limit",        BYTES,   AT(body_limit_bytes),     "16MiB", 1 * KIB, 4 * GIB, NULL,
     "largest request body"},
    {"json-depth",        COUNT,   AT(json_depth),           "32", 4, 512, NULL,
     "deepest JSON nesting"},
    {"steps-limit",       COUNT,   AT(steps_limit),          "100000", 1, 1e9, NULL,
     "time steps a request may ask for"},
    {"rows-limit",        COUNT,   AT(many_limit),           "10000", 1, 1e6, NULL,
     "rows of one POST /v1/steps"},
    {"samples-limit",     COUNT,   AT(samples_limit),        "1000", 1, 1e6, NULL,
     "sample paths of a forecast"},
    {"horizon-factor",    COUNT,   AT(horizon_factor),       "10", 1, 1e6, NULL,
     "longest horizon of a forecast, as a multiple of the trained one"},
    {"tokens-limit",      COUNT,   AT(tokens_limit),         "4096", 1, 1e9, NULL,
     "tokens a request may generate, streams without end aside"},
    {"request-deadline",  SECONDS, AT(request_deadline_s),   "30s", 0.01, 1e6, NULL,
     "time until an answer must have begun; then 504"},

    {"queue-limit",       COUNT,   AT(queue_limit),          "10000", 1, 1e7, NULL,
     "jobs waiting or running; then 503"},
    {"connections",       COUNT,   AT(connection_limit),     "4096", 2, 1e6, NULL,
     "open connections"},
    {"stream-buffer",     BYTES,   AT(stream_buffer_bytes),  "256KiB", 1 * KIB, 1 * GIB, NULL,
     "unsent bytes of a stream above which its job waits for the client"},
    {"header-deadline",   SECONDS, AT(header_deadline_s),    "10s", 0.01, 1e6, NULL,
     "time for a request's head to arrive"},
    {"idle-timeout",      SECONDS, AT(idle_timeout_s),       "60s", 0.01, 1e6, NULL,
     "time a kept connection may be silent"},
    {"drain-grace",       SECONDS, AT(drain_grace_s),        "0s", 0, 3600, NULL,
     "after SIGTERM: go on serving this long while /readyz says 503 (5s behind a load balancer)"},
    {"drain-deadline",    SECONDS, AT(drain_deadline_s),     "25s", 0, 3600, NULL,
     "then: time for running requests to finish"},
    {"test-hooks",        FLAG,    AT(test_hooks),           "no", 0, 0, NULL, NULL},
};
/* clang-format on */
#define SETTINGS (sizeof settings / sizeof *settings)

struct reading { /* one config_read() */
    struct config *config;
    char *message;
    size_t message_bytes;
    char source[SETTINGS][160]; /* who set it last: "--ttl", "RNND_TTL", "rnnd.ini:3" */
    /* the file */
    FILE *file;
    const char *path;
    char last[64];              /* the setting of the line before: a continuation adds to a list */
    int line, last_line;
    bool failed;
};

static int __attribute__((format(printf, 2, 3))) refuse(struct reading *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->message, r->message_bytes, format, args);
    va_end(args);
    r->failed = true;
    return -1;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static void free_list(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
    *list = (struct text_list){0};
}

/* Room for one more and the NULL behind it. */
static bool add_item(struct text_list *list, const char *text, size_t bytes)
{
    char **items = realloc(list->items, (list->count + 2) * sizeof *items);
    if (!items) return false;
    list->items = items;
    if (bytes && !(items[list->count] = strndup(text, bytes))) return false;
    if (bytes) list->count++;
    items[list->count] = NULL;
    return true;
}

/* Items stand between commas; blanks around them do not count. */
static bool add_items(struct text_list *list, const char *text)
{
    bool good = add_item(list, "", 0);
    while (good && *text) {
        size_t bytes = strcspn(text, ","), begin = strspn(text, " \t,"), end = bytes;
        if (begin < bytes) {
            while (end > begin && (text[end - 1] == ' ' || text[end - 1] == '\t')) end--;
            good = add_item(list, text + begin, end - begin);
        }
        text += bytes + (text[bytes] == ',');
    }
    return good;
}

struct unit {
    const char *name;
    double factor;
};
static const struct unit second_units[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"min", 60}, {"h", 3600}, {"d", 86400},
                                           {NULL, 0}};
static const struct unit byte_units[] = {{"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * KIB}, {"GiB", GIB},
                                         {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

/* This machine's memory, or what this container may use of it. */
static double memory_bytes(void)
{
    double bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE), limit;
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "r");
    if (f && fscanf(f, "%lf", &limit) == 1 && limit > 0 && limit < bytes) bytes = limit;
    if (f) fclose(f);
    return bytes;
}

/* A decimal number and its unit; no exponents, no hexadecimal, no sign. */
static bool read_number(const char *text, const struct unit *units, bool percent, double *out)
{
    size_t digits = strspn(text, "0123456789."), end;
    char number[32];
    char *rest;
    if (!digits || digits >= sizeof number) return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    double v = strtod(number, &rest);
    if (*rest) return false;
    end = digits + strspn(text + digits, " ");
    if (percent && !strcmp(text + end, "%")) {
        if (v > 100) return false;
        *out = (double)(uint64_t)(v / 100 * memory_bytes());
        return true;
    }
    for (; units->name; units++)
        if (!strcmp(text + end, units->name)) {
            *out = v * units->factor;
            return true;
        }
    return false;
}

static bool read_flag(const char *text, bool *out)
{
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (!strcasecmp(text, yes[i])) return *out = true, true;
        if (!strcasecmp(text, no[i])) return *out = false, true;
    }
    return false;
}

/* Place of text in "a|b|c", or -1. */
static int find_choice(const char *choices, const char *text)
{
    int n = 0;
    size_t bytes = strlen(text);
    for (const char *p = choices;; n++) {
        size_t length = strcspn(p, "|");
        if (length == bytes && !memcmp(p, text, bytes)) return n;
        if (!p[length]) return -1;
        p += length + 1;
    }
}

static int set_number(struct reading *r, const struct setting *s, const char *source, const char *text)
{
    const struct unit *units = s->kind == BYTES ? byte_units : s->kind == SECONDS ? second_units : no_units;
    char *field = (char *)r->config + s->offset;
    double v;

    if (!read_number(text, units, s->kind == BYTES, &v) || (s->kind != SECONDS && v != (double)(uint64_t)v))
        return refuse(r, "%s: %s wants %s, found '%.60s'", source, s->name,
                      s->kind == BYTES ? "a size such as 64KiB, 16MiB, 2GiB (or 25% of the memory)"
                      : s->kind == SECONDS ? "a time such as 500ms, 90s, 5min, 1h" : "a whole number", text);
    if (v < s->min || v > s->max)
        return refuse(r, "%s: %s wants %.15g to %.15g%s, found '%.60s'", source, s->name, s->min, s->max,
                      s->kind == BYTES ? " bytes" : s->kind == SECONDS ? " seconds" : "", text);
    if (s->kind == SECONDS) *(double *)(void *)field = v;
    else *(size_t *)(void *)field = (size_t)v;
    return 0;
}

/* add: to a list that the same source began. */
static int set(struct reading *r, const struct setting *s, const char *source, const char *text, bool add)
{
    char *field = (char *)r->config + s->offset;
    int choice;

    snprintf(r->source[s - settings], sizeof r->source[0], "%s", source);
    switch (s->kind) {
    case TEXT:
        if (!*text) return refuse(r, "%s: %s wants %s, found nothing", source, s->name, s->choices);
        free(*(char **)(void *)field);
        if (!(*(char **)(void *)field = strdup(text))) return refuse(r, "%s: out of memory", source);
        return 0;
    case LIST:
        if (!add) free_list((struct text_list *)(void *)field);
        return add_items((struct text_list *)(void *)field, text) ? 0 : refuse(r, "%s: out of memory", source);
    case FLAG:
        if (read_flag(text, (bool *)(void *)field)) return 0;
        return refuse(r, "%s: %s wants yes or no, found '%.60s'", source, s->name, text);
    case CHOICE:
        choice = find_choice(s->choices, text);
        if (choice < 0) return refuse(r, "%s: %s wants one of %s, found '%.60s'", source, s->name, s->choices, text);
        *(int *)(void *)field = choice;
        return 0;
    case COUNT:
    case BYTES:
    case SECONDS:
        return set_number(r, s, source, text);
    }
    return -1;
}

/* - and _ are the same in a name. */
static const struct setting *find_setting(const char *name, size_t bytes)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        size_t k = 0;
        while (k < bytes && settings[i].name[k] && settings[i].name[k] == (name[k] == '_' ? '-' : name[k])) k++;
        if (k == bytes && !settings[i].name[k]) return &settings[i];
    }
    return NULL;
}

/* ---- sources ---------------------------------------------------------------------------------------------------- */

/* inih's line reader, with a count, and without cutting long lines in two. */
static char *read_line(char *to, int room, void *context)
{
    struct reading *r = context;
    if (r->failed || !fgets(to, room, r->file)) return NULL;
    r->line++;
    if (!strchr(to, '\n') && !feof(r->file)) {
        refuse(r, "%s:%d: the line is longer than the %d characters that a line may have", r->path, r->line, room - 2);
        return NULL;
    }
    return to;
}

static int take_entry(void *context, const char *section, const char *name, const char *value)
{
    struct reading *r = context;
    char source[160];

    if (r->failed) return 0;
    snprintf(source, sizeof source, "%.140s:%d", r->path, r->line);
    if (*section && strcmp(section, "serve")) {
        refuse(r, "%s: there is no section [%.40s]; settings stand in [serve] or before any section", source, section);
        return 0;
    }
    const struct setting *s = find_setting(name, strlen(name));
    if (!s) {
        refuse(r, "%s: there is no setting '%.60s'; `rnnd serve --help` lists them", source, name);
        return 0;
    }
    bool continues = r->last_line == r->line - 1 && !strcmp(r->last, s->name);
    snprintf(r->last, sizeof r->last, "%s", s->name);
    r->last_line = r->line;
    return set(r, s, source, value, continues) == 0;
}

static int read_file(struct reading *r, const char *path)
{
    r->path = path;
    r->file = fopen(path, "re");
    if (!r->file) return refuse(r, "the configuration file %s cannot be read: %s", path, strerror(errno));
    int bad = ini_parse_stream(read_line, r, take_entry, r);
    fclose(r->file);
    if (r->failed) return -1;
    if (bad) return refuse(r, "%s:%d: wanted `name = value`, [section] or a comment", path, bad);
    return 0;
}

static const char *find_variable(char *const *environment, const char *name)
{
    size_t bytes = strlen(name);
    for (; environment && *environment; environment++)
        if (!strncmp(*environment, name, bytes) && (*environment)[bytes] == '=') return *environment + bytes + 1;
    return NULL;
}

static void variable_name(const struct setting *s, char out[64])
{
    size_t n = (size_t)snprintf(out, 64, "RNND_%s", s->name);
    for (size_t i = 5; i < n && i < 63; i++)
        out[i] = (char)(out[i] == '-' ? '_' : out[i] >= 'a' ? out[i] - 32 : out[i]);
}

static int read_environment(struct reading *r, char *const *environment)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        char name[64];
        variable_name(&settings[i], name);
        const char *value = find_variable(environment, name);
        if (value && set(r, &settings[i], name, value, false)) return -1;
    }
    return 0;
}

static int read_flags(struct reading *r, int argc, char *const *argv)
{
    const struct setting *models = find_setting("models", 6);
    bool listed[SETTINGS] = {false};

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value;
        if (strncmp(arg, "--", 2)) {
            if (arg[0] == '-' && arg[1]) return refuse(r, "there is no flag %.60s; flags begin with --", arg);
            if (!listed[models - settings]) free_list(&r->config->models);
            listed[models - settings] = true;
            if (!add_item(&r->config->models, arg, strlen(arg))) return refuse(r, "out of memory");
            continue;
        }
        size_t bytes = strcspn(arg + 2, "=");
        char source[80];
        snprintf(source, sizeof source, "%.*s", (int)(bytes < 70 ? bytes + 2 : 72), arg);
        value = arg[bytes + 2] ? arg + bytes + 3 : NULL;
        if (!strcmp(arg, "--healthcheck")) {
            r->config->healthcheck = true;
            continue;
        }
        if (bytes == 6 && !strncmp(arg, "--config", 8)) { /* read before */
            if (!value) i++;
            continue;
        }
        const struct setting *s = find_setting(arg + 2, bytes);
        if (!s) return refuse(r, "there is no flag %s; `rnnd serve --help` lists them", source);
        if (!value && s->kind == FLAG) value = "yes";
        if (!value && i + 1 >= argc) return refuse(r, "%s: a value is missing", source);
        if (!value) value = argv[++i];
        if (set(r, s, source, value, s->kind == LIST && listed[s - settings])) return -1;
        listed[s - settings] = true;
    }
    return 0;
}

/* ---- what belongs together --------------------------------------------------------------------------------------- */

static bool loopback(const char *host)
{
    return !strncmp(host, "unix:", 5) || !strcasecmp(host, "localhost") || !strcmp(host, "::1") ||
           !strncmp(host, "127.", 4);
}

/* "HOST:PORT", "[V6]:PORT", "unix:PATH" */
static int split_listen(struct reading *r)
{
    struct config *c = r->config;
    const char *source = r->source[find_setting("listen", 6) - settings], *text = c->listen;
    const char *colon = strrchr(text, ':');
    char *rest;

    if (!strncmp(text, "unix:", 5)) {
        if (!text[5] || strlen(text) >= sizeof c->host)
            return refuse(r, "%s: listen wants unix:PATH with a path of 1 to %zu characters, found '%.200s'", source,
                          sizeof c->host - 6, text);
        snprintf(c->host, sizeof c->host, "%s", text);
        return 0;
    }
    size_t bytes = colon ? (size_t)(colon - text) : 0;
    bool bracketed = bytes > 2 && text[0] == '[' && colon[-1] == ']';
    unsigned long port = colon ? strtoul(colon + 1, &rest, 10) : 0;
    if (!bytes || bytes >= sizeof c->host || colon[1] < '0' || colon[1] > '9' || *rest || port > 65535 ||
        (!bracketed && (memchr(text, ':', bytes) || text[0] == '[')))
        return refuse(r, "%s: listen wants HOST:PORT, [::1]:PORT or unix:PATH, found '%.200s'", source, text);
    snprintf(c->host, sizeof c->host, "%.*s", (int)(bytes - 2 * bracketed), text + bracketed);
    c->port = (uint16_t)port;
    return 0;
}

static int settle(struct reading *r)
{
    struct config *c = r->config;
    if (split_listen(r)) return -1;
    if (!c->allow_remote && !loopback(c->host))
        return refuse(r, "%s: %s can be reached from other machines, and whoever reaches this server may use it; "
                      "--allow-remote (RNND_ALLOW_REMOTE=1) says that this is meant",
                      r->source[find_setting("listen", 6) - settings], c->listen);
    rnnd_error err;
    const char *isa = r->source[find_setting("isa", 3) - settings];
    if (strcmp(c->isa, "auto") && rnnd_kernel_row_check(c->isa, &err) != RNND_OK)
        return refuse(r, "%s: %s", isa, err.message);
    if (strcmp(c->isa, "auto") && c->numerics == NUMERICS_FAST)
        return refuse(r, "%s: isa %s does not go with numerics fast, which computes with the best row", isa, c->isa);
    if (c->allow_remote && !c->hosts.count && !add_item(&c->hosts, "*", 1)) return refuse(r, "out of memory");
    return 0;
}

int config_read(struct config *c, int argc, char *const *argv, char *const *environment, char *message,
                size_t message_bytes)
{
    const char *path = find_variable(environment, "RNND_CONFIG");
    struct reading *r = calloc(1, sizeof *r);
    int result = -1;

    memset(c, 0, sizeof *c);
    if (!r) {
        snprintf(message, message_bytes, "out of memory");
        return -1;
    }
    r->config = c;
    r->message = message;
    r->message_bytes = message_bytes;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) c->help = true;
        if (!strncmp(argv[i], "--config=", 9)) path = argv[i] + 9;
        if (!strcmp(argv[i], "--config")) {
            if (i + 1 >= argc) {
                refuse(r, "--config: a value is missing");
                goto out;
            }
            path = argv[i + 1];
        }
    }
    for (size_t i = 0; i < SETTINGS; i++)
        if (set(r, &settings[i], "default", settings[i].standard, false)) goto out;
    result = 0;
    if (c->help) goto out;
    result = -1;
    if (path && read_file(r, path)) goto out;
    if (read_environment(r, environment) || read_flags(r, argc, argv) || settle(r)) goto out;
    result = 0;
out:
    free(r);
    return result;
}

void config_free(struct config *c)
{
    free(c->listen);
    free(c->isa);
    free_list(&c->models);
    free_list(&c->hosts);
    free_list(&c->cors);
    c->listen = c->isa = NULL;
}

/* ---- help ------------------------------------------------------------------------------------------------------- */

/* Wraps text at column 112, later lines indented. */
static void print_wrapped(FILE *to, const char *text, int indent)
{
    int column = indent;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (column > indent && column + 1 + word > 112) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        }
        fprintf(to, "%s%.*s", column > indent ? " " : "", word, text);
        column += word + (column > indent);
        text += word + (text[word] == ' ');
    }
    fputc('\n', to);
}

void config_help(FILE *to)
{
    fputs("Usage: rnnd serve [NAME=FILE | FILE | DIR ...] [--SETTING VALUE ...]\n"
          "\n"
          "Opens model files (every model of a folder) and answers HTTP: sessions that keep their hidden state,\n"
          "windows, forecasts, text in OpenAI's shape, metrics, and a page to look at.\n"
          "\n"
          "  rnnd serve                              ./models, else the installed models, at http://127.0.0.1:8080/\n"
          "  rnnd serve mine/ chat=big.safetensors   your folder, and one file under a name of its own\n"
          "  rnnd serve --config rnnd.ini --ttl 10min\n"
          "  rnnd serve --healthcheck                asks the server that runs here; exit status 0 or 1\n"
          "\n"
          "Every setting has a flag, a line `name = value` in the --config file, and a variable RNND_NAME in the\n"
          "environment (RNND_SESSION_MEMORY=2GiB). Flags win over the environment, that over the file.\n\n", to);
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &settings[i];
        static const char *const hints[] = {"TEXT", "LIST", "N", "SIZE", "TIME", "", ""};
        char left[80];
        if (!s->help) continue;
        snprintf(left, sizeof left, "--%s %s", s->name, s->choices ? s->choices : hints[s->kind]);
        fprintf(to, "  %-32s", left);
        if (strlen(left) > 32) fprintf(to, "\n%34s", "");
        char text[320];
        if (s->kind != FLAG && *s->standard) snprintf(text, sizeof text, "%s [%s]", s->help, s->standard);
        else snprintf(text, sizeof text, "%s", s->help);
        print_wrapped(to, text, 34);
    }
    fputs("  --config FILE                   the file (RNND_CONFIG)\n"
          "\n"
          "SIZE is a number of bytes, or with KiB, MiB, GiB (session-memory: %); TIME one of seconds, or with\n"
          "ms, s, min, h, d. Commas separate lists. --allow-remote alone means yes; elsewhere it is yes or no.\n",
          to);
}
