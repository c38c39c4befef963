// SPDX-License-Identifier: MIT
//
// Handles in a parcel: what goes with a message, or to a new process.
//
//   1. mp__handles_pack(): from here on pipe ends among them are being given;
//   2. the parcel, bytes and descriptors, goes to the other process somehow;
//   3. mp__handles_packed(), telling whether it did: then the ends are gone here;
//   4. there mp__handles_open(), mp__parcel_end(), and then mp__handles_opened().
#ifndef MP_CHANNEL_HANDLE_H
#define MP_CHANNEL_HANDLE_H

#include "channel/parcel.h"

#include <mp/handle.h>

// Into an empty parcel of mp__parcel_new(), which does not own the descriptors. Errors:
// as of mp_pipe_send_handles(), and then nothing changed.
int mp__handles_pack(struct mp__parcel *p, const mp_handle *h, size_t n);
void mp__handles_packed(const mp_handle *h, size_t n, bool sent);

// Makes p->head.n_handles handles. On success they have the parcel's descriptors, but for
// those that it marks as spent; on failure nothing was made, and it may be tried again:
// -ENOMEM, -EMFILE, -ENFILE; or never: MP_EPROTO.
int mp__handles_open(struct mp__parcel *p, mp_handle *h);
void mp__handles_opened(const mp_handle *h, size_t n);

// The kind of the first; MP_HANDLE_NONE if there is none.
uint32_t mp__handles_first(const struct mp__parcel *p);

#endif
