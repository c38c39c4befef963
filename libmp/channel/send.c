// SPDX-License-Identifier: MIT
//
// The sending side of a channel.
#include "channel/channel.h"
#include "os/memfd.h"
#include "os/point.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define CHECK_NS     10000000 // look at least so often whether the peer lives
#define CHECK_BYTES  65536
#define AHEAD        1024 // bytes that a stream's lines are asked for ahead
#define SLICE_MIN_MS 10   // a sleeping sender looks so often at what little room there is
#define SLICE_MAX_MS 100

static inline bool ended(const struct mp__channel *c)
{
    return atomic_load_explicit(&c->tx.ring.ring->state, memory_order_relaxed) |
           atomic_load_explicit(&c->ended, memory_order_relaxed);
}

// Why sending is over; 0 if it is not.
static int end_error(struct mp__channel *c)
{
    uint32_t state = atomic_load(&c->tx.ring.ring->state), here = atomic_load(&c->ended);
    if (here & MP__CLOSING)
        return MP_ECLOSED;
    if (state & MP__RING_BROKEN || here & MP__BROKEN)
        return MP_EBROKEN;
    if (state & MP__RX_CLOSED || here & MP__GONE)
        return MP_EPIPE;
    return state ? mp__channel_break(c, MP_EPROTO) : 0; // not the peer's to set
}

static bool room_ready(void *arg)
{
    struct mp__channel *c = arg;
    const struct mp__ring_tx *t = &c->tx.ring;
    uint64_t tail = atomic_load_explicit(&t->ring->tail, memory_order_acquire);
    return t->cap - (t->pos - tail) >= c->tx.target || t->pos - tail > t->cap || ended(c);
}

static void room_arm(void *arg)
{
    struct mp__channel *c = arg;
    struct mp__ring *r = c->tx.ring.ring;
    // Woken for half a ring, not for every message that leaves.
    size_t half = (size_t)c->tx.ring.cap / 2;
    size_t need = c->tx.target > half ? c->tx.target : half;
    c->tx.watching = mp__socket_watch(c); // first: a byte that was taken before is seen by the
                                          // second look
    atomic_store_explicit(&r->need, need, memory_order_relaxed);
    MP__PROBE();
    atomic_store_explicit(&r->want_space, 1, memory_order_release);
}

static int room_sleep(void *arg, mp__deadline d)
{
    struct mp__channel *c = arg;
    short in = c->tx.watching ? POLLIN : 0;
    struct pollfd p = {.fd = c->sock, .events = in | POLLRDHUP};
    int left = mp__left_ms(d), slice = c->tx.slice_ms;
    if (MP__OMITS(MP__SLICES) && c->tx.watching)
        slice = INT_MAX;
    int n = poll(&p, 1, left >= 0 && left < slice ? left : slice);
    if (n == 0 && left >= 0 && left <= slice)
        return MP_ETIMEDOUT;
    // Not half a ring, but perhaps enough: the receiver may have stopped there.
    if (n == 0 && c->tx.watching)
        c->tx.slice_ms = slice * 2 < SLICE_MAX_MS ? slice * 2 : SLICE_MAX_MS;
    if (n > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
        atomic_fetch_or(&c->ended, MP__GONE);
    if (n > 0 && (p.revents & POLLIN)) {
        MP__PROBE();
        mp__socket_read(c);
    }
    return 0;
}

MP__SLOW void mp__channel_grow(struct mp__channel *c)
{
    struct mp__ring_tx *t = &c->tx.ring;
    if (mp__memfd_commit(c->memfd, c->tx_offset, (size_t)t->cap * 2) < 0) {
        c->ring_max = (size_t)t->cap;
        return;
    }
    t->cap *= 2;
    atomic_store_explicit(&t->ring->cap, t->cap, memory_order_relaxed); // seen with the next head
    c->tx.full = 0;
}

static const struct mp__waiter room_waiter = {room_ready, room_arm, room_sleep};

// However it ends, the watch is over: else the receiving thread would let this one read each
// parcel, which does not come any more.
static int sleep_for_room(struct mp__channel *c, size_t target, mp__deadline d)
{
    c->tx.target = target;
    c->tx.slice_ms = SLICE_MIN_MS;
    c->tx.watching = false;
    int r = mp__wait_until(&c->tx.spin, &room_waiter, c, d);
    if (c->tx.watching)
        mp__socket_leave(c);
    return r;
}

// A stream that keeps the ring full, or whose messages are longer than it, deserves a
// larger one, which can only be had while the ring is empty: waits for that a little.
static MP__SLOW void consider_growing(struct mp__channel *c, mp__deadline d)
{
    struct mp__ring_tx *t = &c->tx.ring;
    if (t->cap >= c->ring_max || ++c->tx.full < MP__GROW_AFTER || d == 0)
        return;
    mp__deadline soon = mp__now() + SLICE_MIN_MS * INT64_C(1000000);
    int r = sleep_for_room(c, (size_t)t->cap, soon < d ? soon : d);
    if (r == 0 && mp__ring_look_tail(t) == 0 && mp__ring_free(t) == t->cap)
        mp__channel_grow(c);
}

// Waits until `need` bytes are free; 0 or the error.
static MP__SLOW int wait_room(struct mp__channel *c, size_t need, int timeout_ms)
{
    struct mp__ring_tx *t = &c->tx.ring;
    if (mp__ring_look_tail(t) < 0)
        return mp__channel_break(c, MP_EPROTO);
    if (mp__ring_free(t) >= need)
        return 0;
    mp__deadline d = mp__deadline_in(timeout_ms);
    consider_growing(c, d);
    int r = sleep_for_room(c, need, d);
    int end = end_error(c);
    if (end < 0)
        return end;
    if (mp__ring_look_tail(t) < 0 || (r == 0 && mp__ring_free(t) < need))
        return mp__channel_break(c, MP_EPROTO);
    if (r == MP_ETIMEDOUT && mp__channel_look_gone(c))
        return MP_EPIPE;
    return r;
}

static inline void publish(struct mp__channel *c)
{
    struct mp__ring *r = c->tx.ring.ring;
    mp__ring_publish(&c->tx.ring);
    MP__PROBE();
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&r->want_data, memory_order_relaxed) &&
        atomic_exchange(&r->want_data, 0)) {
        MP__PROBE();
        if (!MP__OMITS(MP__BELL))
            mp__channel_ring(c->peer_bell);
    }
}

