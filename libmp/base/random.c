// SPDX-License-Identifier: MIT
//
// Philox 4x32-10. The key is the seed; the counter is the number of the block, then that of
// the stream. tests/unit/test_random.c holds it against the vectors that its authors gave.
#include <mp/random.h>

#define ROUNDS 10

static void encrypt(uint32_t x[4], uint64_t seed)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t a = UINT64_C(0xD2511F53) * x[0], b = UINT64_C(0xCD9E8D57) * x[2];
        uint32_t y0 = (uint32_t)(b >> 32) ^ x[1] ^ key[0];
        uint32_t y2 = (uint32_t)(a >> 32) ^ x[3] ^ key[1];
        x[0] = y0;
        x[1] = (uint32_t)b;
        x[2] = y2;
        x[3] = (uint32_t)a;
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
}

void mp_random_init(mp_random *r, uint64_t seed, uint64_t stream)
{
    *r = (mp_random){.seed = seed, .stream = stream};
}

uint64_t mp_random_next(mp_random *r)
{
    if (r->has_kept) {
        r->has_kept = false;
        return r->kept;
    }
    uint32_t x[4] = {(uint32_t)r->block, (uint32_t)(r->block >> 32), (uint32_t)r->stream,
                     (uint32_t)(r->stream >> 32)};
    encrypt(x, r->seed);
    r->block++;
    r->kept = x[2] | (uint64_t)x[3] << 32;
    r->has_kept = true;
    return x[0] | (uint64_t)x[1] << 32;
}

double mp_random_double(mp_random *r)
{
    return (double)(mp_random_next(r) >> 11) * 0x1p-53;
}

// The upper half of n * x is nearly even; what would make it uneven is drawn again (Lemire).
uint64_t mp_random_below(mp_random *r, uint64_t n)
{
    unsigned __int128 wide;
    if (n == 0)
        return 0;
    uint64_t surplus = -n % n;
    do
        wide = (unsigned __int128)mp_random_next(r) * n;
    while ((uint64_t)wide < surplus);
    return (uint64_t)(wide >> 64);
}
