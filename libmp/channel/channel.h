// SPDX-License-Identifier: MIT
//
// A channel carries messages between two ends: two rings in one memfd, and bells.
// It knows nothing of owners and handles (pipe.c does).
#ifndef MP_CHANNEL_CHANNEL_H
#define MP_CHANNEL_CHANNEL_H

#include "channel/parcel.h"
#include "os/spin.h"
#include "shm/ring.h"

#include <pthread.h>
#include <stdbool.h>

struct mp__channel_opts {
    size_t ring_size, ring_max; // powers of two
    size_t max_size;            // longest message
    bool oneway;                // end a has no sending side, b no receiving side
    bool no_spin;
};

#define MP__PAUSE_MS        1000  // within a machine
#define MP__PAUSE_REMOTE_MS 10000 // a network may be slow to come back

// Keeps what is seldom needed out of the way of what is always.
#define MP__SLOW __attribute__((noinline, cold))

// How an end stands, as this process knows it: closed here, perhaps in another thread;
// the other end is no more; broken, which the shared words say too, but who knows.
enum { MP__CLOSING = 1, MP__GONE = 2, MP__BROKEN = 4 };

// One end. The parts that a sending and a receiving thread write are apart.
struct mp__channel {
    int bell;      // eventfd that tells this end "data"
    int peer_bell; // ... and the other end
    int sock;      // "space", the end of the peer, descriptors
    int memfd;     // to commit more of the ring
    int epoll;     // over bell and sock, once somebody asked for a descriptor; -1
    void *map;
    size_t map_size;
    size_t max_size; // longest message that comes, ...
    size_t send_max; // ... that goes
    size_t ring_max;
    size_t tx_offset; // of the sending ring's data in the memfd
    int pause_ms;     // least time without progress that breaks a message off
    bool can_send, can_recv;
    _Atomic uint32_t ended; // of MP__CLOSING, MP__GONE, MP__BROKEN; 0 while all is well

    struct {
        _Alignas(128) struct mp__ring_tx ring;
        struct mp__spin spin;
        size_t target;     // what the present wait wants free
        uint64_t begun_at; // pump: where the present message begins
        bool held;         // ... which is not shown before it is complete
        unsigned full;     // times there was no room since the ring grew
        unsigned check_in; // sends until the next look whether the peer lives
        unsigned check_every;
        uint64_t checked_pos;
        int64_t checked_at;
        int slice_ms;
        bool watching; // the present wait sleeps until the socket is readable
    } tx;

    struct {
        _Alignas(128) struct mp__ring_rx ring;
        struct mp__spin spin;
        unsigned got;      // messages since the last delay
        uint64_t piled_at; // position at that time
        unsigned delay;    // pauses to wait so that messages pile up
        unsigned skip;     // empty views for which not to try
        unsigned skip_next;
        bool rung;        // our own bell is known to be readable (epoll only)
        uint64_t carried; // size of the message that find_message() found with a parcel
    } rx;

    // The socket, which both threads read (channel/parcel.h).
    struct {
        _Alignas(128) pthread_mutex_t lock;
        struct mp__parcel *first, *last; // that came, in order
        size_t n_fds;                    // in them
        uint64_t sent, taken;            // parcels so far: their numbers
        _Atomic uint32_t watched;        // the sending thread sleeps there: it reads
        bool wanted;                     // ... and a receiving thread waits for that
        bool stuck;                      // what is next cannot be kept now
        unsigned arms;                   // requests for "space" since it was read
    } post;
};

#define MP__RING_MIN   4096 // bytes
#define MP__RING_LIMIT ((size_t)1 << 30)

#define MP__WORD 8            // of length before each message, and its alignment
#define MP__STEP (128u << 10) // the most of a message that is published at once

static inline uint64_t mp__padded(uint64_t size)
{
    return (size + MP__WORD - 1) & ~(uint64_t)(MP__WORD - 1);
}

