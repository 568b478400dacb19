/* goals.c -- the kernel suite's goals, each beside what was measured. */
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "tests/bench/kernels/results.h"

static void line(FILE *to, const char *goal, const char *unit, double wanted, double measured, const char *where)
{
    fprintf(to, "%-48s", goal);
    if (!(measured > 0))
        fprintf(to, " %6.2f%s  not measured\n", wanted, unit);
    else
        fprintf(to, " %6.2f%s  %7.2f%s  %s%s%s\n", wanted, unit, measured, unit, measured >= wanted ? "met" : "MISSED",
                *where ? "  least at " : "", where);
}

/* What of the shapes a goal is about. */
struct choice {
    int cell;                    /* 0 LSTM, 1 GRU, -1 both */
    size_t hidden, least_hidden; /* 0: any */
    size_t least_batch, most_batch, most_steps;
    int threads;
    bool plain; /* one layer of 64 inputs alone */
};

static bool chosen(const struct choice *c, const struct shape *s)
{
    return (c->cell < 0 || c->cell == (s->gru ? 1 : 0)) && (!c->hidden || s->hidden == c->hidden) &&
           s->hidden >= c->least_hidden && s->batch >= c->least_batch && s->batch <= c->most_batch &&
           s->steps <= c->most_steps && s->threads == c->threads && (!c->plain || (s->layers == 1 && s->inputs == 64));
}

struct summary {
    double least, mean;
    char where[64]; /* the least is */
};

/* A shape's figure; 0: not measured. */
typedef double figure(const struct results *r, size_t shape, int a, int b);

/* a's time by b's */
static double ratio(const struct results *r, size_t shape, int a, int b)
{
    double first = results_us(r, shape, a), second = results_us(r, shape, b);
    return first > 0 && second > 0 ? first / second : 0;
}

/* the best peer's time of b's precision by b's */
static double best_ratio(const struct results *r, size_t shape, int a, int b)
{
    (void)a;
    return b < 0 ? 0 : ratio(r, shape, results_best_peer(r, shape, r->backends[b]->precision), b);
}

/* b's share of the peak, in per cent */
static double peak_share(const struct results *r, size_t shape, int a, int b)
{
    double us = results_us(r, shape, b), peak = r->peak[FP32][r->shapes[shape].threads];
    (void)a;
    return us > 0 && peak > 0 ? shape_flop(&r->shapes[shape]) / us / peak / 10 : 0;
}

static struct summary summarize(const struct results *r, const struct choice *c, figure *f, int a, int b)
{
    struct summary s = {.least = INFINITY};
    double sum = 0;
    int n = 0;
    for (size_t k = 0; k < r->shape_count; k++) {
        const struct shape *shape = &r->shapes[k];
        double v = chosen(c, shape) ? f(r, k, a, b) : 0;
        if (!(v > 0)) continue;
        sum += log(v);
        n++;
        if (v >= s.least) continue;
        s.least = v;
        snprintf(s.where, sizeof s.where, "%s I=%zu H=%zu L=%zu B=%zu T=%zu", shape->gru ? "gru" : "lstm",
                 shape->inputs, shape->hidden, shape->layers, shape->batch, shape->steps);
    }
    if (!n) s.least = 0;
    s.mean = n ? exp(sum / n) : 0;
    return s;
}

static const size_t sizes[] = {64, 128, 256, 512, 1024};

/* One row at a time beside ONNX Runtime, per number of units. */
static void against_ort(const struct results *r, FILE *to, const char *peer, int ours, int cells, const double *wanted)
{
    for (int cell = 0; cell < cells; cell++)
        for (size_t i = 0; i < 5; i++) {
            struct choice c = {.cell = cell,
                               .hidden = sizes[i],
                               .least_batch = 1,
                               .most_batch = 1,
                               .most_steps = 1,
                               .threads = 1,
                               .plain = true};
            char goal[80];
            snprintf(goal, sizeof goal, "%s H=%zu B=1 T=1 beside %s", cell ? "GRU" : "LSTM", sizes[i], peer);
            line(to, goal, "x", wanted[i], summarize(r, &c, ratio, results_find(r, peer), ours).mean, "");
        }
}

void report_goals(const struct results *r, FILE *to)
{
    static const double fp32_wanted[] = {4, 2.3, 1.5, 1.2, 1.5}, int8_wanted[] = {10, 5, 3, 1.8, 1.3};
    int fp32 = results_ours(r, FP32), bf16 = results_ours(r, BF16), int8 = results_ours(r, INT8);
    struct choice any = {.cell = -1, .least_batch = 1, .most_batch = SIZE_MAX, .most_steps = SIZE_MAX, .threads = 1},
                  batched = any, batched_64 = any, batched_256 = any, one = any;
    struct summary s;
    batched.least_batch = batched_64.least_batch = batched_256.least_batch = 8;
    batched_64.hidden = 64;
    batched_256.least_hidden = 256;
    batched_64.plain = batched_256.plain = true;
    one.most_batch = 1;
    fprintf(to, "\n%-48s %7s  %8s\n", "goal", "wanted", "measured");
    against_ort(r, to, "ort", fp32, 2, fp32_wanted);
    s = summarize(r, &any, best_ratio, 0, fp32);
    line(to, "fp32, every shape beside the best peer", "x", 0.97, s.least, s.where);
    s = summarize(r, &batched_64, peak_share, 0, fp32);
    line(to, "fp32 of the peak, B>=8, H=64", "%", 80, s.least, s.where);
    s = summarize(r, &batched_256, peak_share, 0, fp32);
    line(to, "fp32 of the peak, B>=8, H>=256", "%", 88, s.least, s.where);
    s = summarize(r, &batched, best_ratio, 0, fp32);
    line(to, "fp32, B>=8, mean beside the best peer", "x", 1.10, s.mean, "");
    s = summarize(r, &any, ratio, fp32, bf16);
    line(to, "bf16, mean beside our fp32", "x", 1.8, s.mean, "");
    line(to, "bf16, every shape beside our fp32", "x", 1.8, s.least, s.where);
    s = summarize(r, &any, ratio, results_find(r, "onednn_bf16"), bf16);
    line(to, "bf16, every shape beside oneDNN", "x", 1.15, s.least, s.where);
    against_ort(r, to, "ort_int8", int8, 1, int8_wanted);
    s = summarize(r, &batched, best_ratio, 0, int8);
    line(to, "int8, B>=8, mean beside the best peer", "x", 1.2, s.mean, "");
    s = summarize(r, &any, best_ratio, 0, int8);
    line(to, "int8, every shape beside the best peer", "x", 1.0, s.least, s.where);
    batched.threads = one.threads = 2;
    s = summarize(r, &batched, best_ratio, 0, fp32);
    line(to, "2 threads, B>=8, mean beside the best peer", "x", 1.25, s.mean, "");
    s = summarize(r, &one, best_ratio, 0, fp32);
    line(to, "2 threads, B=1, mean beside the best peer", "x", 1.5, s.mean, "");
}
