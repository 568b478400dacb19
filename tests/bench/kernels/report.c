/* report.c -- the kernel suite's tables: each shape, geometric means, losses. A ratio is a peer's time by ours. */
#include <math.h>
#include <string.h>

#include "tests/bench/kernels/peak.h"
#include "tests/bench/kernels/results.h"

int results_find(const struct results *r, const char *name)
{
    for (size_t i = 0; i < r->backend_count; i++)
        if (strcmp(r->backends[i]->name, name) == 0) return (int)i;
    return -1;
}

double results_us(const struct results *r, size_t shape, int backend)
{
    double least = 0;
    if (backend < 0) return 0;
    const struct result *of = &r->of[shape][backend];
    for (int i = 0; i < of->rounds; i++)
        if (i == 0 || of->round[i].median_us < least) least = of->round[i].median_us;
    return least;
}

int results_best_peer(const struct results *r, size_t shape, enum precision precision)
{
    int best = -1;
    for (size_t i = 0; i < r->backend_count; i++) {
        if (r->backends[i]->ours || r->backends[i]->precision != precision || !r->of[shape][i].rounds) continue;
        if (best < 0 || results_us(r, shape, (int)i) < results_us(r, shape, best)) best = (int)i;
    }
    return best;
}

int results_ours(const struct results *r, enum precision precision)
{
    for (size_t i = 0; i < r->backend_count; i++)
        if (r->backends[i]->ours && r->backends[i]->precision == precision) return (int)i;
    return -1;
}

static void print_shape(const struct shape *s, FILE *to)
{
    fprintf(to, "%-4s %5zu %5zu %2zu %4zu %4zu %2d", s->gru ? "gru" : "lstm", s->inputs, s->hidden, s->layers, s->batch,
            s->steps, s->threads);
}

static void print_ratio(double peer, double ours, FILE *to)
{
    if (peer > 0 && ours > 0)
        fprintf(to, " %11.2f", peer / ours);
    else
        fprintf(to, " %11s", "-");
}

void report_shapes(const struct results *r, FILE *to)
{
    fprintf(to, "\nrnnd in us; each peer's time by that of rnnd in the same precision (above 1: rnnd is faster)\n"
                "cell inputs hidden L   B    T  th      rnnd  %%peak");
    for (int p = FP32; p <= INT8; p++) {
        if (p && results_ours(r, p) >= 0) fprintf(to, "  %9s", r->backends[results_ours(r, p)]->name);
        for (size_t i = 0; i < r->backend_count; i++)
            if (!r->backends[i]->ours && (int)r->backends[i]->precision == p)
                fprintf(to, " %11s", r->backends[i]->name);
    }
    fprintf(to, "  best fp32 peer\n");
    for (size_t k = 0; k < r->shape_count; k++) {
        double fp32 = results_us(r, k, results_ours(r, FP32)), peak = r->peak[FP32][r->shapes[k].threads];
        int best = results_best_peer(r, k, FP32);
        print_shape(&r->shapes[k], to);
        fprintf(to, " %10.2f %6.1f", fp32, fp32 > 0 && peak > 0 ? shape_flop(&r->shapes[k]) / fp32 / peak / 10 : 0);
        for (int p = FP32; p <= INT8; p++) {
            double ours = results_us(r, k, results_ours(r, p));
            if (p && results_ours(r, p) >= 0) fprintf(to, "  %9.2f", ours);
            for (size_t i = 0; i < r->backend_count; i++)
                if (!r->backends[i]->ours && (int)r->backends[i]->precision == p)
                    print_ratio(results_us(r, k, (int)i), ours, to);
        }
        fprintf(to, "  %s\n", best < 0 ? "-" : r->backends[best]->name);
    }
}

/* ---- geometric means ---- */

struct group {
    const char *name;
    size_t least_batch, most_batch, steps;
};
static const struct group groups[] = {
    {"B=1 T=1", 1, 1, 1}, {"B>=8 T=1", 8, 128, 1}, {"B=1 T=128", 1, 1, 128}, {"B=32 T=128", 8, 128, 128}};

