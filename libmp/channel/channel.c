// SPDX-License-Identifier: MIT
//
// The doorbell channel. Messages go through the rings of shm/ring.h: an 8-byte
// length, the bytes, padding to 8. While both sides are awake nothing but memory
// is touched. To sleep and to wake:
//
//   receiver, nothing there:  raise want_data; fence; look again; poll {bell, sock: RDHUP}
//   sender, no room:          raise want_space; fence; look again; poll {sock: IN, RDHUP}
//   after publishing:         fence; want_data up? take it down and write the peer's bell
//   after giving space back:  fence; want_space up and `need` free? take it down and
//                             send a byte through the socket
//
// The bell is an eventfd: it coalesces and never fills. (A byte a message would
// overflow the socket after 278, and the bell lost there is a wake-up lost.) Space
// bytes and data bells are apart, so that a sending and a receiving thread do not
// take each other's. A flag left up costs one needless bell; that is why a wake-up
// is always followed by a look. The socket's hang-up tells that the last holder of
// the other end is gone, however it died; the state words in the rings tell of an
// orderly close, without a system call.
#include "channel/channel.h"

#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER 4096 // two rings' words, before their data

struct header {
    struct mp__ring rings[2]; // [0]: from a to b
};
_Static_assert(sizeof(struct header) <= HEADER, "the rings' words fit before their data");

static pthread_mutex_t channels = PTHREAD_MUTEX_INITIALIZER;

void mp__channels_lock(void)
{
    pthread_mutex_lock(&channels);
}

void mp__channels_unlock(void)
{
    pthread_mutex_unlock(&channels);
}

static int map_end(struct mp__channel *c, int memfd, int end, const struct mp__channel_opts *o)
{
    c->map_size = HEADER + 2 * o->ring_max;
    int r = mp__memfd_map(memfd, c->map_size, &c->map);
    if (r < 0)
        return r;
    struct header *h = c->map;
    unsigned char *data = (unsigned char *)c->map + HEADER;
    c->memfd = memfd;
    c->tx_offset = HEADER + (size_t)end * o->ring_max;
    c->tx.ring = (struct mp__ring_tx){
        .ring = &h->rings[end], .data = data + (size_t)end * o->ring_max, .cap = o->ring_size};
    c->rx.ring = (struct mp__ring_rx){.ring = &h->rings[!end],
                                      .data = data + (size_t)!end * o->ring_max,
                                      .cap = o->ring_size,
                                      .max_cap = o->ring_max};
    c->can_send = !o->oneway || end == 1;
    c->can_recv = !o->oneway || end == 0;
    c->ring_max = o->ring_max;
    c->pause_ms = MP__PAUSE_MS;
    c->max_size = c->send_max = o->max_size;
    c->tx.spin.off = c->rx.spin.off = o->no_spin;
    c->tx.check_every = c->tx.check_in = 1;
    return 0;
}

static void clear(struct mp__channel *c)
{
    *c = (struct mp__channel){.bell = -1, .peer_bell = -1, .sock = -1, .memfd = -1, .epoll = -1};
    pthread_mutex_init(&c->post.lock, NULL);
}

// The memory of both rings, with the words set up by a's mapping.
static int make_memory(struct mp__channel *a, struct mp__channel *b,
                       const struct mp__channel_opts *o)
{
    int fd = mp__memfd_new("mp-channel", HEADER + 2 * o->ring_max);
    if (fd < 0)
        return fd;
    int r = map_end(a, fd, 0, o);
    if (r < 0) {
        close(fd);
        return r;
    }
    int fd_b = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd_b < 0)
        return -errno;
    if ((r = map_end(b, fd_b, 1, o)) < 0) {
        close(fd_b);
        return r;
    }
    r = mp__memfd_commit(fd, 0, HEADER);
    for (int end = 0; end < 2 && r == 0; end++)
        if (!o->oneway || end == 1)
            r = mp__memfd_commit(fd, HEADER + (size_t)end * o->ring_max, o->ring_size);
    for (int end = 0; end < 2 && r == 0; end++)
        atomic_store(&((struct header *)a->map)->rings[end].cap, o->ring_size);
    return r;
}

