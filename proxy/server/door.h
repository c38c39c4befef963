// SPDX-License-Identifier: MIT
//
// A listener: an address at which connections come in, and the socket at which its user takes
// them. Who has not yet said who it is stands at the door, and not too many do: when one more
// comes, the one that stood longest has to go, so that silent ones keep nobody out.
#ifndef MP_PROXY_DOOR_H
#define MP_PROXY_DOOR_H

#include "link.h"

// Opens it as a request wants it; the socket is taken. The answer goes there.
void door_open(struct terms *t, int sock);

unsigned door_count(void);

// From link.c, main thread: it may come in; it is no more.
void door_ready(struct door *d, struct link *l);
void door_forget(struct door *d, struct link *l);

#endif
