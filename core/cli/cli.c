/* cli.c -- options, messages and files of the commands. */
#include "core/cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- options --------------------------------------------------------------------------------------------------- */

static void print_help(const struct cli_usage *u)
{
    printf("usage: rnnd %s %s\n\n%s\n\noptions:\n", u->command, u->arguments, u->about);
    for (const struct cli_option *o = u->options; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "%s%c%s--%s%s%s", o->letter ? "-" : " ", o->letter ? o->letter : ' ',
                 o->letter ? ", " : "  ", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
        printf("  %-28s %s\n", left, o->help);
    }
    printf("      --help                   this text\n\n%s\n", u->example);
}

static int complain(const struct cli_usage *u, const char *what, const char *which, const char *more)
{
    fprintf(stderr, "rnnd %s: %s %s%s; `rnnd %s --help` tells more\n", u->command, what, which, more, u->command);
    return CLI_USAGE;
}

static const struct cli_option *find_option(const struct cli_usage *u, const char *arg, const char **value)
{
    *value = NULL;
    for (const struct cli_option *o = u->options; o->name; o++) {
        size_t n = strlen(o->name);
        if (arg[1] == '-' && strncmp(arg + 2, o->name, n) == 0 && (arg[2 + n] == 0 || arg[2 + n] == '=')) {
            *value = arg[2 + n] == '=' ? arg + 3 + n : NULL;
            return o;
        }
        if (arg[1] != '-' && o->letter && arg[1] == o->letter) {
            *value = arg[2] ? arg + 2 : NULL;
            return o;
        }
    }
    return NULL;
}

static bool set_value(const struct cli_option *o, const char *text)
{
    char *end = NULL;
    struct cli_list *list = o->value;
    errno = 0;
    if (o->kind == CLI_TEXT) {
        *(const char **)o->value = text;
        return true;
    }
    if (o->kind == CLI_LIST) {
        if (list->count == CLI_MOST_ITEMS)
            return false;
        list->items[list->count++] = text;
        return true;
    }
    if (o->kind == CLI_INTEGER) {
        long long v = strtoll(text, &end, 10);
        *(int64_t *)o->value = v;
    } else {
        double v = strtod(text, &end);
        *(double *)o->value = v;
        if (!isfinite(v))
            return false;
    }
    return end != text && *end == 0 && errno == 0;
}

bool cli_parse(const struct cli_usage *u, int argc, char **argv, const char **positional, int *exit_code)
{
    int count = 0;
    bool only_arguments = false;
    for (int i = 0; i < u->most; i++)
        positional[i] = NULL;
    *exit_code = CLI_USAGE;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value;
        if (only_arguments || arg[0] != '-' || arg[1] == 0) {
            if (count >= u->most)
                return *exit_code = complain(u, "one argument too many:", arg, ""), false;
            positional[count++] = arg;
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            only_arguments = true;
            continue;
        }
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            print_help(u);
            return *exit_code = CLI_OK, false;
        }
        const struct cli_option *o = find_option(u, arg, &value);
        if (!o)
            return *exit_code = complain(u, "there is no option", arg, ""), false;
        if (o->kind == CLI_FLAG) {
            if (value)
                return *exit_code = complain(u, "no value belongs to", arg, ""), false;
            *(bool *)o->value = true;
            continue;
        }
        if (!value && i + 1 >= argc)
            return *exit_code = complain(u, "a value is missing behind", arg, ""), false;
        if (!value)
            value = argv[++i];
        if (!set_value(o, value))
            return *exit_code = complain(u, o->name, o->kind == CLI_INTEGER ? "wants a whole number, not "
                                                     : o->kind == CLI_LIST  ? "stands too often, at "
                                                                            : "wants a number, not ", value), false;
    }
    if (count < u->least) {
        fprintf(stderr, "rnnd %s: too few arguments; usage: rnnd %s %s\n", u->command, u->command, u->arguments);
        return false;
    }
    return true;
}

/* ---- messages and files ---------------------------------------------------------------------------------------- */

rnnd_code cli_error(rnnd_error *err, rnnd_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (err) {
        err->code = code;
        err->param[0] = 0;
        vsnprintf(err->message, sizeof err->message, format, args);
    }
    va_end(args);
    return code;
}

int cli_fail(const char *command, const rnnd_error *err)
{
    fflush(stdout);
    fprintf(stderr, "rnnd %s: %s\n", command, err->message);
    return CLI_FAILED;
}

