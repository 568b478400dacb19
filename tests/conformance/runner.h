/* runner.h -- the conformance runner: any folder of models with inputs and expected outputs, told by its layout. */
#ifndef RUNNER_H
#define RUNNER_H

#include <stdbool.h>

#include "core/cli/array.h"
#include "core/rnnd.h"
#include "tests/lib/stream.h"

enum { PATH_BYTES = 4096, MOST_ARRAYS = 64 };

struct suite {
    const char *root;    /* CASES */
    const char *configs; /* CONFIGS, or NULL */
    int passed, failed, skipped;
};

/* ---- named arrays (files.c) ------------------------------------------------------------------------------------ */

struct named { char name[128]; struct array array; };
struct bundle { struct named items[MOST_ARRAYS]; size_t count; };
void bundle_free(struct bundle *b);
struct array *bundle_find(struct bundle *b, const char *name); /* NULL: none */
rnnd_code bundle_read_npz(const char *path, struct bundle *out, rnnd_error *err);
/* An ONNX TensorProto; its name too. */
rnnd_code tensor_read_pb(const char *path, struct named *out, rnnd_error *err);
/* The inputs of an ONNX model that no value stands for in the file, in its order. */
struct names { char names[MOST_ARRAYS + 1][128]; size_t count; };
void onnx_inputs(const char *path, struct names *out);
/* One folder and a file in it; false if that is too long. */
bool path_join(char out[PATH_BYTES], const char *folder, const char *file);
bool file_exists(const char *path);
/* b's axis order[i] becomes axis i; a new array in *out. */
rnnd_code array_permute(const struct array *a, const size_t *order, struct array *out, rnnd_error *err);

/* ---- verdicts (verdict.c) -------------------------------------------------------------------------------------- */

struct verdict { /* of a case: the output that is worst against what is allowed */
    bool seen, bad, guessed; /* guessed: the model was run with what its file does not say as it was guessed */
    double error, allowed;
    char why[700];
};
/* Axes of 1 do not count in shapes. `label` names the output. */
void verdict_compare(struct verdict *v, const struct array *got, const struct array *want, const char *label);
void verdict_fail(struct verdict *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the line of a case and counts it. */
void verdict_close(struct suite *s, const char *name, const struct verdict *v);
void suite_skip(struct suite *s, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A case's name: its path below the root. */
const char *suite_name(const struct suite *s, const char *path);

/* ---- models (subject.c) ---------------------------------------------------------------------------------------- */

struct subject { rnnd_model *model; rnnd_call *call; };
/* config: JSON text or NULL. Failures go to the verdict; false then. */
bool subject_open(struct subject *m, const char *path, const char *config, struct verdict *v);
void subject_close(struct subject *m);
/* An input's name: `name` if the model has it, else that of its i-th, else NULL. */
const char *subject_input(const struct subject *m, const char *name, size_t i);
/* The tensor of that output or tap, else of the i-th output, else of the first output where it has the shape wanted. */
bool subject_output(struct subject *m, const char *name, size_t i, const struct array *want, struct array *out,
                    struct verdict *v); /* borrowed */
rnnd_tensor tensor_of(const char *name, const struct array *a); /* borrowed */

/* ---- streams (stream.c) ----------------------------------------------------------------------------------------- */

struct stream_result {
    enum stream_kind kind;
    size_t steps;
    bool whole; /* the call was held to windows too */
    char why[512];
};
/* Sessions of the model against its windows, over rows cut from a case's inputs. `called`: the call has been run on
 * these, and its answer is held to the windows' too, where one input is all there is. */
void stream_run(struct subject *m, const rnnd_tensor *in, size_t count, bool called, struct stream_result *r);
/* Prints the line of it behind that of the case, "NAME (carry)" or "NAME (sliding)", and counts it. Where the model
 * has no sessions it says why and counts nothing; nothing at all of a case that could not be run. */
void stream_close(struct suite *s, const char *name, const struct stream_result *r);

/* ---- layouts: each runs what it knows in a folder; true: the folder is its own, nothing below is looked at ------ */

bool onnx_folder(struct suite *s, const char *folder);     /* model.onnx, test_data_set_N/{input,output}_N.pb */
bool table_folder(struct suite *s, const char *folder);    /* cases.tsv, expected/CASE.npz */
void torch_cases(struct suite *s, const char *folder);     /* NAME.io.npz, NAME.json, NAME.pt and NAME.*.pt */
void rtneural_cases(struct suite *s, const char *folder);  /* NAME.json, NAME_x_python.csv, NAME_y_python.csv */

/* The names in a folder in order, each and the list to free(); NULL: no such folder. */
char **folder_list(const char *folder, size_t *count);
void folder_list_free(char **names, size_t count);

#endif
