/* half.h -- 16-bit floats to 32-bit ones. */
#ifndef RNND_BASE_HALF_H
#define RNND_BASE_HALF_H
#include <stdint.h>
float half_to_float(uint16_t h);  /* IEEE 754 binary16 */
float bf16_to_float(uint16_t h);
#endif
