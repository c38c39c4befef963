// SPDX-License-Identifier: MIT
//
// sha256sum as a function for mpmap: a record is the name of a file, the result
// the line that sha256sum(1) prints for it. No process is started for a file.
//
//     find /usr/include -type f | mpmap --so ./plugin_sha256.so:sha256
//
// The hash is FIPS 180-4, written to be read.
#include <mp/plugin.h>

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

mp_record_fn sha256;

struct hash {
    uint32_t h[8];
    unsigned char block[64];
    uint64_t len; // in bytes
};

static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void compress(uint32_t h[8], const unsigned char *block)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = big_endian(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t e = s[4], a = s[0];
        uint32_t t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                      ((e & s[5]) ^ (~e & s[6])) + k[i] + w[i];
        uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                      ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += s[i];
}

static void add(struct hash *x, const unsigned char *data, size_t n)
{
    size_t used = x->len % 64;
    x->len += n;
    while (n) {
        size_t take = 64 - used < n ? 64 - used : n;
        memcpy(x->block + used, data, take);
        data += take;
        n -= take;
        used = (used + take) % 64;
        if (used == 0)
            compress(x->h, x->block);
    }
}

static void finish(struct hash *x)
{
    static const unsigned char pad[64] = {0x80};
    uint64_t bits = x->len * 8;
    unsigned char tail[8];
    for (int i = 0; i < 8; i++)
        tail[i] = (unsigned char)(bits >> (56 - 8 * i));
    add(x, pad, 1 + (119 - x->len % 64) % 64);
    add(x, tail, 8);
}

static int hash_file(struct hash *x, const char *path)
{
    static unsigned char data[64 * 1024];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    ssize_t n;
    while ((n = read(fd, data, sizeof data)) > 0)
        add(x, data, (size_t)n);
    int err = n < 0 ? errno : 0;
    close(fd);
    finish(x);
    return err;
}

// Fails with the errno of a file that cannot be read.
MP_API
int sha256(const char *record, size_t len, mp_out *out, void *ctx)
{
    (void)len, (void)ctx;
    struct hash x = {.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                           0x1f83d9ab, 0x5be0cd19}};
    int err = hash_file(&x, record);
    if (err)
        return err;
    for (int i = 0; i < 8; i++)
        if (mp_out_printf(out, "%08x", x.h[i]))
            return -1;
    return mp_out_printf(out, "  %s\n", record);
}
