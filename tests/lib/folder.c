/* folder.c -- the files of a folder that tests go through. */
#include "tests/lib/folder.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

size_t folder_each(const char *path, const char *const *endings, void (*see)(const char *file, void *context),
                   void *context)
{
    DIR *dir = opendir(path);
    size_t count = 0;
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir));) {
        char file[512];
        bool wanted = false;
        const char *dot = strrchr(e->d_name, '.');
        for (const char *const *ending = endings; *ending && dot; ending++)
            wanted = wanted || strcmp(dot, *ending) == 0;
        if (!wanted || strncmp(e->d_name, "refused", 7) == 0) continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        see(file, context);
        count++;
    }
    closedir(dir);
    return count;
}