void mp__channel_publish(struct mp__channel *c)
{
    publish(c);
}

static int64_t coarse_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Whether the peer lives. Each send of a slow sender asks the kernel; a fast one comes
// here every 64th time, and asks after 10 ms or CHECK_BYTES.
static MP__SLOW int check_peer(struct mp__channel *c, size_t size)
{
    int64_t now = coarse_now();
    if (now - c->tx.checked_at < CHECK_NS &&
        c->tx.ring.pos - c->tx.checked_pos + size < CHECK_BYTES) {
        c->tx.check_every = c->tx.check_every < 64 ? c->tx.check_every * 2 : 64;
    } else {
        c->tx.check_every = now - c->tx.checked_at < CHECK_NS ? 64 : 1;
        c->tx.checked_at = now;
        c->tx.checked_pos = c->tx.ring.pos;
        if (mp__channel_look_gone(c))
            return MP_EPIPE;
    }
    c->tx.check_in = c->tx.check_every;
    return 0;
}

// Whether it is put whole; if not, it flows through in steps.
static inline bool fits_whole(const struct mp__ring_tx *t, size_t size)
{
    return size <= MP__STEP - MP__WORD && MP__WORD + (size_t)mp__padded(size) <= t->cap / 4;
}

// A message too long to be put whole: flows through, so that copying in and out
// overlap. Once a part is in, only all of it will do. `carries` is MP__CARRIES or 0.
static MP__SLOW int send_pieces(struct mp__channel *c, const char *p, uint64_t size,
                                uint64_t carries, int timeout_ms)
{
    struct mp__ring_tx *t = &c->tx.ring;
    const uint64_t length = size | carries;
    bool begun = false;
    if (size > t->cap)
        consider_growing(c, mp__deadline_in(timeout_ms));
    do {
        size_t step = mp__min(MP__STEP, (size_t)t->cap / 4);
        size_t head = begun ? 0 : MP__WORD;
        size_t k = (size_t)(size < step - head ? size : step - head);
        size_t need = head + (size_t)mp__padded(k); // steps are multiples of 8 but for the last
        if (mp__ring_free(t) < need) {
            int r = wait_room(c, need, begun ? mp__channel_pause(c, timeout_ms) : timeout_ms);
            if (r == MP_ETIMEDOUT && begun)
                return mp__channel_break(c, MP_EBROKEN);
            if (r < 0)
                return r;
            continue; // the ring may have grown: other steps
        }
        if (!begun)
            mp__ring_put(t, &length, MP__WORD);
        begun = true;
        mp__ring_put(t, p, k);
        p += k;
        size -= k;
        if (size == 0)
            t->pos = mp__padded(t->pos);
        publish(c);
    } while (size > 0 || !begun);
    return 0;
}

