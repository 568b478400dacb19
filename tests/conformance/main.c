/* main.c -- the conformance runner: walks folders, runs what it knows the layout of, counts. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/conformance/runner.h"

enum { MOST_DEPTH = 8 };

static void walk(struct suite *s, const char *folder, int depth)
{
    char path[PATH_BYTES];
    struct stat st;
    size_t count;
    if (onnx_folder(s, folder) || table_folder(s, folder))
        return;
    torch_cases(s, folder);
    rtneural_cases(s, folder);
    char **names = folder_list(folder, &count);
    for (size_t i = 0; i < count && depth < MOST_DEPTH; i++)
        if (path_join(path, folder, names[i]) && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            walk(s, path, depth + 1);
    folder_list_free(names, count);
}

int main(int argc, char **argv)
{
    struct suite s = {.configs = argc > 2 && argv[2][0] ? argv[2] : NULL};
    char root[PATH_BYTES];
    struct stat st;
    if (argc < 2 || stat(argv[1], &st) != 0 || !S_ISDIR(st.st_mode)) {
        fprintf(stderr, "usage: conformance CASES [CONFIGS]: a folder of cases, and one of side files\n");
        return 2;
    }
    snprintf(root, sizeof root, "%s", argv[1]);
    for (size_t n = strlen(root); n > 1 && root[n - 1] == '/'; n--)
        root[n - 1] = 0;
    s.root = root;
    walk(&s, root, 0);
    printf("%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped);
    return s.failed != 0;
}
