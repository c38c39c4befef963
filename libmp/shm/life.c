// SPDX-License-Identifier: MIT
//
// A life is a place in a table that the arena holds, and a record lock (fcntl) on a byte of
// the arena's file, far behind its end, with the number of that place.
//
// Why a record lock: the kernel drops it when the process ends, however that happens; a
// child does not inherit it; it belongs to the process and not to the thread that took it,
// as a robust mutex would, and may be dropped by any. Asking for it costs half a
// microsecond. A process can lose its locks while it lives, by closing some other
// descriptor of the file. So a place without the lock is only a reason to look at the
// process itself.
//
// Taking a place: get its lock; see that the process in its record is gone; number, then
// pid and start. A number that is in the record without a pid has never been told to
// anybody.
#include "shm/life.h"
#include "os/alive.h"
#include "os/fork.h"
#include "os/point.h"
#include "shm/arena.h"
#include "shm/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#define LOCK_BASE ((off_t)1 << 62) // where in the file the bytes for the locks begin

struct record {
    _Atomic uint32_t number;
    _Atomic pid_t pid; // 0: nobody
    _Atomic uint64_t start;
};

static struct record *record_at(const mp_arena *a, uint32_t place)
{
    if (place >= MP__LIFE_PLACES)
        return NULL;
    unsigned chunk;
    uint32_t i = mp__place_chunk(place, &chunk);
    uint64_t offset = atomic_load(&a->head->lives.chunk[chunk]);
    if (!mp__arena_has_block(a, offset, sizeof(struct record) << (chunk + 3)))
        return NULL;
    return (struct record *)(void *)((char *)a->head + offset) + i;
}

static int lock_place(const mp_arena *a, uint32_t place, short type)
{
    struct flock l = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = LOCK_BASE + place, .l_len = 1};
    int r;
    do
        r = fcntl(a->fd, F_SETLK, &l);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

// Whether another process has the lock.
static bool place_is_locked(const mp_arena *a, uint32_t place)
{
    struct flock l = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BASE + place, .l_len = 1};
    return fcntl(a->fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

// Whether the process in a record is gone, whose lock nobody has.
static bool is_gone(const struct record *r)
{
    pid_t pid = atomic_load(&r->pid);
    return pid <= 0 || mp__process_is_gone(pid, atomic_load(&r->start));
}

// Tries to take a place. 0, or -EAGAIN: somebody has it; others as of fcntl().
static int take_place(mp_arena *a, uint32_t place, mp__life *life)
{
    struct record *rec = record_at(a, place);
    int r = rec ? lock_place(a, place, F_WRLCK) : -EAGAIN;
    if (r < 0)
        return r == -EACCES ? -EAGAIN : r;
    if (!is_gone(rec)) {
        lock_place(a, place, F_UNLCK);
        return -EAGAIN;
    }
    uint32_t number = atomic_load(&rec->number) + 1;
    number += number == 0;
    atomic_store(&rec->pid, 0);
    atomic_store(&rec->number, number); // from here on its last owner's is over
    MP__POINT("life.numbered");
    atomic_store(&rec->start, mp__process_start_of(getpid()));
    atomic_store(&rec->pid, getpid());
    MP__POINT("life.signed");
    *life = (uint64_t)place << 32 | number;
    return 0;
}

static uint32_t places(const mp_arena *a, unsigned *chunks)
{
    unsigned n = 0;
    while (n < MP__PLACES_CHUNKS && atomic_load(&a->head->lives.chunk[n]))
        n++;
    *chunks = n;
    uint32_t there = (8u << n) - 8;
    return there < MP__LIFE_PLACES ? there : MP__LIFE_PLACES;
}

// Adds chunk n of the table.
static int grow(mp_arena *a, unsigned n)
{
    uint64_t offset, none = 0;
    if (n == MP__PLACES_CHUNKS)
        return -EAGAIN;
    int r = mp__arena_take(a, sizeof(struct record) << (n + 3), true, &offset);
    if (r < 0)
        return r;
    MP__POINT("life.grown");
    if (!atomic_compare_exchange_strong(&a->head->lives.chunk[n], &none, offset))
        mp__arena_give(a, offset); // another process was first
    return 0;
}

// Tries all places once, beginning behind the last one taken: so places come round
// evenly, and fresh ones are found at once.
static int take_any(mp_arena *a, mp__life *life)
{
    for (;;) {
        unsigned chunks;
        uint32_t n = places(a, &chunks);
        uint32_t from = atomic_load(&a->head->lives.next);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t place = (uint32_t)(((uint64_t)from + i) % n);
            int r = take_place(a, place, life);
            if (r == 0)
                atomic_store(&a->head->lives.next, place + 1);
            if (r != -EAGAIN)
                return r;
        }
        int r = grow(a, chunks);
        if (r < 0)
            return r;
        atomic_store(&a->head->lives.next, n);
    }
}

static bool has_life(const mp_arena *a)
{
    return mp__fork_is_mine(atomic_load_explicit(&a->life_of, memory_order_acquire));
}

int mp__life_in(mp_arena *a, mp__life *life)
{
    int r = 0;
    if (__builtin_expect(!has_life(a), 0)) {
        mp__life mine = 0;
        mp__arenas_lock();
        if (!has_life(a)) {
            r = take_any(a, &mine);
            if (r == 0) {
                atomic_store(&a->life, mine);
                atomic_store(&a->life_of, mp__fork_token());
            }
        }
        mp__arenas_unlock();
    }
    *life = atomic_load_explicit(&a->life, memory_order_relaxed);
    return r;
}

int mp__life_mine(void *obj, mp__life *life)
{
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    return a ? mp__life_in(a, life) : MP_EINVAL;
}

void mp__life_leave(mp_arena *a)
{
    if (!has_life(a))
        return;
    mp__life mine = atomic_load(&a->life);
    atomic_store(&a->life_of, 0);
    struct record *rec = record_at(a, mp__life_place(mine));
    if (rec && atomic_load(&rec->number) == mp__life_number(mine))
        atomic_store(&rec->pid, 0);
    lock_place(a, mp__life_place(mine), F_UNLCK);
}

void mp__life_renew(mp_arena *a)
{
    if (has_life(a))
        lock_place(a, mp__life_place(atomic_load(&a->life)), F_WRLCK);
}

bool mp__life_over(void *obj, mp__life life)
{
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    if (!a)
        return false;
    if (has_life(a) && life == atomic_load(&a->life))
        return false;
    struct record *rec = record_at(a, mp__life_place(life));
    if (!rec || atomic_load(&rec->number) != mp__life_number(life))
        return true;
    if (place_is_locked(a, mp__life_place(life)))
        return false;
    // Who took the place meanwhile is not the one who is asked for.
    return is_gone(rec) || atomic_load(&rec->number) != mp__life_number(life);
}
