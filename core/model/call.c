/* call.c -- the network on whole tensors. */
#include "core/base/error.h"

rnnd_code rnnd_call_open(const rnnd_model *model, rnnd_call **out, rnnd_error *err)
{
    (void)model;
    *out = NULL;
    return fail(err, RNND_UNSUPPORTED, "this build does not run networks on whole tensors");
}

rnnd_code rnnd_call_run(rnnd_call *call, const rnnd_tensor *inputs, size_t count, rnnd_error *err)
{
    (void)call, (void)inputs, (void)count;
    return fail(err, RNND_UNSUPPORTED, "this build does not run networks on whole tensors");
}

rnnd_code rnnd_call_output(rnnd_call *call, const char *name, rnnd_tensor *out, rnnd_error *err)
{
    (void)call, (void)name, (void)out;
    return fail(err, RNND_NOT_FOUND, "nothing has been computed");
}

size_t rnnd_call_inputs(const rnnd_call *call, const char *const **names)
{
    (void)call;
    *names = NULL;
    return 0;
}

size_t rnnd_call_outputs(const rnnd_call *call, const char *const **names)
{
    return rnnd_call_inputs(call, names);
}

size_t rnnd_call_taps(const rnnd_call *call, const char *const **names)
{
    return rnnd_call_inputs(call, names);
}

void rnnd_call_close(rnnd_call *call)
{
    (void)call;
}
