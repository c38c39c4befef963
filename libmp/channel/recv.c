// SPDX-License-Identifier: MIT
//
// The receiving side of a channel, and what those need who wait for several.
//
// In an exchange of questions and answers each side waits for the other's whole way from the
// coming of a message to the sending of the next, so what can be done while this side waits is
// done then: the space of a message goes back, with its fence, when the next one is asked for.
#include "channel/channel.h"
#include "os/point.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETURN_MAX 4096 // the receiver keeps at most so much space to itself
#define PILE_FIRST 64   // pauses
#define PILE_GOOD  8    // messages that a delay has to bring, or ...
#define PILE_BYTES 8192 // ... so much in two of them at least
#define PILE_SKIP  4096
#define BRIEF      64 // looks for the answer, before a wait begins

#define HOT inline __attribute__((always_inline))

static void silence_bell(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
}

static inline bool ended(const struct mp__channel *c)
{
    return atomic_load_explicit(&c->rx.ring.ring->state, memory_order_relaxed) |
           atomic_load_explicit(&c->ended, memory_order_relaxed);
}

// Why receiving is over, once everything was read; 0 if it is not.
static int end_error(const struct mp__channel *c)
{
    uint32_t state = atomic_load(&c->rx.ring.ring->state), here = atomic_load(&c->ended);
    if (here & MP__CLOSING)
        return MP_ECLOSED;
    if (state & MP__RING_BROKEN || here & MP__BROKEN)
        return MP_EBROKEN;
    if (state & MP__TX_CLOSED || here & MP__GONE)
        return MP_EOF;
    return state ? MP_EPROTO : 0; // not the peer's to set
}

// Asks for the lines of the next message along with the head that will tell of it: so a round
// trip waits for the other core once, not twice. What is not there yet costs nothing.
static inline void fetch(const unsigned char *next)
{
    __builtin_prefetch(next);
    __builtin_prefetch(next + 64);
}

static inline const unsigned char *next_message(const struct mp__ring_rx *r)
{
    return r->data + (r->pos & (r->cap - 1));
}

static inline __attribute__((always_inline)) bool data_ready(void *arg)
{
    struct mp__channel *c = arg;
    fetch(next_message(&c->rx.ring));
    return atomic_load_explicit(&c->rx.ring.ring->head, memory_order_acquire) != c->rx.ring.pos ||
           ended(c);
}

static void data_arm(void *arg)
{
    mp__channel_arm(arg);
}

static int data_sleep(void *arg, mp__deadline d)
{
    struct mp__channel *c = arg;
    struct pollfd p[2] = {{.fd = c->bell, .events = POLLIN}, {.fd = c->sock, .events = POLLRDHUP}};
    int ms = mp__left_ms(d);
    int n = poll(p, 2, ms);
    if (n == 0 && ms >= 0 && mp__left_ns(d) == 0)
        return MP_ETIMEDOUT;
    if (n > 0)
        mp__channel_woken(c, p[0].revents, p[1].revents);
    return 0;
}

static const struct mp__waiter data_waiter = {data_ready, data_arm, data_sleep};

// Before this end waits.
static inline void give_back_all(struct mp__channel *c)
{
    if (c->rx.ring.returned != c->rx.ring.pos)
        mp__channel_give_back(c);
}

// Waits for bytes beyond the view, which is used up. 0, or why there are none.
static int wait_data(struct mp__channel *c, int timeout_ms)
{
    give_back_all(c);
    mp__deadline d = mp__deadline_in(timeout_ms);
    int r = mp__wait_until(&c->rx.spin, &data_waiter, c, d);
    if (r == MP_ETIMEDOUT && d == 0)
        mp__channel_look_gone(c); // nobody slept in poll and saw it
    // The end first, then the data: what was sent before the end is there now.
    int end = end_error(c);
    if (mp__ring_look_head(&c->rx.ring) < 0)
        return mp__channel_break(c, MP_EPROTO);
    if (mp__ring_view(&c->rx.ring) && end != MP_ECLOSED)
        return 0;
    if (end == MP_EPROTO || (end == 0 && r == 0)) // woken for something that is not there
        return mp__channel_break(c, MP_EPROTO);
    if (end == MP_EOF)
        mp__parcels_clear(c); // the sender died before it published the message
    return end ? end : r;
}

