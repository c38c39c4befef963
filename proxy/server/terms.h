// SPDX-License-Identifier: MIT
//
// The terms of a listener or a connection: what the request said, with keys and certificates
// read in. A listener's connections share them. Counted; main thread only.
#ifndef MP_PROXY_TERMS_H
#define MP_PROXY_TERMS_H

#include "auth.h"
#include "channel/request.h"

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

struct terms {
    unsigned refs;
    bool listening;
    bool foreign; // the listener is
    enum mp__transport transport;
    int protocol; // of MP__SP_*
    int timeout_ms, linger_ms, alive_ms;
    struct mp__rings rings;
    struct auth_key *key; // or NULL
    nng_tls_config *tls;  // or NULL
    char url[MP__URL_MAX];
};

// Reads a request and the descriptors that go with it, which stay the caller's. On failure
// NULL, and *answer says why.
struct terms *terms_read(const struct mp__request *q, const int *keys, size_t n,
                         struct mp__answer *answer);
// The longest message of ws, which has to be held as a whole.
size_t terms_whole_max(const struct terms *t);

struct terms *terms_hold(struct terms *t);
void terms_drop(struct terms *t);

// Fills in an answer that says what went wrong.
void answer_failure(struct mp__answer *a, int err, const char *format, ...) MP_PRINTF(3, 4);

// An error of NNG as one of libmp, and what it means where it came from (about a connection to
// url: "nobody listens there").
int error_of_nng(int nng_error);
const char *text_of_nng(int nng_error);

#endif
