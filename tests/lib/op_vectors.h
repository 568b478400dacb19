/* op_vectors.h -- one-node tensor graphs from text: what an operator answers, against what ONNX Runtime answered.
 *
 * A vectors file is lines of words, made by a script beside it (tests/vectors/make_ops_*.mjs over ops_lib.mjs):
 *     case NAME OP          begins a case; OP is the ONNX name
 *     tol 1e-6              |got - want| <= tol * max(1, |want|) for floats; without this line, and for int64 and bool,
 *                           equal; NaN wants NaN, infinities themselves
 *     int NAME V            an attribute; float NAME V; string NAME S; ints NAME V...; floats NAME V...;
 *                           strings NAME S...
 *     in TYPE DIMS V...     the next input, given at run time; TYPE is f (float), i (int64), b (bool); DIMS is 2,3 or
 *                           a dot for rank 0; values in row-major order, as strtof and strtoll read them; one value
 *                           alone stands for all elements
 *     const TYPE DIMS V...  the next input as a constant of the graph (weights, which a node may pack)
 *     none                  the next input is absent
 *     out TYPE DIMS V...    the next output and what it must be
 *     skip                  the next output is not asked for
 *     any                   the next output may be anything
 * Blank lines and lines that begin with # say nothing. */
#ifndef RNND_TESTS_OP_VECTORS_H
#define RNND_TESTS_OP_VECTORS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/graph/graph.h"

/* Runs every case of the file on every row of kernels, twice in the same run (the second pass in memory that the first
 * has joined), and once more with all inputs given at run time as constants. Fails the test, naming the case, at the
 * first that differs. Where ops is not NULL, only those operators (NULL at the end), each of which must have at least
 * one case. Returns how many cases ran. */
size_t op_vectors_check(const char *path, const char *const *ops);
/* The same for cases given as text. */
size_t op_text_check(const char *text);
/* Runs the one case of the text, with no `out` lines in need (then one output is asked for): it must fail, at compile
 * or at run, with this code and a sentence. Memory of a run is limited to 64 MiB. */
void op_text_fails(const char *text, rnnd_code code);
/* Runs the one case of the text with the n-th allocation failing, for every n: RNND_NO_MEMORY each time, or the right
 * answer. */
void op_text_torture(const char *text);

#endif