// The view is used up. In a stream of small messages a receiver that looks for
// each one drags the cache line to and fro: better let some pile up. A delay that
// does not bring enough of them is given up, and tried again ever more seldom, so
// that an exchange of questions and answers is not slowed.
static void pile_up(struct mp__channel *c)
{
    unsigned max = c->rx.ring.cap > 65536 ? 256 : 64;
    if (c->rx.delay) {
        uint64_t bytes = c->rx.ring.pos - c->rx.piled_at;
        if (c->rx.got < 2 || (c->rx.got < PILE_GOOD && bytes < PILE_BYTES)) {
            c->rx.delay = 0;
            c->rx.skip_next = c->rx.skip_next ? c->rx.skip_next * 2 : 1;
            if (c->rx.skip_next > PILE_SKIP)
                c->rx.skip_next = PILE_SKIP;
            c->rx.skip = c->rx.skip_next;
        } else {
            c->rx.skip_next = 0;
            if (c->rx.got < 64 && bytes < 4UL * PILE_BYTES && c->rx.delay < max)
                c->rx.delay *= 2;
        }
    } else {
        c->rx.delay = PILE_FIRST;
    }
    c->rx.got = 0;
    c->rx.piled_at = c->rx.ring.pos;
    for (unsigned i = 0; i < c->rx.delay; i++)
        mp__cpu_relax();
}

void mp__channel_give_back(struct mp__channel *c)
{
    struct mp__ring_rx *x = &c->rx.ring;
    mp__ring_return(x);
    MP__PROBE();
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(&x->ring->want_space, memory_order_relaxed))
        return;
    uint64_t head = atomic_load_explicit(&x->ring->head, memory_order_relaxed);
    uint64_t need = atomic_load_explicit(&x->ring->need, memory_order_relaxed);
    if (x->cap - (head - x->pos) >= need && atomic_exchange(&x->ring->want_space, 0)) {
        MP__PROBE();
        // If it cannot be sent, the peer is gone or has others to read: it wakes.
        ssize_t n =
            MP__OMITS(MP__SPACE_BYTE) ? 0 : send(c->sock, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)n;
    }
}

// After taking from the view: space goes back now and then, and always before this end
// waits. What is kept is no more than a quarter of the ring, and no sender needs more than
// another quarter at once: one that sleeps finds room enough in an empty ring, though its
// receiver never comes back. With parcels all goes back at the end of the view: a sender
// with too many descriptors under way asks whether they are its own (post_parcel()).
static void taken(struct mp__channel *c)
{
    struct mp__ring_rx *x = &c->rx.ring;
    uint64_t due = x->cap / 4 < RETURN_MAX ? x->cap / 4 : RETURN_MAX;
    if (x->pos - x->returned >= due || (x->pos == x->seen && c->post.taken) ||
        atomic_load_explicit(&x->ring->want_space, memory_order_relaxed))
        mp__channel_give_back(c);
}

// Keeps the promise of mp__channel_fd() when a call ends: readable if and only if
// something is there.
void mp__channel_settle(struct mp__channel *c)
{
    if (c->epoll < 0)
        return;
    if (!mp__channel_readable(c)) {
        MP__PROBE();
        silence_bell(c->bell);
        c->rx.rung = false;
        MP__PROBE();
        mp__channel_arm(c);
        MP__PROBE_ARMED();
        atomic_thread_fence(memory_order_seq_cst);
        if (MP__OMITS(MP__SETTLE_RECHECK) || !mp__channel_readable(c))
            return;
    }
    if (!c->rx.rung && !MP__OMITS(MP__SETTLE_BELL))
        mp__channel_ring(c->bell);
    c->rx.rung = true;
}

// A length that is none, or that of a message with a parcel: MP_ETYPE, and its size in
// rx.carried. That there is a parcel is made sure of here; there may be no room for it.
static MP__SLOW int64_t odd_length(struct mp__channel *c, uint64_t len)
{
    struct mp__parcel *p;
    c->rx.carried = len & ~MP__CARRIES;
    if (mp__ring_view(&c->rx.ring) < MP__WORD || !(len & MP__CARRIES) ||
        c->rx.carried > c->max_size)
        return mp__channel_break(c, MP_EPROTO);
    int r = mp__parcel_fetch(c, &p);
    if (r == 0)
        mp__parcel_done(c, false);
    return r == MP_EPROTO ? mp__channel_break(c, r) : MP_ETYPE;
}

