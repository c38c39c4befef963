// SPDX-License-Identifier: MIT
//
// Random programs: what they do with locks and their like, and with shared memory.
#ifndef HOSTILE_SYNC_H
#define HOSTILE_SYNC_H

#include "hostile.h"

// ---- locks ----

static void go_in(int guard)
{
    must(atomic_exchange(&stage->guard[guard], 1) == 0);
    if (one_in(50))
        sched_yield();
}

static void go_out(int guard)
{
    must(atomic_exchange(&stage->guard[guard], 0) == 1);
}

// The object is held: what does the result of the acquire say of the one before?
#define put_in_order(r, who, consistent)                                                           \
    do {                                                                                           \
        if ((r) == MP_EOWNERDEAD) {                                                                \
            atomic_store(&stage->guard[who], 0);                                                   \
            EXPECT(consistent, 0);                                                                 \
            (r) = 0;                                                                               \
        }                                                                                          \
    } while (0)

// A condition gives up what is held, and has it again, in whatever order it was left.
#define wait_inside(condition, who, consistent)                                                    \
    do {                                                                                           \
        go_out(who);                                                                               \
        int64_t wait_r = CALL(mp_condition_wait(condition, some_ms()));                            \
        put_in_order(wait_r, who, consistent);                                                     \
        must(wait_r == 0 || wait_r == MP_ETIMEDOUT);                                               \
        go_in(who);                                                                                \
        must(CALL(mp_condition_notify(condition, below(3))) >= 0);                                 \
    } while (0)

static void use_lock(void)
{
    mp_lock *l = all.lock;
    if (one_in(8))
        EXPECT(mp_lock_release(l), MP_ENOTHELD);
    if (one_in(20))
        EXPECT(mp_lock_acquire(l, no_timeout()), MP_EINVAL);
    int64_t r = CALL(mp_lock_acquire(l, one_in(10)   ? MP_FOREVER
                                        : one_in(10) ? INT_MAX
                                                     : some_ms()));
    put_in_order(r, BY_LOCK, mp_lock_consistent(l));
    if (r == MP_ETIMEDOUT)
        return;
    must(r == 0);
    go_in(BY_LOCK);
    if (one_in(5))
        EXPECT(mp_lock_acquire(l, some_ms()), MP_EHELD);
    if (one_in(5))
        EXPECT(mp_lock_consistent(l), MP_ESTATE);
    if (one_in(4))
        wait_inside(all.on_lock, BY_LOCK, mp_lock_consistent(l));
    go_out(BY_LOCK);
    EXPECT(mp_lock_release(l), 0);
}