/* Over a group's shapes: a peer's time (-1: the best of that precision's) by ours. 0: none was measured. */
static double mean_ratio(const struct results *r, const struct group *g, int threads, int peer,
                         enum precision precision)
{
    double sum = 0;
    int n = 0;
    for (size_t k = 0; k < r->shape_count; k++) {
        const struct shape *s = &r->shapes[k];
        if (s->threads != threads || s->batch < g->least_batch || s->batch > g->most_batch || s->steps != g->steps)
            continue;
        double ours = results_us(r, k, results_ours(r, precision));
        double theirs = results_us(r, k, peer < 0 ? results_best_peer(r, k, precision) : peer);
        if (ours > 0 && theirs > 0) sum += log(theirs / ours), n++;
    }
    return n ? exp(sum / n) : 0;
}

void report_groups(const struct results *r, FILE *to)
{
    static const char *const precisions[] = {"best fp32", "best bf16", "best int8"};
    fprintf(to, "\ngeometric means of those ratios, LSTM and GRU\n%-12s th", "shapes");
    for (size_t i = 0; i < r->backend_count; i++)
        if (!r->backends[i]->ours) fprintf(to, " %11s", r->backends[i]->name);
    for (int p = FP32; p <= INT8; p++)
        fprintf(to, " %11s", precisions[p]);
    fprintf(to, "\n");
    for (int threads = 1; threads <= 2; threads++)
        for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
            fprintf(to, "%-12s %2d", groups[g].name, threads);
            for (size_t i = 0; i < r->backend_count; i++)
                if (!r->backends[i]->ours)
                    print_ratio(mean_ratio(r, &groups[g], threads, (int)i, r->backends[i]->precision), 1, to);
            for (int p = FP32; p <= INT8; p++)
                print_ratio(mean_ratio(r, &groups[g], threads, -1, p), 1, to);
            fprintf(to, "\n");
        }
}

static void report_below(const struct results *r, enum precision precision, double wanted, const char *text, FILE *to)
{
    size_t losses = 0, shapes = 0;
    int ours = results_ours(r, precision);
    fprintf(to, "\n%s, one thread: shapes below %.2f of the best peer\n", text, wanted);
    for (size_t k = 0; k < r->shape_count; k++) {
        int best = results_best_peer(r, k, precision);
        double us = results_us(r, k, ours), theirs = results_us(r, k, best);
        if (r->shapes[k].threads != 1 || !(us > 0) || !(theirs > 0)) continue;
        shapes++;
        if (theirs / us >= wanted) continue;
        losses++;
        print_shape(&r->shapes[k], to);
        fprintf(to, "  rnnd %.2f us, %s %.2f us: %.2f\n", us, r->backends[best]->name, theirs, theirs / us);
    }
    fprintf(to, "%zu of %zu shapes\n", losses, shapes);
}

void report_losses(const struct results *r, FILE *to)
{
    report_below(r, BF16, 1.15, "bf16", to);
    report_below(r, INT8, 1.0, "int8", to);
    report_below(r, FP32, 0.97, "fp32", to);
}

void report_reading(const struct results *r, FILE *to)
{
    static const double bytes_of[] = {[FP32] = 4, [BF16] = 2, [INT8] = 1};
    fprintf(to, "\none row, one step, one thread: weights read, GB/s, beside summing as many bytes\n");
    for (size_t k = 0; k < r->shape_count; k++) {
        const struct shape *s = &r->shapes[k];
        if (s->threads != 1 || s->batch != 1 || s->steps != 1) continue;
        print_shape(s, to);
        for (int p = FP32; p <= INT8; p++) {
            int ours = results_ours(r, p), peer = results_best_peer(r, k, p);
            double us = results_us(r, k, ours), bytes = shape_flop(s) / 2 * bytes_of[p];
            if (!(us > 0)) continue;
            fprintf(to, "  %s %.2f MB: %.0f", r->backends[ours]->name, bytes * 1e-6, bytes / us * 1e-3);
            if (peer >= 0) fprintf(to, ", %s %.0f", r->backends[peer]->name, bytes / results_us(r, k, peer) * 1e-3);
            fprintf(to, " of %.0f", read_gbs((size_t)bytes));
        }
        fprintf(to, "\n");
    }
}
