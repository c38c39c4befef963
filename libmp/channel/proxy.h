// SPDX-License-Identifier: MIT
//
// The way to mpproxy, the program that speaks to the network for us: finds it, starts it when
// it is first needed, and hands it requests.
#ifndef MP_CHANNEL_PROXY_H
#define MP_CHANNEL_PROXY_H

#include "channel/request.h"

// Starts the program with `role` as its argument, and waits until it is ready: *sock is the way
// to it, and it ends when nobody holds that. On failure the reason is in text, as a sentence.
// -ENOENT, MP_EVERSION, MP_EBROKEN, MP_ETIMEDOUT, errors of the system.
int mp__proxy_start(const char *role, int *sock, char text[MP__TEXT_MAX]);

// Sends a request with n descriptors, to the mpproxy that this process shares with those it
// descends from, or to a new one. *started tells that it is a new one. On failure the reason
// is in text. Errors: as mp__proxy_start().
int mp__proxy_ask(const struct mp__request *request, const int *fds, size_t n, bool *started,
                  char text[MP__TEXT_MAX]);

// Lets go of the mpproxy that this process knew; the next request starts another. It ends when
// all have let go of it and what was sent is through.
void mp__proxy_leave(void);

#endif