static void use_rlock(void)
{
    int64_t r = CALL(mp_rlock_acquire(all.rlock, some_ms()));
    put_in_order(r, BY_RLOCK, mp_rlock_consistent(all.rlock));
    if (r == MP_ETIMEDOUT)
        return;
    must(r == 0);
    go_in(BY_RLOCK);
    uint32_t n = below(4);
    for (uint32_t i = 0; i < n; i++)
        EXPECT(mp_rlock_acquire(all.rlock, some_ms()), 0);
    if (one_in(4))
        wait_inside(all.on_rlock, BY_RLOCK, mp_rlock_consistent(all.rlock));
    for (uint32_t i = 0; i < n; i++)
        EXPECT(mp_rlock_release(all.rlock), 0);
    go_out(BY_RLOCK);
    EXPECT(mp_rlock_release(all.rlock), 0);
    EXPECT(mp_rlock_release(all.rlock), MP_ENOTHELD);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void use_condition(void)
{
    mp_condition *c = all.condition;
    if (one_in(4)) {
        EXPECT(mp_condition_wait(c, some_ms()), MP_ENOTHELD);
        EXPECT(mp_condition_notify(c, below(3)), MP_ENOTHELD);
    }
    int64_t r = CALL(mp_condition_acquire(c, some_ms()));
    put_in_order(r, BY_CONDITION, mp_condition_consistent(c));
    if (r == MP_ETIMEDOUT)
        return;
    must(r == 0);
    go_in(BY_CONDITION);
    if (one_in(2))
        must(CALL(mp_condition_notify(c, one_in(9) ? SIZE_MAX : below(3))) >= 0);
    if (one_in(2)) {
        go_out(BY_CONDITION);
        r = one_in(4) ? CALL(mp_condition_wait_for(c, never, NULL, some_ms()))
                      : CALL(mp_condition_wait(c, some_ms()));
        put_in_order(r, BY_CONDITION, mp_condition_consistent(c));
        must(r == 0 || r == MP_ETIMEDOUT);
        go_in(BY_CONDITION);
    }
    go_out(BY_CONDITION);
    EXPECT(mp_condition_release(c), 0);
}

static void use_rwlock(void)
{
    mp_rwlock *rw = all.rwlock;
    volatile uint64_t *w = stage->written;
    if (one_in(4)) {
        int64_t r = CALL(mp_rwlock_acquire_write(rw, some_ms()));
        if (r == MP_EOWNERDEAD)
            w[0] = w[1];
        put_in_order(r, BY_WRITE, mp_rwlock_consistent(rw));
        if (r == MP_ETIMEDOUT)
            return;
        must(r == 0);
        go_in(BY_WRITE);
        w[0]++;
        EXPECT(mp_rwlock_acquire_read(rw, some_ms()), MP_EHELD);
        w[1]++;
        go_out(BY_WRITE);
        EXPECT(mp_rwlock_release_write(rw), 0);
        EXPECT(mp_rwlock_release_write(rw), MP_ENOTHELD);
        return;
    }
    int64_t r = CALL(mp_rwlock_acquire_read(rw, some_ms()));
    must(r == 0 || r == MP_ETIMEDOUT || r == MP_EOWNERDEAD);
    if (r < 0)
        return;
    must(w[0] == w[1]);
    EXPECT(mp_rwlock_release_read(rw), 0);
}

static void use_semaphore(void)
{
    mp_semaphore *s = one_in(4) ? all.semaphore : all.robust;
    EXPECT(mp_semaphore_release_n(s, 0), MP_EINVAL);
    if (one_in(4))
        EXPECT(mp_semaphore_release_n(s, UNITS + 1 + below(INT_MAX)), MP_EBOUND);
    mp_semaphore_stats st;
    EXPECT(mp_semaphore_get_stats(s, &st), 0);
    must(st.value <= UNITS);
    int64_t r = CALL(mp_semaphore_acquire(s, some_ms()));
    must(r == 0 || r == MP_ETIMEDOUT);
    if (r == 0)
        EXPECT(mp_semaphore_release(s), 0);
}

static void use_event_or_barrier(void)
{
    int64_t r;
    switch (below(6)) {
    case 0:
        EXPECT(mp_event_set(all.event), 0);
        return;
    case 1:
        EXPECT(mp_event_clear(all.event), 0);
        return;
    case 2:
        r = CALL(mp_event_wait(all.event, some_ms()));
        must(r == 0 || r == MP_ETIMEDOUT);
        return;
    case 3:
        EXPECT(one_in(2) ? mp_barrier_abort(all.barrier) : mp_barrier_reset(all.barrier), 0);
        return;
    default:
        r = CALL(mp_barrier_wait(all.barrier, some_ms()));
        must(r == 0 || r == 1 || r == MP_ETIMEDOUT || r == MP_EBARRIER);
    }
}

// ---- shared memory ----

static void use_number(void)
{
    int64_t *n = mp_value_ptr(all.number, int64_t), x;
    must(n && !mp_value_ptr(all.number, int32_t));
    atomic_fetch_add(&stage->atomic_adds.begun, 1);
    mp_atomic_add(n, 1);
    atomic_fetch_add(&stage->atomic_adds.done, 1);
    EXPECT(mp_value_get_int(all.number, &x), 0);
    EXPECT(mp_value_set_int(all.pair, 1), MP_ETYPE);
    EXPECT(mp_value_read(all.number, &x, 4, some_ms()), MP_ETYPE);
}

static void use_pair(void)
{
    uint64_t pair[2] = {below(1000), 0};
    pair[1] = pair[0];
    bool reading = one_in(2);
    int64_t r = reading ? CALL(mp_value_read(all.pair, pair, sizeof pair, some_ms()))
                        : CALL(mp_value_write(all.pair, pair, sizeof pair, some_ms()));
    must(r == 0 || r == MP_ETIMEDOUT || r == MP_EOWNERDEAD);
    must(r < 0 || pair[0] == pair[1]);
    if (r != MP_EOWNERDEAD)
        return;
    mp_rlock *l = mp_value_lock(all.pair);
    r = CALL(mp_rlock_acquire(l, some_ms()));
    if (r == MP_EOWNERDEAD) {
        memset(mp_value_data(all.pair, MP_STRUCT, sizeof pair), 0, sizeof pair);
        EXPECT(mp_rlock_consistent(l), 0);
    }
    if (r != MP_ETIMEDOUT)
        EXPECT(mp_rlock_release(l), 0);
}

static void use_array(void)
{
    int32_t some[CELLS], x = 7;
    size_t first = below(CELLS), n = below((uint32_t)(CELLS - first) + 1);
    int64_t r = 0;
    switch (below(7)) {
    case 0:
        r = CALL(mp_array_read(all.array, first, n, some, sizeof x, some_ms()));
        break;
    case 1:
        r = CALL(mp_array_fill(all.array, first, n, &x, sizeof x, some_ms()));
        break;
    case 2:
        r = CALL(mp_array_copy(all.array, below((uint32_t)(CELLS - n) + 1), all.array, first, n,
                               some_ms()));
        break;
    case 3:
        EXPECT(mp_array_read(all.array, first, SIZE_MAX - below(9), some, sizeof x, 0), MP_EINDEX);
        EXPECT(mp_array_set_int(all.array, CELLS, 1), MP_EINDEX);
        return;
    case 4:
        EXPECT(mp_array_set_int(all.array, first, INT64_MAX), -ERANGE);
        return;
    case 5:
        EXPECT(mp_array_write(all.array, first, n, some, 8, 0), MP_ETYPE);
        return;
    default:
        r = CALL(mp_array_write(all.array, first, n, mp_array_ptr(all.array, int32_t), sizeof x,
                                some_ms()));
    }
    if (r == MP_EOWNERDEAD) {
        mp_rlock *l = mp_array_lock(all.array);
        r = CALL(mp_rlock_acquire(l, some_ms()));
        if (r == MP_EOWNERDEAD)
            EXPECT(mp_rlock_consistent(l), 0);
        if (r != MP_ETIMEDOUT)
            EXPECT(mp_rlock_release(l), 0);
        return;
    }
    must(r == 0 || r == MP_ETIMEDOUT);
}

#define BLOCKS 6

static void use_arena(void)
{
    static _Thread_local struct {
        unsigned char *at;
        size_t size;
    } held[BLOCKS];
    uint32_t i = below(BLOCKS);
    void *p;
    EXPECT(mp_arena_alloc(all.arena, &p, SIZE_MAX / 2, 3), MP_EOVERFLOW);
    EXPECT(mp_arena_alloc(all.arena, &p, SIZE_MAX / 2, 1), -ENOMEM);
    EXPECT(mp_arena_free(all.arena, &p), MP_EINVAL);
    if (held[i].at) {
        for (size_t k = 0; k < held[i].size; k++)
            must(held[i].at[k] == (unsigned char)held[i].size);
        if (held[i].size > 64)
            EXPECT(mp_arena_free(all.arena, held[i].at + 64), MP_EINVAL);
        EXPECT(mp_arena_free(all.arena, held[i].at), 0);
        held[i].at = NULL;
        return;
    }
    size_t size = one_in(10) ? below(300000) : below(500);
    int64_t r = CALL(mp_arena_alloc_aligned(all.arena, &p, 1, size, (size_t)1 << below(13)));
    if (r == -ENOMEM)
        return;
    must(r == 0);
    memset(p, (int)size, size);
    held[i].at = p;
    held[i].size = size;
}

static void use_counts(void)
{
    char key[8];
    int n = snprintf(key, sizeof key, "n%u", below(20));
    int64_t sum;
    atomic_fetch_add(&stage->dict_adds.begun, 1);
    EXPECT(mp_shm_dict_incr(all.counts, key, (size_t)n, 1, &sum), 0);
    atomic_fetch_add(&stage->dict_adds.done, 1);
    must(sum > 0);
    EXPECT(mp_shm_dict_incr(all.counts, key, (size_t)n, INT64_MAX, &sum), MP_EOVERFLOW);
    EXPECT(mp_shm_dict_get(all.counts, key, (size_t)n, &sum, 4), MP_EMSGSIZE);
}

// A value says what it is.
static void check_value(const void *key, size_t key_size, const unsigned char *v, int64_t size)
{
    must(key_size == 1 && size >= 1);
    for (int64_t i = 0; i < size; i++)
        must(v[i] == *(const unsigned char *)key);
}

static void go_through_dict(void)
{
    mp_shm_dict_iter *it;
    mp_shm_dict_item item;
    int64_t r;
    EXPECT(mp_shm_dict_iter_new(&it, all.dict), 0);
    while ((r = CALL(mp_shm_dict_iter_next(it, &item))) == 1)
        check_value(item.key, item.key_size, item.value, (int64_t)item.size);
    must(r == 0);
    CALL_VOID(mp_shm_dict_iter_free(it));
}

static void use_dict(void)
{
    unsigned char key = (unsigned char)below(200), value[6000];
    int64_t r;
    size_t size = 1 + below(one_in(20) ? sizeof value : 100);
    void *made;
    memset(value, key, size);
    switch (below(8)) {
    case 0:
    case 1:
        EXPECT(mp_shm_dict_set(all.dict, &key, 1, value, size), 0);
        return;
    case 2:
        r = CALL(mp_shm_dict_setdefault(all.dict, &key, 1, value, size));
        must(r == 0 || r == 1);
        return;
    case 3:
        r = CALL(mp_shm_dict_pop(all.dict, &key, 1, value, sizeof value));
        break;
    case 4:
        r = CALL(mp_shm_dict_remove(all.dict, &key, 1));
        must(r == 0 || r == MP_ENOTFOUND);
        return;
    case 5:
        r = CALL(mp_shm_dict_get_new(all.dict, &key, 1, &made));
        if (r >= 0)
            check_value(&key, 1, made, r);
        free(made);
        return;
    case 6:
        if (one_in(20))
            EXPECT(mp_shm_dict_clear(all.dict), 0);
        go_through_dict();
        return;
    default:
        r = CALL(mp_shm_dict_get(all.dict, &key, 1, value, sizeof value));
    }
    if (r != MP_ENOTFOUND)
        check_value(&key, 1, value, r);
}

#endif
