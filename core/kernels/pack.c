/* pack.c -- laying a weight matrix out in the order in which the product reads it.
 *
 *   gates:  panel p, step k, vector g, lane l  <-  w[g*units + 16p + l][k]
 *   dense:  panel p, step k, vector v, lane l  <-  w[16(nv p + v) + l][k]
 * Lanes beyond the last unit are 0. */
#include <string.h>

#include "core/base/mem.h"
#include "core/kernels/kernels.h"

static size_t blocks_of(size_t units)
{
    return units / LANES + (units % LANES != 0);
}

/* panels * k * nv * 16, or 0 if it overflows in floats or in bytes */
static size_t packed_floats(size_t panels, size_t k, size_t nv)
{
    size_t floats, bytes;

    if (!size_mul(panels, k, &floats) || !size_mul(floats, nv * LANES, &floats)) return 0;
    return size_mul(floats, sizeof(float), &bytes) ? floats : 0;
}

static size_t dense_vectors(size_t outputs)
{
    size_t blocks = blocks_of(outputs);
    return blocks < 4 ? blocks : 4;
}

static size_t dense_panels(size_t outputs)
{
    size_t blocks = blocks_of(outputs), nv = dense_vectors(outputs);
    return nv == 0 ? 0 : blocks / nv + (blocks % nv != 0);
}

size_t pack_gates_floats(size_t k, size_t gates, size_t units)
{
    return packed_floats(blocks_of(units), k, gates);
}

size_t pack_dense_floats(size_t k, size_t outputs)
{
    return packed_floats(dense_panels(outputs), k, dense_vectors(outputs));
}

/* One vector's column of a panel: units first .. first+count-1, `step` floats from one k to the next. */
static void pack_vector(float *to, size_t step, const float *w, size_t stride, size_t k, size_t first, size_t count)
{
    for (size_t lane = 0; lane < LANES; lane++)
        for (size_t i = 0; i < k; i++) to[i * step + lane] = lane < count ? w[(first + lane) * stride + i] : 0.0f;
}

static size_t lanes_at(size_t unit, size_t units)
{
    return unit >= units ? 0 : units - unit < LANES ? units - unit : LANES;
}

void pack_gates(struct packed *p, float *memory, const float *w, size_t stride, size_t k, size_t gates, size_t units)
{
    size_t step = gates * LANES;

    *p = (struct packed){.k = k, .nv = gates, .panels = blocks_of(units), .w = memory};
    for (size_t panel = 0; panel < p->panels; panel++)
        for (size_t g = 0; g < gates; g++)
            pack_vector(memory + panel * k * step + g * LANES, step, w + g * units * stride, stride, k,
                        panel * LANES, lanes_at(panel * LANES, units));
}

void pack_dense(struct packed *p, float *memory, const float *w, size_t stride, size_t k, size_t outputs)
{
    size_t nv = dense_vectors(outputs), step = nv * LANES;

    *p = (struct packed){.k = k, .nv = nv, .panels = dense_panels(outputs), .w = memory};
    for (size_t panel = 0; panel < p->panels; panel++)
        for (size_t v = 0; v < nv; v++) {
            size_t first = (panel * nv + v) * LANES;
            pack_vector(memory + panel * k * step + v * LANES, step, w, stride, k, first, lanes_at(first, outputs));
        }
}

void pack_dense_columns(struct packed *p, float *memory, const float *w, size_t stride, size_t k, size_t outputs)
{
    size_t nv = dense_vectors(outputs), wide = nv * LANES;

    *p = (struct packed){.k = k, .nv = nv, .panels = dense_panels(outputs), .w = memory};
    for (size_t panel = 0; panel < p->panels; panel++) {
        size_t first = panel * wide, count = outputs - first < wide ? outputs - first : wide;
        for (size_t i = 0; i < k; i++, memory += wide) {
            memcpy(memory, w + i * stride + first, count * sizeof *w);
            memset(memory + count, 0, (wide - count) * sizeof *w);
        }
    }
}

void pack_gates_row(float *row, const float *bias, size_t gates, size_t units)
{
    size_t panels = blocks_of(units);

    memset(row, 0, panels * gates * LANES * sizeof *row);
    if (!bias) return;
    for (size_t panel = 0; panel < panels; panel++)
        for (size_t g = 0; g < gates; g++)
            memcpy(row + (panel * gates + g) * LANES, bias + g * units + panel * LANES,
                   lanes_at(panel * LANES, units) * sizeof *row);
}
