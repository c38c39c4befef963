// SPDX-License-Identifier: MIT
//
// A parcel is what a message carries besides its bytes: descriptors, and words that say
// what they are. It goes through the channel's socket, its message through the ring.
//
//   sender:    waits for room in the ring; posts the parcel; publishes the message,
//              whose length has the bit MP__CARRIES
//   receiver:  finds such a message; fetches the parcel, which is there; opens it; takes
//              the message
//
// So a message is never without its parcel, and the n-th of the one belongs to the n-th
// of the other. A sender that dies in between leaves a parcel that nobody asks for: it is
// dropped at the end of data. Until it is fetched a parcel is in the kernel, and is lost
// with the receiver, however that ends; nothing that was in it stays open then.
//
// The socket also brings the bytes that say "space", for a sending thread of this end.
// Each of the two threads may find what is for the other in front of what it wants, so
// whoever reads keeps the parcels here. A space byte cannot be kept: so while a sending
// thread sleeps at the socket ("watched") nobody else reads it, which costs nothing since
// what arrives wakes it.
#ifndef MP_CHANNEL_PARCEL_H
#define MP_CHANNEL_PARCEL_H

#include "os/fdpass.h"

#include <stdbool.h>
#include <stdint.h>

#define MP__CARRIES    (UINT64_C(1) << 63) // in the length of a message
#define MP__PARCEL_MAX 16384               // bytes: the socket takes it whole or not at all

struct mp__parcel {
    struct mp__parcel *next;
    int fds[MP__FDPASS_MAX];
    bool spent[MP__FDPASS_MAX]; // of use on the way only: of no use once it was opened
    struct mp__parcel_head {    // from here on as in the socket
        uint32_t magic;         // none of its bytes is 0, as those for "space" are
        uint32_t size;          // of the bytes that follow
        uint32_t n_fds, n_handles;
        uint64_t number;
    } head;
    unsigned char bytes[];
};

#define MP__PARCEL_MAGIC 0x6d70687bu

struct mp__channel;

// An empty parcel with room for MP__PARCEL_MAX bytes; NULL: no memory. Release it with
// free() when its descriptors are somebody else's; with mp__parcel_drop(), which closes them;
// or with mp__parcel_end() when it was opened, which closes those that are spent.
struct mp__parcel *mp__parcel_new(void);
void mp__parcel_drop(struct mp__parcel *p);
void mp__parcel_end(struct mp__parcel *p);

// The parcel of the message at hand: 0 and *out, and the socket is locked until
// mp__parcel_done(), which says whether its descriptors were taken; else it stays.
// -EMFILE, -ENFILE or -ENOMEM: it stays where it is. MP_EPROTO: there is none.
int mp__parcel_fetch(struct mp__channel *c, struct mp__parcel **out);
void mp__parcel_done(struct mp__channel *c, bool taken);

// Adds one that came for this end before it was sent here.
void mp__parcels_add(struct mp__channel *c, struct mp__parcel *p);

// Closes what nobody will ask for any more, here and in the socket: at the end of data.
void mp__parcels_clear(struct mp__channel *c);

// The same of those that are here only, under the lock of all channels: when the channel
// goes.
void mp__parcels_forget(struct mp__channel *c);

// For the sending thread: before it asks for "space" and sleeps at the socket; when it
// was woken there; when its wait is over. While watched it may sleep until the socket is
// readable; otherwise (returned by the first) only for a while.
bool mp__socket_watch(struct mp__channel *c);
void mp__socket_read(struct mp__channel *c);
void mp__socket_leave(struct mp__channel *c);

#endif
