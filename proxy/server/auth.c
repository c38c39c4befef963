// SPDX-License-Identifier: MIT
#include "auth.h"

#include "channel/request.h"

#include <errno.h>
#include <sodium.h>
#include <unistd.h>

_Static_assert(MP__PROOF == crypto_auth_hmacsha256_BYTES, "a proof is an HMAC-SHA256");

int auth_init(void)
{
    return sodium_init() < 0 ? -1 : 0;
}

struct auth_key *auth_key_read(int fd)
{
    struct auth_key *k = sodium_malloc(sizeof *k);
    if (!k)
        return NULL;
    k->size = 0;
    ssize_t n;
    while (k->size < sizeof k->bytes &&
           (n = pread(fd, k->bytes + k->size, sizeof k->bytes - k->size, (off_t)k->size)) > 0)
        k->size += (size_t)n;
    if (k->size && k->bytes[k->size - 1] == '\n')
        k->size--;
    if (k->size >= MP__KEY_MIN)
        return k;
    auth_key_free(k);
    errno = EINVAL;
    return NULL;
}

void auth_key_free(struct auth_key *k)
{
    sodium_free(k);
}

void auth_nonce(uint8_t nonce[MP__NONCE])
{
    randombytes_buf(nonce, MP__NONCE);
}

void auth_prove(uint8_t proof[MP__PROOF], const struct auth_key *k, bool connecting,
                const struct mp__open *connect, const struct mp__open *listen)
{
    static const char roles[2][16] = {"mp1 listening", "mp1 connecting"};
    uint8_t open[MP__OPEN];
    crypto_auth_hmacsha256_state s;
    crypto_auth_hmacsha256_init(&s, k->bytes, k->size);
    crypto_auth_hmacsha256_update(&s, (const uint8_t *)roles[connecting], sizeof roles[0]);
    mp__open_write(open, connect); // the whole of it: nothing in there can be changed unseen
    crypto_auth_hmacsha256_update(&s, open, sizeof open);
    mp__open_write(open, listen);
    crypto_auth_hmacsha256_update(&s, open, sizeof open);
    crypto_auth_hmacsha256_final(&s, proof);
    sodium_memzero(&s, sizeof s);
}

bool auth_equal(const uint8_t a[MP__PROOF], const uint8_t b[MP__PROOF])
{
    return sodium_memcmp(a, b, MP__PROOF) == 0;
}