static inline size_t mp__min(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Makes both ends. 0 or -errno.
int mp__channel_pair(struct mp__channel *a, struct mp__channel *b,
                     const struct mp__channel_opts *opts);

// As mp_pipe_send(), mp_pipe_recv() and so on; ends must be able to.
int mp__channel_send(struct mp__channel *c, const void *data, size_t size, int timeout_ms);
bool mp__channel_poll(struct mp__channel *c, int timeout_ms);
int64_t mp__channel_next_size(struct mp__channel *c, int timeout_ms);
int64_t mp__channel_recv(struct mp__channel *c, void *buf, size_t cap, int timeout_ms);
int64_t mp__channel_recv_new(struct mp__channel *c, void **data, int timeout_ms);

// The same with a parcel. Sending: p stays the caller's, and so do its descriptors.
// Receiving: a message that carries one is MP_ETYPE for the calls above, and stays; here
// open(arg, p) is called before it is taken. An error of open() is the result, and the
// message stays (unless it is MP_EPROTO); after that only a message that does not come
// whole (MP_ETRUNCATED and others) is an error with the parcel opened. Another message is
// taken without.
int mp__channel_send_parcel(struct mp__channel *c, const void *data, size_t size,
                            struct mp__parcel *p, int timeout_ms);
typedef int mp__parcel_opener(void *arg, struct mp__parcel *p);
int64_t mp__channel_recv_parcel(struct mp__channel *c, void *buf, size_t cap,
                                mp__parcel_opener *open, void *arg, int timeout_ms);

// Waits for a message: 1 if it carries a parcel, 0 if not, or the error.
int mp__channel_carries(struct mp__channel *c, int timeout_ms);

// A descriptor that is readable whenever a receive would not block. -errno.
int mp__channel_fd(struct mp__channel *c);

// For waiting on many: whether a receive would not block, by memory alone; and
// the request to ring the bell, to be followed by a fence and another look.
bool mp__channel_readable(struct mp__channel *c);
void mp__channel_arm(struct mp__channel *c);
// After poll() on bell and sock: `bell` and `gone` say which was readable.
void mp__channel_woken(struct mp__channel *c, bool bell, bool gone);
// Keeps the promise of mp__channel_fd(), if it was called, when a wait ends.
void mp__channel_settle(struct mp__channel *c);

// Tells both sides that this end is closed. What was sent stays.
void mp__channel_close(struct mp__channel *c);

// Lets go of descriptors and memory, silently.
void mp__channel_release(struct mp__channel *c);

// ---- moving an end to another process ----

// What its descriptors and the shared memory do not tell. Both threads' calls are over.
// As it is in a parcel: words, in this order.
struct mp__channel_state {
    uint64_t side; // 0 is a
    uint64_t can_send, can_recv, no_spin, ended;
    uint64_t remote; // told by the pipe: the other end is mpproxy
    uint64_t ring_max, ring_grows, max_size, send_max;
    uint64_t tx_pos, tx_seen, tx_cap;
    uint64_t rx_pos, rx_returned, rx_cap;
    uint64_t sent, taken; // parcels
};
#define MP__CHANNEL_FDS 4

void mp__channel_describe(const struct mp__channel *c, struct mp__channel_state *s,
                          int fds[MP__CHANNEL_FDS]);

// Makes the end anew from what may come from an enemy: MP_EPROTO if it makes no sense.
// Takes the descriptors over on success.
int mp__channel_rebuild(struct mp__channel *c, const struct mp__channel_state *s,
                        const int fds[MP__CHANNEL_FDS]);

// Lets go of memory, and forgets the descriptors: they are somebody else's.
void mp__channel_abandon(struct mp__channel *c);

// Whether both are ends of one channel, or the same end.
bool mp__channel_same(const struct mp__channel *c, const struct mp__channel *d);

// Descriptors of channels come and go under this lock, and a fork takes it: so the
// child finds them all. It is the innermost but for those of the C library.
void mp__channels_lock(void);
void mp__channels_unlock(void);

// An end that nobody has used yet may move to another process: its descriptors, in the
// order of `fds`, travel through a socket, and its options beside them. The end stays here
// until it is released.
void mp__channel_export(const struct mp__channel *c, int fds[MP__CHANNEL_FDS]);

// Makes the other process's end from them: end 0 is the `a` of mp__channel_pair(), 1 the
// `b`. The descriptors belong to c from now on, and are closed on failure: MP_EPROTO (they are not
// what they should be), -ENOMEM.
int mp__channel_import(struct mp__channel *c, const int fds[MP__CHANNEL_FDS], int end,
                       const struct mp__channel_opts *opts);

// ---- between channel.c, send.c, recv.c and pump.c ----

// Writes a bell.
void mp__channel_ring(int bell);

// Shows the receiver what was put into the ring, and wakes it if it sleeps.
void mp__channel_publish(struct mp__channel *c);

// Gives the space of what was taken back to the sender, and wakes it if it waits for so much.
void mp__channel_give_back(struct mp__channel *c);

// Makes the sending ring twice as large; it must be empty. Without memory it stays as it
// is, for good.
void mp__channel_grow(struct mp__channel *c);
#define MP__GROW_AFTER 4 // times full until the ring is made larger

// Asks the kernel whether the other end is gone.
bool mp__channel_look_gone(struct mp__channel *c);

// Half a message is in a ring, or it makes no sense: nobody can go on. Returns error.
int mp__channel_break(struct mp__channel *c, int error);

// What timeout_ms means once a part of a message is through: a pause without
// progress; even a call that shall not block gives the peer time to go on.
int mp__channel_pause(const struct mp__channel *c, int timeout_ms);

#endif
