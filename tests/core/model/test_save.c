/* test_save.c -- a native file is written as a whole or not at all, whichever allocation fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/formats/format.h"
#include "core/model/save.h"
#include "tests/lib/build_model.h"

static const char config[] =
    "{\"format\":1,\"inputs\":[{\"width\":2}],\"layers\":[{\"type\":\"gru\",\"name\":\"n\",\"hidden\":3}]}";

static void every_allocation_fails(void **unused)
{
    (void)unused;
    char dir[] = "/tmp/rnnd-test-XXXXXX", path[64], part[72];
    struct model_builder b;
    struct checkpoint ck;
    size_t bytes, n = 1;
    rnnd_model *m;
    rnnd_error err;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/saved.safetensors", dir);
    snprintf(part, sizeof part, "%s.part", path);
    builder_init(&b, 5);
    builder_torch(&b, "n", 3, 2, 3, 1, false, 0);
    void *image = builder_image(&b, config, &bytes);
    for (; n < 1000; n++) {
        rnnd_code code;
        memset(&err, 0, sizeof err);
        checkpoint_init(&ck); /* anew: what a checkpoint has converted it keeps */
        assert_int_equal(format_read(image, bytes, NULL, &ck, &err), RNND_OK);
        mem_fail_at(n);
        code = save_native(path, "saved.pt", &ck, bytes, config, &(struct save_how){NULL}, &err);
        mem_fail_at(0);
        checkpoint_free(&ck);
        assert_int_not_equal(access(part, F_OK), 0);
        assert_int_equal(access(path, F_OK) == 0, code == RNND_OK);
        if (!code) break;
        if (code != RNND_NO_MEMORY) fail_msg("allocation %zu: %d %s", n, code, err.message);
        assert_int_equal(err.code, code);
    }
    assert_in_range(n, 4, 400);
    if (rnnd_model_open(path, NULL, &m, &err)) fail_msg("%s", err.message);
    rnnd_model_close(m);
    unlink(path);
    checkpoint_init(&ck);
    assert_int_equal(format_read(image, bytes, NULL, &ck, &err), RNND_OK);
    snprintf(path, sizeof path, "%s/none/saved.safetensors", dir);
    assert_int_equal(save_native(path, "saved.pt", &ck, bytes, config, &(struct save_how){NULL}, &err), RNND_IO);
    assert_non_null(strstr(err.message, path));
    checkpoint_free(&ck);
    rmdir(dir);
    mem_free(image);
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
