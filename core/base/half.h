/* half.h -- 16-bit floats to 32-bit ones and back. */
#ifndef RNND_BASE_HALF_H
#define RNND_BASE_HALF_H
#include <stdint.h>
float half_to_float(uint16_t h);  /* IEEE 754 binary16 */
float bf16_to_float(uint16_t h);
/* To the nearest, ties to even; beyond the largest, infinity; a NaN stays one. */
uint16_t float_to_half(float f);
uint16_t float_to_bf16(float f);
#endif
