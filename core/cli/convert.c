/* convert.c -- `rnnd convert`: any model file as one in the native format. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cli/cli.h"

/* What the new file is; a reduced one is opened for what it cost. */
static int tell(const char *file, const char *precision)
{
    const rnnd_options options = {.kernel_row = cli_kernel_row(), .accept_guesses = true, .force_precision = true};
    rnnd_model *model;
    rnnd_error err;
    struct stat st;
    printf("wrote %s", file);
    if (stat(file, &st) == 0) printf(", %lld bytes", (long long)st.st_size);
    printf("\n");
    if (!precision || strcmp(precision, "fp32") == 0)
        return CLI_OK;
    if (rnnd_model_open(file, &options, &model, &err) != RNND_OK) return cli_fail_model("convert", &err);
    const rnnd_info *m = rnnd_model_info(model);
    printf("in %s: outputs differ from those in fp32 by %.2g %%\n", m->precision, 100 * m->precision_error);
    rnnd_model_close(model);
    return CLI_OK;
}

static int convert(int argc, char **argv)
{
    const char *config_path = NULL, *files[2];
    bool force = false;
    rnnd_options how = {.kernel_row = cli_kernel_row()};
    const struct cli_option options[] = {
        {"config", 0, CLI_TEXT, &config_path, "FILE", "the model's configuration, instead of NAME.rnnd.json beside it"},
        {"accept-guesses", 0, CLI_FLAG, &how.accept_guesses, NULL,
         "write down as true what the file does not say and was guessed"},
        {"precision", 0, CLI_TEXT, &how.precision, "NAME", "keep weights in bf16 or int8; what that costs is measured"},
        {"force-precision", 0, CLI_FLAG, &how.force_precision, NULL, "even where outputs differ by more than a tenth"},
        {"force", 'f', CLI_FLAG, &force, NULL, "write over a file that is there"},
        {0}};
    const struct cli_usage usage = {
        "convert",
        "IN OUT.safetensors [--config C.json]",
        "Writes a model of any format that is read as a native file: tensors and configuration in one, which\n"
        "opens as the same network. With --precision weights take half or a quarter of the room, and the file opens\n"
        "in that precision by itself, with the answers that --precision gives of the original.\n\n"
        "Exit codes: 0 done, 1 failed, 2 usage, 3 the model cannot be opened or not be written in this format.",
        "example: weights and the side file beside them, as one file\n\n"
        "  rnnd convert lstm.pth lstm.safetensors",
        options,
        2,
        2};
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
        how.config = config;
        code = rnnd_convert(path, &how, files[1], &err) == RNND_OK ? CLI_OK : cli_fail_model("convert", &err);
    }
    free(config);
    return code == CLI_OK ? tell(files[1], how.precision) : code;
}

const struct command command_convert = {"convert", "write a model in the native format", convert};