// Looks for a moment whether something comes; then there is more in the ring. The answer to
// what was just sent does, mostly: from the look that finds it to its taking the way is short.
static inline bool look_briefly(struct mp__channel *c, int timeout_ms)
{
    const struct mp__ring_rx *x = &c->rx.ring;
    const unsigned char *next = next_message(x);
    const uint64_t pos = x->pos;
    _Atomic uint64_t *head = &x->ring->head;
    struct mp__spin_run run;
    give_back_all(c);
    if (timeout_ms == 0 || !mp__spin_begin(&c->rx.spin, &run))
        return false;
    for (int i = 0; i < BRIEF; i++) {
        fetch(next);
        if (atomic_load_explicit(head, memory_order_acquire) != pos)
            return true;
        mp__cpu_relax();
    }
    return false;
}

// Finds the next message: its length, or the error.
static HOT int64_t find_message(struct mp__channel *c, int timeout_ms)
{
    struct mp__ring_rx *x = &c->rx.ring;
    if (atomic_load_explicit(&c->ended, memory_order_relaxed) & (MP__CLOSING | MP__BROKEN))
        return end_error(c);
    if (x->pos == x->seen) {
        if (c->rx.skip)
            c->rx.skip--;
        else
            pile_up(c);
        if (mp__ring_look_head(x) < 0)
            return mp__channel_break(c, MP_EPROTO);
        if (x->pos == x->seen && look_briefly(c, timeout_ms) && mp__ring_look_head(x) < 0)
            return mp__channel_break(c, MP_EPROTO);
        if (x->pos == x->seen) {
            int r = wait_data(c, timeout_ms);
            if (r < 0)
                return r;
        }
    }
    // Copied once: the peer may change it after the checks.
    const void *at = x->data + (x->pos & (x->cap - 1));
    uint64_t len = __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
    if (mp__ring_view(x) < MP__WORD || len > c->max_size)
        return odd_length(c, len);
    return (int64_t)len;
}

// Takes the rest of a message that does not lie in the view as a whole.
static MP__SLOW int take_pieces(struct mp__channel *c, char *p, uint64_t size, int timeout_ms)
{
    struct mp__ring_rx *x = &c->rx.ring;
    uint64_t pad = mp__padded(size) - size;
    while (size + pad > 0) {
        if (x->pos == x->seen) {
            if (x->returned != x->pos) // the length: a sender may wait for all of the ring
                mp__channel_give_back(c);
            int r = wait_data(c, mp__channel_pause(c, timeout_ms));
            if (r == MP_EOF)
                return mp__channel_break(c, MP_ETRUNCATED);
            if (r == MP_ETIMEDOUT)
                return mp__channel_break(c, MP_EBROKEN);
            if (r < 0)
                return r;
        }
        size_t k = mp__min(mp__ring_view(x), MP__STEP);
        if (k > size)
            k = (size_t)size;
        mp__ring_get(x, p, k);
        p += k;
        size -= k;
        if (size == 0) { // padding comes with the last piece
            uint64_t skip = mp__ring_view(x) < pad ? mp__ring_view(x) : pad;
            x->pos += skip;
            pad -= skip;
        }
        mp__channel_give_back(c);
    }
    return 0;
}

// Takes the message that find_message() found.
static HOT int take_message(struct mp__channel *c, void *buf, uint64_t len, int timeout_ms)
{
    struct mp__ring_rx *x = &c->rx.ring;
    x->pos += MP__WORD;
    c->rx.got++;
    size_t whole = (size_t)mp__padded(len);
    if (whole <= mp__ring_view(x)) {
        const void *there = mp__ring_there(x, whole);
        if (there && len)
            mp__copy(buf, there, (size_t)len);
        else if (len)
            mp__ring_get(x, buf, (size_t)len);
        x->pos += there ? whole : whole - (size_t)len;
        taken(c);
        return 0;
    }
    return take_pieces(c, buf, len, timeout_ms);
}

