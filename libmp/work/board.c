// SPDX-License-Identifier: MIT
#include "work/board.h"
#include "base/clock.h"
#include "os/futex.h"
#include "os/point.h"

int mp__board_init(struct mp__board *b, struct mp__task_slot *slot, struct mp__board_entry *heap,
                   int bell)
{
    b->slot = slot;
    b->heap = heap;
    b->bell = bell;
    return mp__mutex_init(&b->lock);
}

// ---- the heap ----

static bool goes_before(const struct mp__board_entry *a, const struct mp__board_entry *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->sequence < b->sequence;
}

// Where entry e goes when the place `at` is empty and all below it is in order.
static void heap_sink(struct mp__board *b, uint32_t at, struct mp__board_entry e)
{
    for (uint32_t child; (child = 2 * at + 1) < b->n; at = child) {
        if (child + 1 < b->n && goes_before(&b->heap[child + 1], &b->heap[child]))
            child++;
        if (!goes_before(&b->heap[child], &e))
            break;
        b->heap[at] = b->heap[child];
    }
    b->heap[at] = e;
}

// Moves e up from the empty place `at`.
static void heap_rise(struct mp__board *b, uint32_t at, struct mp__board_entry e)
{
    for (; at > 0 && goes_before(&e, &b->heap[(at - 1) / 2]); at = (at - 1) / 2)
        b->heap[at] = b->heap[(at - 1) / 2];
    b->heap[at] = e;
}

static void heap_remove(struct mp__board *b, uint32_t slot)
{
    uint32_t at = 0;
    while (at < b->n && b->heap[at].slot != slot)
        at++;
    if (at == b->n || at == --b->n)
        return;
    struct mp__board_entry last = b->heap[b->n];
    if (at > 0 && goes_before(&last, &b->heap[(at - 1) / 2]))
        heap_rise(b, at, last);
    else
        heap_sink(b, at, last);
}

static void push_slot(struct mp__board *b, uint32_t i)
{
    const struct mp__task_slot *t = &b->slot[i];
    heap_rise(b, b->n++, (struct mp__board_entry){t->priority, i, t->sequence});
}

static void rebuild(struct mp__board *b)
{
    uint32_t top = atomic_load(&b->top);
    b->n = 0;
    for (uint32_t i = 0; i < top && i < MP__BOARD_SLOTS; i++)
        if (mp__task_state(atomic_load(&b->slot[i].state)) == MP__TASK_READY)
            push_slot(b, i);
}

static void lock(struct mp__board *b)
{
    if (mp__mutex_lock(&b->lock, MP__NEVER) != MP_EOWNERDEAD)
        return;
    rebuild(b);
    mp__mutex_consistent(&b->lock);
}

static void unlock(struct mp__board *b)
{
    atomic_store_explicit(&b->ready, b->n, memory_order_relaxed);
    mp__mutex_unlock(&b->lock);
}

void mp__board_post(struct mp__board *b, uint32_t slot)
{
    lock(b);
    atomic_store(&b->slot[slot].state, MP__TASK_READY);
    push_slot(b, slot);
    unlock(b);
}

bool mp__board_withdraw(struct mp__board *b, uint32_t slot)
{
    lock(b);
    bool there = mp__task_state(atomic_load(&b->slot[slot].state)) == MP__TASK_READY;
    if (there) {
        atomic_store(&b->slot[slot].state, MP__TASK_FREE);
        heap_remove(b, slot);
    }
    unlock(b);
    return there;
}

// ---- a worker ----

// A bit for the caller. The ringing comes after it.
static void note(_Atomic uint64_t *bits, uint32_t slot)
{
    atomic_fetch_or(&bits[slot / 64], UINT64_C(1) << slot % 64);
}

// The wish that was answered is taken down, and no later one.
void mp__board_ring(struct mp__board *b)
{
    atomic_fetch_add(&b->news, 1);
    if (atomic_load(&b->sleepers))
        mp__futex_wake(&b->news, INT_MAX);
    uint32_t wish = atomic_load(&b->armed);
    if (wish) {
        uint64_t one = 1;
        ssize_t n = write(b->bell, &one, sizeof one);
        (void)n; // full: then it is readable anyhow
        atomic_compare_exchange_strong(&b->armed, &wish, 0);
    }
}

struct mp__task_slot *mp__board_take(struct mp__board *b, uint32_t place, _Atomic uint32_t *held)
{
    struct mp__task_slot *t = NULL;
    lock(b);
    if (b->n && b->heap[0].slot < MP__BOARD_SLOTS) {
        uint32_t i = b->heap[0].slot;
        t = &b->slot[i];
        atomic_store(&t->deadline,
                     t->timeout_ms ? mp__now() + (int64_t)t->timeout_ms * 1000000 : 0);
        atomic_store(held, i + 1);
        MP__POINT("board.taking");
        atomic_store(&t->state, mp__task_word(MP__TASK_RUNNING, place));
        MP__POINT("board.taken");
        b->n--;
        if (b->n)
            heap_sink(b, 0, b->heap[b->n]);
    }
    unlock(b);
    if (t && t->watched) {
        note(b->begun, (uint32_t)(t - b->slot));
        if (atomic_load(&b->armed))
            mp__board_ring(b);
    }
    return t;
}