// Asks early for the lines that the next messages will be written to: they are in
// the receiver's cache, and waiting for each is what a stream's speed hangs on.
static inline void fetch_ahead(const struct mp__ring_tx *t)
{
    mp__prefetch_write(t->data + ((t->pos + AHEAD) & (t->cap - 1)));
    mp__prefetch_write(t->data + ((t->pos + AHEAD + 64) & (t->cap - 1)));
}

// Puts and publishes a message for which there is room.
static inline void put_whole(struct mp__channel *c, const void *data, size_t size, uint64_t carries)
{
    struct mp__ring_tx *t = &c->tx.ring;
    size_t need = MP__WORD + (size_t)mp__padded(size);
    uint64_t length = size | carries;
    char *here = mp__ring_here(t, need);
    if (here) {
        memcpy(here, &length, MP__WORD);
        if (size)
            mp__copy(here + MP__WORD, data, size);
        t->pos += need;
    } else {
        mp__ring_put(t, &length, MP__WORD);
        if (size)
            mp__ring_put(t, data, size);
        t->pos = mp__padded(t->pos);
    }
    publish(c);
    fetch_ahead(t);
}

int mp__channel_send(struct mp__channel *c, const void *data, size_t size, int timeout_ms)
{
    struct mp__ring_tx *t = &c->tx.ring;
    int r = ended(c) ? end_error(c) : 0;
    if (r < 0)
        return r;
    if (size > c->send_max)
        return MP_EMSGSIZE;
    if (--c->tx.check_in == 0 || size >= CHECK_BYTES) {
        r = check_peer(c, size);
        if (r < 0)
            return r;
    }
    if (!fits_whole(t, size))
        return send_pieces(c, data, size, 0, timeout_ms);
    size_t need = MP__WORD + (size_t)mp__padded(size);
    if (mp__ring_free(t) < need) {
        r = wait_room(c, need, timeout_ms);
        if (r < 0)
            return r;
    }
    put_whole(c, data, size, 0);
    return 0;
}

// ---- with a parcel -------------------------------------------------------------------

// Waits until the socket may take a parcel: it is full, or this user has as many
// descriptors under way as the system allows, which no poll() tells the end of.
static int wait_socket(struct mp__channel *c, bool full, mp__deadline d)
{
    struct pollfd p = {.fd = c->sock, .events = (short)(POLLRDHUP | (full ? POLLOUT : 0))};
    int left = mp__left_ms(d), slice = full ? SLICE_MAX_MS : SLICE_MIN_MS;
    if (left == 0)
        return MP_ETIMEDOUT;
    if (poll(&p, 1, left > 0 && left < slice ? left : slice) > 0 &&
        (p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
        atomic_fetch_or(&c->ended, MP__GONE);
    return end_error(c);
}

static int post_parcel(struct mp__channel *c, struct mp__parcel *p, mp__deadline d)
{
    p->head.number = c->post.sent;
    for (;;) {
        int r =
            mp__fds_send(c->sock, p->fds, p->head.n_fds, &p->head, sizeof p->head + p->head.size);
        bool full = r == MP_EAGAIN;
        if (r == 0)
            c->post.sent++;
        // Too many under way, but not of ours: nobody may ever take them.
        if (r == -ETOOMANYREFS && atomic_load(&c->tx.ring.ring->tail) == c->tx.ring.pos)
            return r;
        if (!full && r != -ETOOMANYREFS)
            return r;
        r = wait_socket(c, full, d);
        if (r < 0)
            return r;
    }
}

// First room in the ring, then the parcel, then the message: so nothing was sent when
// time is over, and a message is never without its parcel.
int mp__channel_send_parcel(struct mp__channel *c, const void *data, size_t size,
                            struct mp__parcel *p, int timeout_ms)
{
    struct mp__ring_tx *t = &c->tx.ring;
    mp__deadline d = mp__deadline_in(timeout_ms);
    if (size > c->max_size)
        return MP_EMSGSIZE;
    mp__channel_look_gone(c);
    int r = end_error(c);
    if (r < 0)
        return r;
    size_t first = fits_whole(t, size) ? MP__WORD + (size_t)mp__padded(size) : (size_t)t->cap / 4;
    if (mp__ring_free(t) < first)
        r = wait_room(c, first, mp__left_ms(d));
    if (r == 0)
        r = post_parcel(c, p, d);
    if (r < 0)
        return r;
    MP__POINT("pipe.parcel_posted");
    if (!fits_whole(t, size))
        return send_pieces(c, data, size, MP__CARRIES, timeout_ms);
    put_whole(c, data, size, MP__CARRIES);
    return 0;
}
