// SPDX-License-Identifier: MIT
//
// Rounds are numbered. One word says which round it is, how the last ones ended, how many
// ended badly in all, and whether the barrier is broken; it changes in one store, by
// whoever is first: the last party that ends its round well, or anybody who breaks it. So
// all parties of a round are told the same, however late they look, and nobody has to wait
// until the slowest has left the round before (it may be stopped, or dead).
//
// Who arrives does so under a lock: it writes its life into the next place and then counts
// itself, in a word that names the round and so is void when that is over. While they wait,
// the parties look whether all the others live, one of them every 50 ms. The last one looks
// too, unless the round was so short that looking would take longer.
//
// The action is brought by who runs it. An address of code in shared memory would mean
// nothing in another program, and too much in one whose memory was tampered with.
#include "os/futex.h"
#include "os/point.h"
#include "shm/life.h"
#include "shm/mutex.h"
#include "shm/object.h"
#include "shm/sleepers.h"

#include <mp/barrier.h>

#define VERSION      1
#define LIFE_LOOK_NS 2000 // four times what a look at a life takes

// A state: round << 32 | rounds that ended badly << 17 | how the last ones ended, a bit each,
// 1 = badly, bit 1 is the last | BROKEN.
#define BROKEN  UINT64_C(1)
#define HISTORY 16

struct mp_barrier {
    struct mp__object object;
    uint32_t parties;      // constant
    struct mp__mutex lock; // who arrives
    _Alignas(64) _Atomic uint64_t state;
    _Atomic uint64_t arrived; // round << 32 | how many
    _Atomic uint32_t bell;    // rings when a round is over
    struct mp__sleepers asleep;
    _Atomic int64_t began;  // when the first of this round came
    _Atomic int64_t looked; // when somebody looked at the lives last
    _Atomic uint64_t party[];
};

// A party in its round, and how many parties there are: copied once and checked, since
// another process may damage the number.
struct place {
    uint32_t round, index, parties;
    uint32_t bad; // rounds that had ended badly when it came
};

static size_t size_for(uint32_t parties)
{
    return sizeof(mp_barrier) + parties * sizeof(_Atomic uint64_t);
}

