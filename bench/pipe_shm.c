// SPDX-License-Identifier: MIT
//
// Limits for a pipe that goes through shared memory:
//
//   c_shm_busy   the ring of ring.h, never sleeps: nothing copies faster to and fro
//   c_shm_spin   spins as long as that pays, then sleeps
//   c_shm_futex  never spins
//   c_shm_slab   copied once, into a slab of shared memory that the receiver reads
//   c_vm_readv   copied once, by process_vm_readv(), while the sender waits
#include "pipe_test.h"
#include "ring.h"

#include <sys/uio.h>

#define RING_SIZE ((size_t)1 << 20)
#define SPINS     4000u
#define SLABS     4

struct shm_end {
    struct pipe_end end;
    struct ring_end tx, rx;
    unsigned char *buffer;
    // c_shm_slab
    unsigned char *out_slabs, *in_slabs;
    uint64_t sent;
    bool holding; // the slab of the message received last
    // c_vm_readv
    pid_t other;
};

static struct ring *rings[2];   // [side]: what that side sends
static unsigned char *slabs[2]; // likewise

static void prepare(long max_spins)
{
    (void)max_spins;
    for (int side = 0; side < 2; side++)
        rings[side] = ring_new(RING_SIZE);
}

static struct shm_end *open_end(uint32_t max_spins, int side)
{
    struct shm_end *s = allocate(sizeof *s);
    s->buffer = allocate(PIPE_TEST_MAX);
    ring_end_init(&s->tx, rings[side], max_spins);
    ring_end_init(&s->rx, rings[!side], max_spins);
    return s;
}

// ---- the ring ----

static void ring_pipe_send(struct pipe_end *e, const void *data, size_t size)
{
    ring_send(&((struct shm_end *)e)->tx, data, size);
}

static const void *ring_pipe_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct shm_end *s = (struct shm_end *)e;
    (void)expect;
    *size = ring_recv(&s->rx, s->buffer, PIPE_TEST_MAX);
    return s->buffer;
}

static struct pipe_end *ring_pipe_open(long max_spins, int side, pid_t other)
{
    (void)other;
    struct shm_end *s = open_end((uint32_t)max_spins, side);
    s->end = (struct pipe_end){.send = ring_pipe_send, .recv = ring_pipe_recv};
    return &s->end;
}

// ---- slabs: only the slab's number travels through the ring ----

struct slab_note {
    uint64_t slab, size;
};

static void prepare_slabs(long arg)
{
    prepare(arg);
    for (int side = 0; side < 2; side++) {
        slabs[side] = shared(SLABS * PIPE_TEST_MAX);
        memset(slabs[side], 0, SLABS * PIPE_TEST_MAX);
    }
}

static void slab_send(struct pipe_end *e, const void *data, size_t size)
{
    struct shm_end *s = (struct shm_end *)e;
    struct slab_note note = {.slab = s->sent++ % SLABS, .size = size};
    // Fewer than SLABS notes under way, so this slab has been given back.
    ring_need_space(&s->tx, RING_SIZE - (SLABS - 1) * sizeof note);
    memcpy(s->out_slabs + note.slab * PIPE_TEST_MAX, data, size);
    ring_put(&s->tx, &note, sizeof note);
    ring_publish(&s->tx);
}

static const void *slab_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct shm_end *s = (struct shm_end *)e;
    struct slab_note note;
    (void)expect;
    if (s->holding)
        ring_release(&s->rx);
    ring_need_data(&s->rx);
    ring_get(&s->rx, &note, sizeof note);
    s->holding = true;
    *size = note.size;
    return s->in_slabs + note.slab * PIPE_TEST_MAX;
}

static struct pipe_end *slab_open(long max_spins, int side, pid_t other)
{
    (void)other;
    struct shm_end *s = open_end((uint32_t)max_spins, side);
    s->out_slabs = slabs[side];
    s->in_slabs = slabs[!side];
    s->end = (struct pipe_end){.send = slab_send, .recv = slab_recv};
    return &s->end;
}

// ---- process_vm_readv: the ring carries addresses one way, "done" the other ----

struct vm_note {
    uint64_t address, size;
};

static void vm_send(struct pipe_end *e, const void *data, size_t size)
{
    struct shm_end *s = (struct shm_end *)e;
    struct vm_note note = {.address = (uintptr_t)data, .size = size};
    uint64_t done;
    ring_send(&s->tx, &note, sizeof note);
    ring_recv(&s->rx, &done, sizeof done);
}

static const void *vm_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct shm_end *s = (struct shm_end *)e;
    struct vm_note note;
    uint64_t done = 1;
    (void)expect;
    ring_recv(&s->rx, &note, sizeof note);
    struct iovec to = {s->buffer, note.size};
    struct iovec from = {(void *)(uintptr_t)note.address, note.size};
    if (note.size > PIPE_TEST_MAX ||
        process_vm_readv(s->other, &to, 1, &from, 1, 0) != (ssize_t)note.size)
        die("process_vm_readv");
    ring_send(&s->tx, &done, sizeof done);
    *size = note.size;
    return s->buffer;
}

static struct pipe_end *vm_open(long max_spins, int side, pid_t other)
{
    struct shm_end *s = open_end((uint32_t)max_spins, side);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); // where Yama forbids it otherwise
    s->other = other;
    s->end = (struct pipe_end){.send = vm_send, .recv = vm_recv};
    return &s->end;
}

int main(int argc, char **argv)
{
    static const struct pipe_peer peers[] = {
        {"c_shm_busy", SPIN_FOREVER, prepare, ring_pipe_open},
        {"c_shm_spin", SPINS, prepare, ring_pipe_open},
        {"c_shm_futex", 0, prepare, ring_pipe_open},
        {"c_shm_slab", SPINS, prepare_slabs, slab_open},
        {"c_vm_readv", SPINS, prepare, vm_open},
        {0},
    };
    return pipe_peer_main(argc, argv, peers);
}
