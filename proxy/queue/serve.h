// SPDX-License-Identifier: MIT
//
// The role of mpproxy that serves a queue: takes the queue and the socket of a listener, and
// serves whoever comes until nobody holds the other end of `control` (libmp/channel/serve.c).
#ifndef MP_PROXY_SERVE_H
#define MP_PROXY_SERVE_H

int serve_init(int control);

#endif
