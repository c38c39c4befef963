// SPDX-License-Identifier: MIT
//
// Proving to each other that both have a key, without showing it. Each side's open frame has
// 32 random bytes in it; the proof is HMAC-SHA256, under the key, of a word for the role and
// both open frames. A proof is good for this connection and this role only: it can neither
// be repeated nor sent back to who made it. docs/protocol.md has it byte by byte.
#ifndef MP_PROXY_AUTH_H
#define MP_PROXY_AUTH_H

#include "wire/frame.h"

enum { AUTH_KEY_MAX = 4096 };

// A secret in memory that is not swapped out, and wiped when it is freed.
struct auth_key {
    size_t size;
    uint8_t bytes[AUTH_KEY_MAX];
};

int auth_init(void);

// Reads a key from a file; one newline at its end does not count. NULL with errno: EINVAL when it
// is shorter than 16 bytes or longer than 4096.
struct auth_key *auth_key_read(int fd);
void auth_key_free(struct auth_key *k);

void auth_nonce(uint8_t nonce[MP__NONCE]);

// The proof of the connecting (or the listening) side.
void auth_prove(uint8_t proof[MP__PROOF], const struct auth_key *k, bool connecting,
                const struct mp__open *connect, const struct mp__open *listen);

// Compares in constant time.
bool auth_equal(const uint8_t a[MP__PROOF], const uint8_t b[MP__PROOF]);

#endif