static uint32_t round_of(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

static uint32_t bad_rounds(uint64_t state)
{
    return (uint32_t)state >> (HISTORY + 1);
}

static uint32_t count_in(const mp_barrier *b, uint32_t round)
{
    uint64_t arrived = atomic_load(&b->arrived);
    return round_of(arrived) == round ? (uint32_t)arrived : 0;
}

// ---- the end of a round ----

enum end { WELL, BADLY, BREAKS };

static uint64_t next_state(uint64_t state, enum end end)
{
    uint64_t badly = end != WELL;
    uint32_t history = (uint32_t)((state & ~BROKEN) << 1 | badly << 1) & ((2u << HISTORY) - 1);
    uint32_t bad = (bad_rounds(state) + (uint32_t)badly) << (HISTORY + 1);
    return (uint64_t)(round_of(state) + 1) << 32 | bad | history | (end == BREAKS);
}

static void ring(mp_barrier *b)
{
    atomic_fetch_add(&b->bell, 1);
    MP__POINT("barrier.rung");
    mp__sleepers_wake(&b->asleep, &b->bell, INT_MAX);
}

// Ends that round, if nobody else has. Returns whether it did.
static bool end_round(mp_barrier *b, uint32_t round, enum end end)
{
    uint64_t state = atomic_load(&b->state);
    do {
        if (round_of(state) != round || state & BROKEN)
            return false;
    } while (!atomic_compare_exchange_weak(&b->state, &state, next_state(state, end)));
    MP__POINT("barrier.ended");
    ring(b);
    return true;
}

// What this party returns when its round is over; 0 while it is not.
static int end_for(const mp_barrier *b, const struct place *p, bool *over)
{
    uint64_t state = atomic_load(&b->state);
    uint32_t ago = round_of(state) - p->round;
    *over = ago != 0;
    if (!*over)
        return 0;
    if (bad_rounds(state) == p->bad)
        return (int)p->index;
    // Too long ago to be told, since more come than there are parties; but it was broken.
    return ago > HISTORY || state >> ago & 1 ? MP_EBARRIER : (int)p->index;
}

// ---- who lives ----

static bool somebody_died(mp_barrier *b, const struct place *p)
{
    uint32_t n = count_in(b, p->round);
    for (uint32_t i = 0; i < n && i < p->parties; i++)
        if (mp__life_over(b, atomic_load(&b->party[i])))
            return round_of(atomic_load(&b->state)) == p->round;
    return false;
}

// Breaks the round if one of its parties died. One of those who wait looks for all.
static void look_after(mp_barrier *b, const struct place *p)
{
    int64_t now = mp__now(), looked = atomic_load(&b->looked);
    if (now - looked < MP__LOOK_NS / 2 && now >= looked)
        return;
    if (atomic_compare_exchange_strong(&b->looked, &looked, now) && somebody_died(b, p))
        end_round(b, p->round, BREAKS);
}

// ---- arriving ----

// Who dies with it while others wait is as good as a party.
static int lock(mp_barrier *b, mp__deadline d)
{
    int r = mp__mutex_lock_patiently(&b->lock, d);
    if (r != MP_EOWNERDEAD)
        return r;
    uint32_t round = round_of(atomic_load(&b->state));
    if (count_in(b, round) > 0)
        end_round(b, round, BREAKS);
    MP__POINT("barrier.recovered");
    mp__mutex_consistent(&b->lock);
    return 0;
}

// Takes the next place, under the lock. 1; 0: the round is full; MP_EBARRIER.
static int take_place(mp_barrier *b, mp__life life, struct place *p)
{
    uint64_t state = atomic_load(&b->state);
    if (state & BROKEN)
        return MP_EBARRIER;
    p->round = round_of(state);
    p->bad = bad_rounds(state);
    p->index = count_in(b, p->round);
    if (p->index >= p->parties)
        return 0;
    if (p->index == 0)
        atomic_store(&b->began, mp__now());
    atomic_store(&b->party[p->index], life);
    MP__POINT("barrier.entered");
    atomic_store(&b->arrived, (uint64_t)p->round << 32 | (p->index + 1));
    MP__POINT("barrier.arrived");
    return 1;
}

static int arrive(mp_barrier *b, mp__deadline d, struct place *p)
{
    mp__life life;
    int r = mp__life_mine(b, &life);
    while (r == 0) {
        uint32_t bell = atomic_load(&b->bell);
        r = lock(b, d);
        if (r < 0)
            break;
        r = take_place(b, life, p);
        mp__mutex_unlock(&b->lock);
        if (r != 0)
            break;
        // All are there, and the last of them runs its action: this party is one more.
        look_after(b, p);
        r = mp__object_gone(b) ? MP_ECLOSED : mp__sleepers_wait(&b->asleep, &b->bell, bell, d);
    }
    return r < 0 ? r : 0;
}

static int await_end(mp_barrier *b, const struct place *p, mp__deadline d)
{
    bool over;
    for (;;) {
        uint32_t bell = atomic_load(&b->bell);
        int r = end_for(b, p, &over);
        if (over)
            return r;
        if (mp__object_gone(b))
            return MP_ECLOSED;
        look_after(b, p);
        r = mp__sleepers_wait(&b->asleep, &b->bell, bell, d);
        if (r < 0 && end_round(b, p->round, BREAKS))
            return r;
    }
}

// What the last party does.
static int finish(mp_barrier *b, const struct place *p, int (*action)(void *), void *arg)
{
    bool over;
    int64_t took = mp__now() - atomic_load(&b->began);
    if (took > (int64_t)p->parties * LIFE_LOOK_NS && somebody_died(b, p))
        end_round(b, p->round, BREAKS);
    int r = end_for(b, p, &over);
    if (!over && action)
        r = action(arg);
    MP__POINT("barrier.acted");
    bool first = end_round(b, p->round, r < 0 ? BREAKS : WELL);
    return r < 0 ? r : first ? (int)p->index : MP_EBARRIER;
}

// ---- the interface ----

int mp_barrier_new(mp_barrier **out, unsigned parties, const mp_barrier_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    const mp_barrier_opts o = opts ? *opts : (mp_barrier_opts){0};
    if (parties == 0)
        return MP_EINVAL;
    if (parties > MP_BARRIER_MAX)
        return MP_EOVERFLOW;
    void *obj;
    int r = mp__object_new(&obj, o.arena, o.name, 0, MP__BARRIER, VERSION, size_for(parties));
    if (r < 0)
        return r;
    mp_barrier *b = obj;
    b->parties = parties;
    r = mp__mutex_init(&b->lock);
    if (r == 0)
        r = mp__object_publish(b);
    if (r < 0)
        mp__object_free(b, true);
    else
        *out = b;
    return r;
}

int mp_barrier_attach(mp_barrier **out, const char *name)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    void *obj;
    int r = mp__object_attach(&obj, name, MP__BARRIER, VERSION, sizeof(mp_barrier));
    if (r < 0)
        return r;
    *out = obj;
    return 0;
}

