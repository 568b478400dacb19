/* cell_private.h -- what the cells share behind cell.h: the prepared weights and how they are laid out. */
#ifndef RNND_CELL_PRIVATE_H
#define RNND_CELL_PRIVATE_H

#include "core/cells/cell.h"

/* Rows that a step handles at once where it needs pointers to scratch rows: they live on the stack. */
#define CELL_CHUNK ((size_t)96)

struct cell_private {
    const struct cell_type *type;
    float *block;       /* owned: every weight, one piece after the other, each 64-byte aligned */
    size_t used;        /* floats of it given out */
    struct packed w_ih; /* gates layout */
    struct packed w_hh; /* gates layout; GRU with reset before: r and z alone */
    struct packed w_hn; /* GRU with reset before: n */
    struct packed w_hr; /* LSTM projection, dense */
    const float *bias;  /* an accumulator row: what cell_project starts from */
    const float *b_hn;  /* GRU with reset after: [panels][16] */
    struct cell_sums sums; /* LSTM and GRU with reset after: what a fused step reads */
    bool reset_before;
    struct act act;     /* RNN */
    float clip;         /* RNN */
    float projection_clip;
    struct lstm_epilogue lstm;
    struct gru_epilogue gru;
};

/* hidden up to whole vectors */
static inline size_t cell_padded(const struct cell *cell)
{
    return (cell->hidden + LANES - 1) / LANES * LANES;
}

/* A weight matrix w [rows][k], row-major: of gates (rows = gates * units), or dense (gates 0, rows = units). */
struct cell_matrix { const float *w; size_t k, gates, units; };
/* Floats of the block that it takes packed; 0 if it overflows. */
size_t cell_matrix_floats(const struct cell_spec *spec, struct cell_matrix m);
/* Packs it into the next piece of the block. */
rnnd_code cell_take_matrix(struct cell *cell, const struct cell_spec *spec, struct packed *p, struct cell_matrix m,
                           rnnd_error *err);
/* Allocates the block: w_ih, a bias row, h0 and c0 as the specification has them, and `extra` floats for the type's own
 * pieces, of which there are `pieces`; prepares all but those. */
rnnd_code cell_start(struct cell *cell, const struct cell_spec *spec, size_t extra, size_t pieces, rnnd_error *err);
/* The next piece of the block. */
float *cell_take(struct cell *cell, size_t floats);
/* b_ih + b_hh for the gates below `folded`, b_ih alone from there on, as the accumulator row of cell_project. */
rnnd_code cell_fold_bias(struct cell *cell, const struct cell_spec *spec, size_t folded, rnnd_error *err);
/* The step's rows from the bias or the projection on, with the x part added: acc[r], cell_projected_width floats. */
void cell_start_rows(const struct cell *cell, size_t rows, const struct cell_rows *r, float *const *acc,
                     float *scratch);
/* Panels first .. end - 1 of a fused step; scratch holds its inputs. */
typedef void cell_panels(const struct cell *cell, size_t rows, const struct cell_rows *r, size_t first, size_t end,
                         const float *scratch);
/* All panels, by the team if there is one. */
void cell_share_panels(const struct cell *cell, size_t rows, const struct cell_rows *r, struct team *team,
                       float *scratch, cell_panels *panels);
/* x limited to -limit .. limit; 0 = no limit; NaN stays. */
void cell_limit(float *x, size_t n, float limit);

extern const struct cell_type cell_rnn, cell_lstm, cell_gru;

#endif