int64_t mp__channel_next_size(struct mp__channel *c, int timeout_ms)
{
    int64_t len = find_message(c, timeout_ms);
    mp__channel_settle(c);
    return len == MP_ETYPE ? (int64_t)c->rx.carried : len;
}

bool mp__channel_poll(struct mp__channel *c, int timeout_ms)
{
    bool ready = c->rx.ring.pos != c->rx.ring.seen || wait_data(c, timeout_ms) != MP_ETIMEDOUT;
    mp__channel_settle(c);
    return ready;
}

int64_t mp__channel_recv(struct mp__channel *c, void *buf, size_t cap, int timeout_ms)
{
    int64_t len = find_message(c, timeout_ms);
    if (len >= 0) {
        int r = (uint64_t)len > cap ? MP_EMSGSIZE : take_message(c, buf, (uint64_t)len, timeout_ms);
        if (r < 0)
            len = r;
    }
    mp__channel_settle(c);
    return len;
}

int64_t mp__channel_recv_new(struct mp__channel *c, void **data, int timeout_ms)
{
    int64_t len = find_message(c, timeout_ms);
    if (len >= 0) {
        void *buf = malloc(len ? (size_t)len : 1);
        int r = buf ? take_message(c, buf, (uint64_t)len, timeout_ms) : -ENOMEM;
        if (r < 0) {
            free(buf);
            len = r;
        } else {
            *data = buf;
        }
    }
    mp__channel_settle(c);
    return len;
}

// The message at hand, which carries a parcel: opens it, then takes the message.
static int64_t take_with_parcel(struct mp__channel *c, void *buf, size_t cap,
                                mp__parcel_opener *open, void *arg, int timeout_ms)
{
    struct mp__parcel *p;
    uint64_t len = c->rx.carried;
    if (len > cap)
        return MP_EMSGSIZE;
    int r = mp__parcel_fetch(c, &p);
    if (r == 0) {
        r = open(arg, p);
        MP__POINT("pipe.parcel_opened");
        mp__parcel_done(c, r == 0);
    }
    if (r == MP_EPROTO)
        mp__channel_break(c, r);
    if (r == 0)
        r = take_message(c, buf, len, timeout_ms);
    return r < 0 ? r : (int64_t)len;
}

int mp__channel_carries(struct mp__channel *c, int timeout_ms)
{
    int64_t len = find_message(c, timeout_ms);
    mp__channel_settle(c);
    return len == MP_ETYPE ? 1 : len < 0 ? (int)len : 0;
}

int64_t mp__channel_recv_parcel(struct mp__channel *c, void *buf, size_t cap,
                                mp__parcel_opener *open, void *arg, int timeout_ms)
{
    int64_t len = find_message(c, timeout_ms);
    if (len == MP_ETYPE) {
        len = take_with_parcel(c, buf, cap, open, arg, timeout_ms);
    } else if (len >= 0) {
        int r = (uint64_t)len > cap ? MP_EMSGSIZE : take_message(c, buf, (uint64_t)len, timeout_ms);
        if (r < 0)
            len = r;
    }
    mp__channel_settle(c);
    return len;
}

bool mp__channel_readable(struct mp__channel *c)
{
    return c->rx.ring.pos != c->rx.ring.seen || data_ready(c);
}

void mp__channel_arm(struct mp__channel *c)
{
    give_back_all(c);
    atomic_store_explicit(&c->rx.ring.ring->want_data, 1, memory_order_release);
}

void mp__channel_woken(struct mp__channel *c, bool bell, bool gone)
{
    if (bell) {
        MP__PROBE();
        silence_bell(c->bell);
        c->rx.rung = false;
    }
    if (gone)
        atomic_fetch_or(&c->ended, MP__GONE);
}

int mp__channel_fd(struct mp__channel *c)
{
    if (c->epoll >= 0)
        return c->epoll;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct epoll_event data = {.events = EPOLLIN}, gone = {.events = EPOLLRDHUP};
    if (epoll_ctl(fd, EPOLL_CTL_ADD, c->bell, &data) < 0 ||
        epoll_ctl(fd, EPOLL_CTL_ADD, c->sock, &gone) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    c->epoll = fd;
    mp__channel_settle(c);
    return fd;
}
