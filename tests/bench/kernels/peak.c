/* peak.c -- chains of multiply-adds in registers, enough of them to hide their latency; and sums over memory. */
#include "tests/bench/kernels/peak.h"

#include <immintrin.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/bench/bench.h"

#define TURNS 400000
#define TRIES 41
#define AVX512 "avx512f,avx512bw,avx512vl,avx512dq"

typedef void chains(void);

/* TURNS times `count` instructions on registers; the barrier keeps the compiler from taking any of them away. */
#define CHAIN_FUNCTION(name, isa, count, type, zero, next)                                                             \
    __attribute__((target(isa))) static void name(void)                                                                \
    {                                                                                                                  \
        type a[count], x = zero, y = zero;                                                                             \
        __asm__ volatile("" : "+v"(x), "+v"(y));                                                                       \
        for (int i = 0; i < (count); i++)                                                                              \
            a[i] = zero;                                                                                               \
        for (int turn = 0; turn < TURNS; turn++) {                                                                     \
            _Pragma("GCC unroll 16") for (int i = 0; i < (count); i++) a[i] = next;                                    \
            __asm__ volatile("" ::"v"(a[0]), "v"(a[(count) / 2]));                                                     \
        }                                                                                                              \
        for (int i = 0; i < (count); i++)                                                                              \
            __asm__ volatile("" ::"v"(a[i]));                                                                          \
    }

#define SIXTEEN_BITS(v) ((__m512bh)(v))
CHAIN_FUNCTION(fp32_512, AVX512, 16, __m512, _mm512_setzero_ps(), _mm512_fmadd_ps(a[i], x, y))
CHAIN_FUNCTION(bf16_512, AVX512 ",avx512bf16", 16, __m512, _mm512_setzero_ps(),
               _mm512_dpbf16_ps(a[i], SIXTEEN_BITS(x), SIXTEEN_BITS(y)))
CHAIN_FUNCTION(int8_512, AVX512 ",avx512vnni", 16, __m512i, _mm512_setzero_si512(), _mm512_dpbusd_epi32(a[i], x, y))
CHAIN_FUNCTION(fp32_256, "avx2,fma", 12, __m256, _mm256_setzero_ps(), _mm256_fmadd_ps(a[i], x, y))

struct worker {
    pthread_t thread;
    pthread_barrier_t *barrier;
    chains *f;
    double start_us, end_us;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    pthread_barrier_wait(w->barrier);
    w->start_us = now_us();
    w->f();
    w->end_us = now_us();
    return NULL;
}

static double run_us(chains *f, int threads)
{
    struct worker w[2];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        w[i] = (struct worker){.barrier = &barrier, .f = f};
        if (pthread_create(&w[i].thread, NULL, work, &w[i])) die("no thread");
    }
    for (int i = 0; i < threads; i++)
        pthread_join(w[i].thread, NULL);
    double start = w[0].start_us, end = w[0].end_us;
    for (int i = 1; i < threads; i++) {
        if (w[i].start_us < start) start = w[i].start_us;
        if (w[i].end_us > end) end = w[i].end_us;
    }
    pthread_barrier_destroy(&barrier);
    return end - start;
}

double peak_gops(enum precision precision, int threads)
{
    bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    chains *f = NULL;
    double ops = 0, us[TRIES]; /* ops of an instruction */
    if (precision == FP32 && wide)
        f = fp32_512, ops = 32.0 * 16;
    else if (precision == FP32 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        f = fp32_256, ops = 16.0 * 12;
    else if (precision == BF16 && wide && __builtin_cpu_supports("avx512bf16"))
        f = bf16_512, ops = 64.0 * 16;
    else if (precision == INT8 && wide && __builtin_cpu_supports("avx512vnni"))
        f = int8_512, ops = 128.0 * 16;
    if (!f) return 0;
    for (int i = 0; i < TRIES; i++)
        us[i] = run_us(f, threads);
    median(us, TRIES);
    return ops * TURNS / us[0] * threads * 1e-3;
}

/* ---- reading ---- */

#define READ_FUNCTION(name, isa, type, load, add)                                                                      \
    __attribute__((target(isa))) static void name(const float *p, size_t bytes)                                        \
    {                                                                                                                  \
        type a[8] = {0};                                                                                               \
        size_t lanes = sizeof(type) / sizeof *p;                                                                       \
        for (const float *end = p + bytes / sizeof *p; p < end; p += 8 * lanes)                                        \
            _Pragma("GCC unroll 8") for (size_t i = 0; i < 8; i++) a[i] = add(a[i], load(p + i * lanes));              \
        for (int i = 0; i < 8; i++)                                                                                    \
            __asm__ volatile("" ::"v"(a[i]));                                                                          \
    }

READ_FUNCTION(read_512, "avx512f", __m512, _mm512_load_ps, _mm512_add_ps)
READ_FUNCTION(read_256, "avx2", __m256, _mm256_load_ps, _mm256_add_ps)

#define LARGE_PAGE ((size_t)2 << 20)
#define READ_BYTES 100e6 /* of one try */

double read_gbs(size_t bytes)
{
    bool wide = __builtin_cpu_supports("avx512f");
    double us[TRIES];
    if (!wide && !__builtin_cpu_supports("avx2")) return 0;
    bytes = (bytes + 511) / 512 * 512; /* whole turns of either loop */
    size_t turns = (size_t)(READ_BYTES / (double)bytes) + 1, room = (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    float *p = aligned_alloc(LARGE_PAGE, room);
    if (!p) die("no memory for %zu bytes to read", room);
    madvise(p, room, MADV_HUGEPAGE);
    memset(p, 0, room);
    for (int i = 0; i < TRIES; i++) {
        double start = now_us();
        for (size_t turn = 0; turn < turns; turn++)
            (wide ? read_512 : read_256)(p, bytes);
        us[i] = now_us() - start;
    }
    free(p);
    median(us, TRIES);
    return (double)bytes * (double)turns / us[0] * 1e-3;
}