// A worker that dies before it took the errand leaves it to its successor. One that dies
// before the errand is 0: see mp__board_bury().
struct mp__task_slot *mp__board_take_errand(struct mp__board *b, uint32_t place,
                                            _Atomic uint32_t *errand, _Atomic uint32_t *held)
{
    uint32_t i = atomic_load(errand) - 1, seen = MP__TASK_ERRAND;
    struct mp__task_slot *t = NULL;
    if (i < MP__BOARD_SLOTS) {
        atomic_store(&b->slot[i].deadline, 0);
        atomic_store(held, i + 1);
        MP__POINT("errand.taking");
        if (atomic_compare_exchange_strong(&b->slot[i].state, &seen,
                                           mp__task_word(MP__TASK_RUNNING, place)))
            t = &b->slot[i];
        else
            atomic_store(held, 0);
        MP__POINT("errand.taken");
    }
    atomic_store(errand, 0);
    return t;
}

bool mp__board_end(struct mp__board *b, uint32_t place, _Atomic uint32_t *held)
{
    uint32_t i = atomic_load(held) - 1, seen = mp__task_word(MP__TASK_RUNNING, place);
    if (!atomic_compare_exchange_strong(&b->slot[i].state, &seen,
                                        mp__task_word(MP__TASK_ENDED, place)))
        return false;
    MP__POINT("board.ended");
    note(b->ended, i);
    MP__POINT("board.noted");
    mp__board_ring(b);
    atomic_store(held, 0);
    return true;
}

bool mp__board_is_doomed(const struct mp__board *b, uint32_t place, uint32_t held)
{
    uint32_t seen = atomic_load(&b->slot[held - 1].state);
    return seen == mp__task_word(MP__TASK_LATE, place) ||
           seen == mp__task_word(MP__TASK_UNWANTED, place);
}

// ---- the supervisor ----

bool mp__board_dooms(struct mp__board *b, uint32_t place, uint32_t held, int64_t now)
{
    if (held == 0 || held > MP__BOARD_SLOTS)
        return false;
    struct mp__task_slot *t = &b->slot[held - 1];
    uint32_t seen = atomic_load(&t->state);
    if (mp__board_is_doomed(b, place, held))
        return true;
    int64_t deadline = atomic_load(&t->deadline);
    return seen == mp__task_word(MP__TASK_RUNNING, place) && deadline && now >= deadline &&
           atomic_compare_exchange_strong(&t->state, &seen, mp__task_word(MP__TASK_LATE, place));
}

static enum mp__task_end end_of(enum mp__task_state state)
{
    if (state == MP__TASK_LATE)
        return MP__END_LATE;
    return state == MP__TASK_UNWANTED ? MP__END_UNWANTED : MP__END_DIED;
}

// Whether a state is one at all, and not what a task gone wild wrote there.
static bool is_sound(uint32_t word)
{
    enum mp__task_state state = mp__task_state(word);
    bool placed = state >= MP__TASK_RUNNING && state <= MP__TASK_ENDED;
    return state <= MP__TASK_ERRAND && word >> 8 < (placed ? MP__BOARD_PLACES : 1);
}

// It may be doomed meanwhile, by the caller: hence the loop.
static void end_for_dead(struct mp__task_slot *t, uint32_t place, const struct mp__grave *grave)
{
    uint32_t seen = atomic_load(&t->state);
    enum mp__task_state state;
    do {
        state = mp__task_state(seen);
        bool sound = is_sound(seen);
        if (sound && (seen != mp__task_word(state, place) || state < MP__TASK_RUNNING ||
                      state >= MP__TASK_ENDED))
            return;
        t->pid = grave->pid;
        t->code = grave->code;
        t->mortem = grave->mortem;
        t->end = sound ? end_of(state) : MP__END_WILD;
    } while (
        !atomic_compare_exchange_strong(&t->state, &seen, mp__task_word(MP__TASK_ENDED, place)));
}

void mp__board_bury(struct mp__board *b, uint32_t place, _Atomic uint32_t *errand, uint32_t held,
                    const struct mp__grave *grave)
{
    uint32_t e = atomic_load(errand);
    if (e && (e > MP__BOARD_SLOTS || atomic_load(&b->slot[e - 1].state) != MP__TASK_ERRAND))
        atomic_store(errand, 0); // before its task is ended, since then a new one may come
    if (held && held <= MP__BOARD_SLOTS) {
        end_for_dead(&b->slot[held - 1], place, grave);
        note(b->ended, held - 1);
    }
    mp__board_ring(b);
}
