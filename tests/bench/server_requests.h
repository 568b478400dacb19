/* server_requests.h -- the requests of the server suite, as whole HTTP texts; each is the caller's to free (bytes). */
#ifndef TESTS_BENCH_SERVER_REQUESTS_H
#define TESTS_BENCH_SERVER_REQUESTS_H

#include "tests/bench/control/lstm.h"
#include "tests/bench/load.h"

#define STEP_INPUTS LSTM_INPUTS

/* One step of session "bench-N" of the model "lstm". */
struct load_request request_step(size_t session);
struct load_request request_step_bytes(size_t session);
/* The same in session "sNNNNNNN" of the next of `ids`. */
struct load_request request_any_step(struct load_ids *ids);
/* POST /v1/steps with so many rows, each in the session of the next of `ids`, as lines of JSON or as bytes. */
struct load_request request_many(struct load_ids *ids, size_t rows);
struct load_request request_many_bytes(struct load_ids *ids, size_t rows);
/* One window of so many steps for the model "lstm". */
struct load_request request_window(size_t steps);
/* A forecast of a made-up history of so many steps by the model "series". */
struct load_request request_forecast(size_t steps);
/* An event stream of so many tokens by the model "text". */
struct load_request request_stream(int tokens);

#endif
