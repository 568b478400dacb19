/* body_parts.h -- vectors that a row ends in; part of kernels_body.h. */

/* Up to 16 floats; the other lanes are 0. */
INLINE vec load_part(const float *p, size_t n)
{
    float lanes[LANES] = {0};

    if (n >= LANES) return vec_load(p);
    for (size_t i = 0; i < n; i++) lanes[i] = p[i];
    return vec_load(lanes);
}

INLINE void store_part(float *p, size_t n, vec v)
{
    float lanes[LANES];

    if (n >= LANES) {
        vec_store(p, v);
        return;
    }
    vec_store(lanes, v);
    for (size_t i = 0; i < n; i++) p[i] = lanes[i];
}
