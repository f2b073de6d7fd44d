/* One access of exactly the width asked for, 1, 2, 4 or 8 bytes, to mapped device memory. */
#ifndef VIADUCT_REGISTER_H
#define VIADUCT_REGISTER_H

#include <stdint.h>

uint64_t register_load(volatile void *at, unsigned width);

/* Stores the low bytes of the value. */
void register_store(volatile void *at, unsigned width, uint64_t value);

#endif