int cli_fail_model(const char *command, const rnnd_error *err)
{
    bool its_own = err->code == RNND_UNSUPPORTED || err->code == RNND_CORRUPT || err->code == RNND_CONFLICT ||
                   err->code == RNND_MISMATCH || err->code == RNND_TOO_LARGE;
    cli_fail(command, err);
    return its_own ? CLI_UNABLE : CLI_FAILED;
}

rnnd_code cli_read_file(const char *path, size_t limit, char **data, size_t *bytes, rnnd_error *err)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "rb");
    rnnd_code code = RNND_OK;
    char *buffer = NULL;
    size_t capacity = 0, n = 0;
    *data = NULL;
    *bytes = 0;
    if (!f)
        return cli_error(err, errno == ENOENT ? RNND_NOT_FOUND : RNND_IO, "cannot open %s: %s", path, strerror(errno));
    for (;;) {
        if (n + 1 >= capacity) {
            size_t wanted = capacity ? capacity * 2 : 65536;
            char *larger = realloc(buffer, wanted);
            if (!larger) {
                code = cli_error(err, RNND_NO_MEMORY, "no memory for %s, %zu bytes so far", path, n);
                goto out;
            }
            buffer = larger;
            capacity = wanted;
        }
        size_t got = fread(buffer + n, 1, capacity - n - 1, f);
        n += got;
        if (n > limit) {
            code = cli_error(err, RNND_TOO_LARGE, "%s has more than %zu bytes, the most that is read", path, limit);
            goto out;
        }
        if (got == 0)
            break;
    }
    if (ferror(f)) {
        code = cli_error(err, RNND_IO, "cannot read %s: %s", path, strerror(errno));
        goto out;
    }
    buffer[n] = 0;
    *data = buffer;
    *bytes = n;
    buffer = NULL;
out:
    free(buffer);
    if (!standard)
        fclose(f);
    return code;
}

bool cli_has_suffix(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcmp(path + n - m, suffix) == 0;
}

/* PREFIX/share/rnnd/models/NAME.safetensors beside PREFIX/bin/rnnd, where `make install` puts both. */
static bool installed_model(const char *name, char *out, size_t bytes)
{
    struct stat st;
    ssize_t n = readlink("/proc/self/exe", out, bytes - 1);
    out[n < 0 ? 0 : n] = 0;
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(out, '/');
        if (!slash)
            return false;
        *slash = 0;
    }
    size_t used = strlen(out);
    int more = snprintf(out + used, bytes - used, "/share/rnnd/models/%s.safetensors", name);
    return more > 0 && (size_t)more < bytes - used && stat(out, &st) == 0;
}

rnnd_code cli_find_model(const char *name, char *path, rnnd_error *err)
{
    struct stat st;
    bool exists = stat(name, &st) == 0;
    int n = snprintf(path, CLI_PATH_BYTES, "%s", name);
    if (exists && !S_ISDIR(st.st_mode) && n > 0 && n < CLI_PATH_BYTES)
        return RNND_OK;
    n = snprintf(path, CLI_PATH_BYTES, "models/%s.safetensors", name);
    if (name[0] == '/' || n < 0 || n >= 512)
        return cli_error(err, RNND_NOT_FOUND, exists ? "%s is a folder; wanted a model file"
                                                     : "there is no model file %s", name);
    if (stat(path, &st) == 0 || installed_model(name, path, CLI_PATH_BYTES))
        return RNND_OK;
    if (exists)
        return cli_error(err, RNND_NOT_FOUND, "%s is a folder; wanted a model file", name);
    return cli_error(err, RNND_NOT_FOUND, "there is no model %s: neither that file nor models/%s.safetensors exists, "
                                          "nor is one installed", name, name);
}

const char *cli_kernel_row(void)
{
    const char *row = getenv("RNND_ISA");
    return row && *row && strcmp(row, "auto") ? row : NULL;
}

rnnd_code cli_open_model_as(const char *name, const char *config_path, const rnnd_options *options, rnnd_model **out,
                            rnnd_error *err)
{
    char path[CLI_PATH_BYTES], *config = NULL;
    size_t bytes;
    *out = NULL;
    rnnd_code code = cli_find_model(name, path, err);
    if (code == RNND_OK && config_path)
        code = cli_read_file(config_path, (size_t)8 << 20, &config, &bytes, err);
    if (code == RNND_OK) {
        rnnd_options own = *options;
        own.config = config;
        own.kernel_row = cli_kernel_row();
        code = rnnd_model_open(path, &own, out, err);
    }
    free(config);
    return code;
}

rnnd_code cli_open_model(const char *name, rnnd_model **out, rnnd_error *err)
{
    return cli_open_model_as(name, NULL, &(rnnd_options){NULL}, out, err);
}
