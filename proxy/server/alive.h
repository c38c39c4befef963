// SPDX-License-Identifier: MIT
//
// Machines that fall silent. A peer whose machine lost power says nothing, and TCP by itself
// believes in it for hours. The kernel can ask more often, but NNG 1.5.2 only lets us turn that on
// with the system's two hours, and does not tell the descriptor. So that is found
// by its two addresses.
#ifndef MP_PROXY_ALIVE_H
#define MP_PROXY_ALIVE_H

#include <nng/nng.h>

// Has the kernel give up a connection after about ms of silence to its questions, or of
// sending without an answer. Nothing for what is no TCP.
void alive_within(nng_stream *s, int ms);

#endif
