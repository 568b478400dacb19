/* test_config.c -- every source of a setting, which of them wins, and every refusal's sentence. */
#include "server/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char file_path[64];

static void write_file(const char *text)
{
    FILE *f = fopen(file_path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_world(void **unused)
{
    (void)unused;
    snprintf(file_path, sizeof file_path, "/tmp/rnnd-config-XXXXXX");
    int fd = mkstemp(file_path);
    return fd < 0 ? -1 : close(fd);
}

static int end_world(void **unused)
{
    (void)unused;
    return unlink(file_path);
}

static char message[512];

/* flags: one string, split at blanks. environment: NULL or entries. */
static int read_config(struct config *c, const char *flags, char *const *environment)
{
    char copy[1024], *argv[64] = {"serve"}, *save = NULL;
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", flags);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) argv[argc++] = word;
    message[0] = '\0';
    return config_read(c, argc, argv, environment, message, sizeof message);
}

static void expect_refusal(const char *flags, char *const *environment, const char *const *parts)
{
    struct config c;
    int result = read_config(&c, flags, environment);
    config_free(&c);
    if (result != -1) fail_msg("'%s' is taken", flags);
    for (; *parts; parts++)
        if (!strstr(message, *parts)) fail_msg("'%s' says '%s', without '%s'", flags, message, *parts);
}
#define REFUSED(flags, environment, ...) expect_refusal(flags, environment, (const char *const[]){__VA_ARGS__, NULL})

static void defaults(void **unused)
{
    struct config c;
    (void)unused;
    assert_int_equal(read_config(&c, "", NULL), 0);
    assert_string_equal(c.host, "127.0.0.1");
    assert_int_equal(c.port, 8080);
    assert_false(c.allow_remote || c.test_hooks || c.help || c.healthcheck);
    assert_int_equal(c.models.count + c.hosts.count + c.cors.count, 0);
    assert_null(c.models.items[0]);
    assert_true(c.ttl_s == 3600 && c.remember_dead_s == 3600);
    assert_int_equal(c.kept_states, 8);
    assert_int_equal(c.remember_dead_ids, 10000);
    assert_true(c.session_memory_bytes > 1 << 20);
    assert_int_equal(c.body_limit_bytes, 16 << 20);
    assert_int_equal(c.json_depth, 32);
    assert_int_equal(c.steps_limit, 100000);
    assert_int_equal(c.samples_limit, 1000);
    assert_int_equal(c.horizon_factor, 10);
    assert_int_equal(c.tokens_limit, 4096);
    assert_int_equal(c.queue_limit, 10000);
    assert_true(c.request_deadline_s == 30 && c.header_deadline_s == 10 && c.idle_timeout_s == 60);
    assert_int_equal(c.log_format, LOG_TEXT);
    assert_int_equal(c.numerics, NUMERICS_EXACT);
    assert_string_equal(c.isa, "auto");
    assert_false(c.accept_guesses);
    config_free(&c);
}

static void later_sources_win(void **unused)
{
    char flags[200], variable[100];
    char *environment[] = {variable, "RNND_TTL=2min", "RNND_KEPT_STATES=5", "RNND_MODELS=c,d",
                           "RNND_ACCEPT_GUESSES=yes", "OTHER=1", NULL};
    struct config c;
    (void)unused;
    snprintf(variable, sizeof variable, "RNND_CONFIG=%s", file_path);
    write_file("; a comment\n# another\n[serve]\nttl = 60s\nkept_states=4\nqueue-limit: 77\nmodels = a, b\n"
               "cors = http://one\n   http://two,http://three\nlog-format = json ; at the end\n");
    assert_int_equal(read_config(&c, "--kept-states=6", environment), 0);
    assert_true(c.ttl_s == 120);            /* environment over file */
    assert_true(c.accept_guesses);
    assert_int_equal(c.kept_states, 6);     /* flag over both */
    assert_int_equal(c.queue_limit, 77);    /* file over default */
    assert_int_equal(c.log_format, LOG_JSON);
    assert_int_equal(c.models.count, 2);    /* a list is replaced as a whole */
    assert_string_equal(c.models.items[1], "d");
    assert_int_equal(c.cors.count, 3);      /* and continued over lines */
    assert_string_equal(c.cors.items[2], "http://three");
    config_free(&c);

    snprintf(flags, sizeof flags, "x=1.safetensors --config %s y/ --cors http://a --cors http://b", file_path);
    environment[0] = "RNND_CONFIG=/nowhere"; /* the flag wins here too */
    assert_int_equal(read_config(&c, flags, environment), 0);
    assert_int_equal(c.models.count, 2);
    assert_string_equal(c.models.items[0], "x=1.safetensors");
    assert_string_equal(c.models.items[1], "y/");
    assert_int_equal(c.cors.count, 2);
    assert_null(c.cors.items[2]);
    config_free(&c);
}

static void units(void **unused)
{
    struct config c;
    (void)unused;
    assert_int_equal(read_config(&c, "--ttl 1.5h --header-deadline 250ms --idle-timeout 2 --body-limit 64KiB "
                                     "--session-memory 2GB --remember-dead 2d --stream-buffer 4096", NULL), 0);
    assert_true(c.ttl_s == 5400 && c.header_deadline_s == 0.25 && c.idle_timeout_s == 2 && c.remember_dead_s == 172800);
    assert_int_equal(c.body_limit_bytes, 65536);
    assert_int_equal(c.session_memory_bytes, 2000000000);
    assert_int_equal(c.stream_buffer_bytes, 4096);
    config_free(&c);
    size_t half, whole;
    assert_int_equal(read_config(&c, "--session-memory 50%", NULL), 0);
    half = c.session_memory_bytes;
    config_free(&c);
    assert_int_equal(read_config(&c, "--session-memory 100%", NULL), 0);
    whole = c.session_memory_bytes;
    assert_in_range(half, whole / 2 - 1, whole / 2 + 1);
    config_free(&c);
}

static void listen_addresses(void **unused)
{
    struct config c;
    (void)unused;
    assert_int_equal(read_config(&c, "--listen localhost:0", NULL), 0);
    assert_string_equal(c.host, "localhost");
    assert_int_equal(c.port, 0);
    config_free(&c);
    assert_int_equal(read_config(&c, "--listen [::1]:99", NULL), 0);
    assert_string_equal(c.host, "::1");
    assert_int_equal(c.port, 99);
    config_free(&c);
    assert_int_equal(read_config(&c, "--listen unix:/run/rnnd.sock", NULL), 0);
    assert_string_equal(c.host, "unix:/run/rnnd.sock");
    config_free(&c);
    static const char *const bad[] = {"8080", "127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:65536", "127.0.0.1:8o",
                                      "::1:80", "[]:80", "unix:", "127.0.0.1:-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char flags[64];
        snprintf(flags, sizeof flags, "--listen %s", bad[i]);
        REFUSED(flags, NULL, "--listen", "unix:PATH", bad[i]);
    }
}

static void other_machines_only_on_purpose(void **unused)
{
    char *environment[] = {"RNND_LISTEN=0.0.0.0:80", NULL}, *both[] = {"RNND_LISTEN=0.0.0.0:80",
                                                                       "RNND_ALLOW_REMOTE=1", NULL};
    struct config c;
    (void)unused;
    REFUSED("--listen 0.0.0.0:80", NULL, "--listen", "0.0.0.0:80", "--allow-remote");
    REFUSED("--listen [::]:80", NULL, "--allow-remote");
    REFUSED("--listen example.org:80", NULL, "--allow-remote");
    REFUSED("", environment, "RNND_LISTEN", "--allow-remote");
    assert_int_equal(read_config(&c, "", both), 0);
    assert_int_equal(c.hosts.count, 1);
    assert_string_equal(c.hosts.items[0], "*");
    config_free(&c);
    assert_int_equal(read_config(&c, "--listen 0.0.0.0:80 --allow-remote --hosts a.example,b.example", NULL), 0);
    assert_int_equal(c.hosts.count, 2);
    assert_string_equal(c.hosts.items[0], "a.example");
    config_free(&c);
}

static void refusals_name_setting_source_wanted_found(void **unused)
{
    char flags[128], where[80];
    char *bad_number[] = {"RNND_KEPT_STATES=many", NULL};
    char *bad_row[] = {"RNND_ISA=fast", NULL};
    (void)unused;
    REFUSED("--ttl soon", NULL, "--ttl", "wants a time", "soon");
    REFUSED("--ttl 0s", NULL, "--ttl", "1 to", "0s");
    REFUSED("--ttl -5", NULL, "--ttl", "-5");
    REFUSED("--ttl 1e3", NULL, "1e3");
    REFUSED("--ttl 1..5", NULL, "1..5");
    REFUSED("--ttl", NULL, "--ttl", "missing");
    REFUSED("--config", NULL, "--config", "missing");
    REFUSED("--kept-states 2.5", NULL, "whole number", "2.5");
    REFUSED("--kept-states 8KiB", NULL, "whole number", "8KiB");
    REFUSED("--session-memory 120%", NULL, "wants a size", "120%");
    REFUSED("--body-limit 3MB5", NULL, "wants a size", "3MB5");
    REFUSED("--kept-states 0", NULL, "1 to 1000", "'0'");
    REFUSED("--numerics sloppy", NULL, "exact|fast", "sloppy");
    REFUSED("--isa sse9", NULL, "--isa", "a kernel row that this machine has", "baseline", "sse9");
    REFUSED("", bad_row, "RNND_ISA", "baseline", "fast");
    REFUSED("--isa baseline --numerics fast", NULL, "--isa", "does not go with numerics fast");
    REFUSED("--log-format xml", NULL, "text|json|off", "xml");
    REFUSED("--allow-remote=perhaps", NULL, "yes or no", "perhaps");
    REFUSED("--listen=", NULL, "--listen", "nothing");
    REFUSED("--tll 5", NULL, "there is no flag --tll");
    REFUSED("-v", NULL, "there is no flag -v");
    REFUSED("", bad_number, "RNND_KEPT_STATES", "whole number", "many");
    REFUSED("--config /nowhere/rnnd.ini", NULL, "/nowhere/rnnd.ini", "cannot be read");

    snprintf(flags, sizeof flags, "--config=%s", file_path);
    snprintf(where, sizeof where, "%s:3", file_path);
    write_file("[serve]\n\nttl = never\n");
    REFUSED(flags, NULL, where, "ttl wants", "never");
    write_file("\n\nspeed = 11\n");
    REFUSED(flags, NULL, where, "there is no setting 'speed'");
    write_file("\n[server]\nttl = 5\n");
    REFUSED(flags, NULL, where, "[server]");
    write_file("ttl = 5\n\nwhat is this\n");
    REFUSED(flags, NULL, where, "name = value");
    FILE *f = fopen(file_path, "w");
    assert_non_null(f);
    fputs("\n\nhosts = ", f);
    for (int i = 0; i < 500; i++) fputs("host.example,", f);
    fputs("\n", f);
    fclose(f);
    REFUSED(flags, NULL, where, "longer than");
}

static void what_is_asked_instead_of_serving(void **unused)
{
    struct config c;
    char *text = NULL;
    size_t bytes = 0;
    (void)unused;
    assert_int_equal(read_config(&c, "--healthcheck --listen 127.0.0.1:9", NULL), 0);
    assert_true(c.healthcheck);
    assert_int_equal(c.port, 9);
    config_free(&c);
    assert_int_equal(read_config(&c, "--nonsense --help", NULL), 0); /* help wins over mistakes */
    assert_true(c.help);
    config_free(&c);
    assert_int_equal(read_config(&c, "--test-hooks", NULL), 0);
    assert_true(c.test_hooks);
    config_free(&c);
    FILE *f = open_memstream(&text, &bytes);
    config_help(f);
    fclose(f);
    assert_non_null(strstr(text, "--session-memory SIZE"));
    assert_non_null(strstr(text, "[25%]"));
    assert_null(strstr(text, "test-hooks"));
    for (char *line = text; *line; line += strcspn(line, "\n") + 1) assert_true(strcspn(line, "\n") <= 120);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(units),
        cmocka_unit_test(listen_addresses),
        cmocka_unit_test(other_machines_only_on_purpose),
        cmocka_unit_test(refusals_name_setting_source_wanted_found),
        cmocka_unit_test(what_is_asked_instead_of_serving),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
