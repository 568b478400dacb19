/* convert.c -- `rnnd convert`: any model file as one in the native format. */
#include <stdlib.h>
#include <unistd.h>

#include "core/cli/cli.h"

static int convert(int argc, char **argv)
{
    const char *config_path = NULL, *files[2];
    bool accept = false, force = false;
    const struct cli_option options[] = {
        {"config", 0, CLI_TEXT, &config_path, "FILE", "the model's configuration, instead of NAME.rnnd.json beside it"},
        {"accept-guesses", 0, CLI_FLAG, &accept, NULL, "write down as true what the file does not say and was guessed"},
        {"force", 'f', CLI_FLAG, &force, NULL, "write over a file that is there"},
        {0}};
    const struct cli_usage usage = {
        "convert", "IN OUT.safetensors [--config C.json]",
        "Writes a model of any format that is read as a native file: tensors and configuration in one, which\n"
        "opens as the same network.\n\n"
        "Exit codes: 0 done, 1 failed, 2 usage, 3 the model cannot be opened or not be written in this format.",
        "example: weights and the side file beside them, as one file\n\n"
        "  rnnd convert lstm.pth lstm.safetensors",
        options, 2, 2};
    char path[CLI_PATH_BYTES], *config = NULL;
    size_t bytes;
    rnnd_error err;
    int code;
    if (!cli_parse(&usage, argc, argv, files, &code))
        return code;
    if (!cli_has_suffix(files[1], ".safetensors")) {
        fprintf(stderr, "rnnd convert: the second file is %s; wanted a name that ends in .safetensors\n", files[1]);
        return CLI_USAGE;
    }
    if (!force && access(files[1], F_OK) == 0) {
        fprintf(stderr, "rnnd convert: %s is there already; --force writes over it\n", files[1]);
        return CLI_FAILED;
    }
    rnnd_code done = cli_find_model(files[0], path, &err);
    if (done == RNND_OK && config_path)
        done = cli_read_file(config_path, (size_t)8 << 20, &config, &bytes, &err);
    if (done != RNND_OK) {
        code = cli_fail("convert", &err);
    } else {
        rnnd_options how = {.kernel_row = cli_kernel_row(), .config = config, .accept_guesses = accept};
        code = rnnd_convert(path, &how, files[1], &err) == RNND_OK ? CLI_OK : cli_fail_model("convert", &err);
    }
    free(config);
    if (code == CLI_OK)
        printf("wrote %s\n", files[1]);
    return code;
}

const struct command command_convert = {"convert", "write a model in the native format", convert};
