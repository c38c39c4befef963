// SPDX-License-Identifier: MIT
//
// A fuzzing target: records of a log that nobody has written. The checksums of a log keep them
// out; that they harm nothing is asked all the same. The input is records, each after its length
// in two bytes.
#include "core/core.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answered(void *ctx, void *user, const void *data, size_t size)
{
    (void)ctx;
    (void)user;
    (void)data;
    (void)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mp__core *c;
    struct mp__session *s;
    struct mp__core_opts o = {.hooks = {.send = answered}, .instance = UINT64_C(0x77) << 40};
    const uint8_t *end = data + size;
    if (mp__core_new(&c, &o) < 0)
        return 0;
    while (end - data >= 2) {
        size_t n = (size_t)(data[0] << 8 | data[1]);
        data += 2;
        n = n < (size_t)(end - data) ? n : (size_t)(end - data);
        uint8_t *copy = malloc(n ? n : 1);
        if (n)
            memcpy(copy, data, n);
        (void)!mp__core_replay(c, copy, n);
        free(copy);
        data += n;
    }
    if (mp__session_begin(c, &s, NULL, 0) < 0 || mp__core_check(c))
        abort();
    mp__core_free(c);
    return 0;
}