int mp_barrier_wait(mp_barrier *b, int timeout_ms)
{
    return mp_barrier_wait_action(b, timeout_ms, NULL, NULL);
}

int mp_barrier_wait_action(mp_barrier *b, int timeout_ms, int (*action)(void *arg), void *arg)
{
    if (!mp__object_is(b, MP__BARRIER) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    mp__deadline d = mp__deadline_in(timeout_ms);
    struct place p = {.parties = b->parties};
    if (!mp__object_holds(b, b->object.offset, size_for(p.parties)))
        return MP_EFORMAT;
    int r = arrive(b, d, &p);
    if (r < 0)
        return r;
    return p.index + 1 == p.parties ? finish(b, &p, action, arg) : await_end(b, &p, d);
}

int mp_barrier_abort(mp_barrier *b)
{
    if (!mp__object_is(b, MP__BARRIER))
        return MP_EINVAL;
    while (!mp_barrier_broken(b))
        end_round(b, round_of(atomic_load(&b->state)), BREAKS);
    return 0;
}

int mp_barrier_reset(mp_barrier *b)
{
    if (!mp__object_is(b, MP__BARRIER))
        return MP_EINVAL;
    uint64_t state = atomic_load(&b->state), next;
    do {
        if (state & BROKEN)
            next = state & ~BROKEN; // nobody has come to this round
        else if (count_in(b, round_of(state)) > 0)
            next = next_state(state, BADLY);
        else
            return 0;
    } while (!atomic_compare_exchange_weak(&b->state, &state, next));
    MP__POINT("barrier.reset");
    ring(b);
    return 0;
}

int mp_barrier_parties(const mp_barrier *b)
{
    return mp__object_is(b, MP__BARRIER) ? (int)b->parties : MP_EINVAL;
}

int mp_barrier_n_waiting(const mp_barrier *b)
{
    if (!mp__object_is(b, MP__BARRIER))
        return MP_EINVAL;
    return (int)count_in(b, round_of(atomic_load(&b->state)));
}

bool mp_barrier_broken(const mp_barrier *b)
{
    return !mp__object_is(b, MP__BARRIER) || atomic_load(&b->state) & BROKEN;
}

void mp_barrier_free(mp_barrier *b)
{
    if (!mp__object_is(b, MP__BARRIER))
        return;
    bool idle = !mp__sleepers_any(&b->asleep) && mp_barrier_n_waiting(b) == 0;
    mp__object_free(b, idle);
}
