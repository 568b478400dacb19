/* folder.h -- the files of a folder that tests go through. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <stddef.h>

/* Calls see() with the path of every file that has one of these endings (".pt", .. and NULL), but for those that are to
 * be refused ("refused*"); returns how many. Fails the test where there is no folder. */
size_t folder_each(const char *path, const char *const *endings, void (*see)(const char *file, void *context),
                   void *context);

#endif
