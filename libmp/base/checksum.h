// SPDX-License-Identifier: MIT
//
// FNV-1a: against damage, not against malice.
#ifndef MP_BASE_CHECKSUM_H
#define MP_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t mp__checksum(const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ p[i]) * UINT64_C(0x100000001b3);
    return sum;
}

#endif