static int make_bells(struct mp__channel *a, struct mp__channel *b)
{
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0)
        return -errno;
    a->sock = sv[0];
    b->sock = sv[1];
    if ((a->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        (b->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        (a->peer_bell = fcntl(b->bell, F_DUPFD_CLOEXEC, 0)) < 0 ||
        (b->peer_bell = fcntl(a->bell, F_DUPFD_CLOEXEC, 0)) < 0)
        return -errno;
    return 0;
}

int mp__channel_pair(struct mp__channel *a, struct mp__channel *b,
                     const struct mp__channel_opts *opts)
{
    clear(a);
    clear(b);
    mp__spin_init();
    int r = make_memory(a, b, opts);
    if (r == 0)
        r = make_bells(a, b);
    if (r < 0) {
        mp__channel_release(a);
        mp__channel_release(b);
    }
    return r;
}

void mp__channel_export(const struct mp__channel *c, int fds[MP__CHANNEL_FDS])
{
    fds[0] = c->memfd;
    fds[1] = c->bell;
    fds[2] = c->peer_bell;
    fds[3] = c->sock;
}

// A file that the peer could shorten would kill whoever maps it.
static bool is_ours(int memfd, size_t size)
{
    struct stat st;
    int seals = fcntl(memfd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(memfd, &st) == 0 && st.st_size >= 0 &&
           (size_t)st.st_size >= size;
}

int mp__channel_import(struct mp__channel *c, const int fds[MP__CHANNEL_FDS], int end,
                       const struct mp__channel_opts *o)
{
    clear(c);
    c->bell = fds[1];
    c->peer_bell = fds[2];
    c->sock = fds[3];
    mp__spin_init();
    int r = MP_EPROTO;
    if (is_ours(fds[0], HEADER + 2 * o->ring_max))
        r = map_end(c, fds[0], end, o);
    if (r < 0) {
        close(fds[0]);
        mp__channel_release(c);
    }
    return r;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void mp__channel_release(struct mp__channel *c)
{
    mp__parcels_forget(c);
    close_fd(&c->epoll);
    close_fd(&c->bell);
    close_fd(&c->peer_bell);
    close_fd(&c->sock);
    close_fd(&c->memfd);
    if (c->map)
        munmap(c->map, c->map_size);
    c->map = NULL;
}

void mp__channel_abandon(struct mp__channel *c)
{
    for (struct mp__parcel *p = c->post.first; p; p = p->next)
        p->head.n_fds = 0;
    c->bell = c->peer_bell = c->sock = c->memfd = -1;
    mp__channel_release(c);
}

void mp__channel_ring(int fd)
{
    uint64_t one = 1;
    // Fails only when the counter is at its end, and then it is readable.
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

// Tells the peer on both rings, and wakes the sleepers of both sides: their polls
// see the hang-up.
static void tell(struct mp__channel *c, uint32_t tx_bits, uint32_t rx_bits)
{
    atomic_fetch_or(&c->tx.ring.ring->state, tx_bits);
    atomic_fetch_or(&c->rx.ring.ring->state, rx_bits);
    shutdown(c->sock, SHUT_RDWR);
}

void mp__channel_close(struct mp__channel *c)
{
    if (atomic_fetch_or(&c->ended, MP__CLOSING) & MP__CLOSING)
        return;
    tell(c, MP__TX_CLOSED, MP__RX_CLOSED);
    mp__parcels_clear(c); // nobody can receive them any more
}

int mp__channel_break(struct mp__channel *c, int error)
{
    atomic_fetch_or(&c->ended, MP__BROKEN);
    tell(c, MP__RING_BROKEN, MP__RING_BROKEN);
    mp__parcels_clear(c);
    return error;
}

int mp__channel_pause(const struct mp__channel *c, int timeout_ms)
{
    return timeout_ms >= 0 && timeout_ms < c->pause_ms ? c->pause_ms : timeout_ms;
}

bool mp__channel_look_gone(struct mp__channel *c)
{
    struct pollfd p = {.fd = c->sock, .events = POLLRDHUP};
    if (!(atomic_load(&c->ended) & MP__GONE) && poll(&p, 1, 0) > 0)
        atomic_fetch_or(&c->ended, MP__GONE);
    return atomic_load(&c->ended) & MP__GONE;
}

// ---- moving an end ---------------------------------------------------------------

void mp__channel_describe(const struct mp__channel *c, struct mp__channel_state *s,
                          int fds[MP__CHANNEL_FDS])
{
    *s = (struct mp__channel_state){
        .side = c->tx_offset != HEADER,
        .can_send = c->can_send,
        .can_recv = c->can_recv,
        .no_spin = c->tx.spin.off,
        .ended = atomic_load(&c->ended),
        .ring_max = c->rx.ring.max_cap,
        .ring_grows = c->ring_max,
        .max_size = c->max_size,
        .send_max = c->send_max,
        .tx_pos = c->tx.ring.pos,
        .tx_seen = c->tx.ring.seen,
        .tx_cap = c->tx.ring.cap,
        .rx_pos = c->rx.ring.pos,
        .rx_returned = c->rx.ring.returned,
        .rx_cap = c->rx.ring.cap,
        .sent = c->post.sent,
        .taken = c->post.taken,
    };
    fds[0] = c->bell;
    fds[1] = c->peer_bell;
    fds[2] = c->sock;
    fds[3] = c->memfd;
}

static bool power_up_to(uint64_t x, uint64_t max)
{
    return x >= MP__RING_MIN && x <= max && (x & (x - 1)) == 0;
}

// What the rings are used with is within the memory, which cannot shrink.
static bool plausible(const struct mp__channel_state *s, int memfd)
{
    struct stat st;
    const uint64_t bools = s->side | s->can_send | s->can_recv | s->no_spin | s->remote;
    if (bools > 1 || s->ended & ~(uint64_t)(MP__GONE | MP__BROKEN) ||
        !power_up_to(s->ring_max, MP__RING_LIMIT) || !power_up_to(s->ring_grows, s->ring_max) ||
        !power_up_to(s->tx_cap, s->ring_max) || !power_up_to(s->rx_cap, s->ring_max))
        return false;
    if (s->max_size > PTRDIFF_MAX || s->send_max > s->max_size ||
        s->tx_pos - s->tx_seen > s->tx_cap || s->rx_pos - s->rx_returned > s->rx_cap ||
        (s->tx_pos | s->rx_pos) % MP__WORD)
        return false;
    return fcntl(memfd, F_GET_SEALS) > 0 && (fcntl(memfd, F_GET_SEALS) & F_SEAL_SHRINK) &&
           fstat(memfd, &st) == 0 && st.st_size == (off_t)(HEADER + 2 * s->ring_max);
}

int mp__channel_rebuild(struct mp__channel *c, const struct mp__channel_state *s,
                        const int fds[MP__CHANNEL_FDS])
{
    clear(c);
    if (!plausible(s, fds[3]))
        return MP_EPROTO;
    const struct mp__channel_opts o = {.ring_size = s->tx_cap,
                                       .ring_max = s->ring_max,
                                       .max_size = s->max_size,
                                       .no_spin = s->no_spin};
    mp__spin_init();
    int r = mp__memfd_commit(fds[3], 0, HEADER);
    if (r == 0 && s->can_send)
        r = mp__memfd_commit(fds[3], HEADER + s->side * s->ring_max, s->tx_cap);
    if (r == 0 && s->can_recv)
        r = mp__memfd_commit(fds[3], HEADER + !s->side * s->ring_max, s->rx_cap);
    if (r == 0)
        r = map_end(c, fds[3], (int)s->side, &o);
    if (r < 0)
        return r;
    c->bell = fds[0];
    c->peer_bell = fds[1];
    c->sock = fds[2];
    c->send_max = (size_t)s->send_max;
    c->can_send = s->can_send;
    c->can_recv = s->can_recv;
    c->ring_max = s->ring_grows;
    atomic_store(&c->ended, (uint32_t)s->ended);
    c->tx.ring.pos = s->tx_pos;
    c->tx.ring.seen = s->tx_seen;
    c->rx.ring.pos = c->rx.ring.seen = s->rx_pos;
    c->rx.ring.returned = s->rx_returned;
    c->rx.ring.cap = s->rx_cap;
    c->post.sent = s->sent;
    c->post.taken = s->taken;
    return 0;
}

bool mp__channel_same(const struct mp__channel *c, const struct mp__channel *d)
{
    struct stat x, y;
    return fstat(c->memfd, &x) < 0 || fstat(d->memfd, &y) < 0 ||
           (x.st_ino == y.st_ino && x.st_dev == y.st_dev);
}
