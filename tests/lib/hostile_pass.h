// SPDX-License-Identifier: MIT
//
// Random programs: what they hand on, by queues, lists and pipes, and home to the test.
#ifndef HOSTILE_PASS_H
#define HOSTILE_PASS_H

#include "hostile.h"

// ---- what is handed on ----

// So many of that place are lost if this process is killed now.
static void holds(uint32_t n, uint8_t where)
{
    atomic_store(&my_seat->holds, n << 8 | where);
}

static void use_list(void)
{
    mp_shm_list *l = all.list;
    int64_t at = (int64_t)below(7) - 3, r;
    mp_shm_list_item *copy;
    switch (below(6)) {
    case 0:
    case 1: {
        uint32_t t = item_make(big, AT_LIST);
        if (!t)
            return;
        size_t size = ((struct item *)(void *)big)->size;
        r = one_in(2) ? CALL(mp_shm_list_append(l, big, size))
                      : CALL(mp_shm_list_insert(l, at, big, size));
        must(r == 0);
        item_was(t, PUT);
        return;
    }
    case 2:
        r = CALL(mp_shm_list_get(l, at, big, sizeof big));
        must(r >= 8 || r == MP_EINDEX);
        if (r >= 0)
            item_check(big, r, AT_LIST);
        return;
    case 3:
        if (one_in(10))
            return;
        r = CALL(mp_shm_list_copy(l, &copy));
        for (int64_t i = 0; i < r; i++)
            item_check(copy[i].data, (int64_t)copy[i].size, AT_LIST);
        free(copy);
        return;
    default:
        r = CALL(mp_shm_list_pop(l, at, big, 7));
        must(r == MP_EMSGSIZE || r == MP_EINDEX);
        holds(1, AT_LIST);
        r = CALL(mp_shm_list_pop(l, at, big, sizeof big));
        must(r >= 8 || r == MP_EINDEX);
        if (r >= 0)
            item_came(big, r, AT_LIST);
        holds(0, AT_LIST);
    }
}

// Nothing to take now, no room.
static bool is_empty(int64_t r)
{
    return r == MP_ETIMEDOUT || (r == MP_EOF && atomic_load(&world->ending));
}

static bool is_full(int64_t r)
{
    return r == MP_ETIMEDOUT || (r == MP_ECLOSED && atomic_load(&world->ending));
}

static void put_one(mp_queue *q, uint8_t where)
{
    uint32_t t = item_make(big, where);
    if (!t)
        return;
    size_t size = ((struct item *)(void *)big)->size;
    int64_t r = one_in(2) && queue_kinds[where].kind == MP_PRIORITY
                    ? CALL(mp_queue_put_priority(q, (int64_t)below(5) - 2, big, size, some_ms()))
                    : CALL(mp_queue_put(q, big, size, some_ms()));
    must(r == 0 || is_full(r));
    item_was(t, r == 0 ? PUT : REFUSED);
}

static void put_many(mp_queue *q, uint8_t where)
{
    mp_slice s[6];
    uint32_t t[6], n = 0;
    while (n < 6 && (t[n] = item_make(big + n * ITEM_MAX, where))) {
        s[n].data = big + n * ITEM_MAX;
        s[n].size = ((const struct item *)s[n].data)->size;
        n++;
    }
    if (n == 0)
        return;
    int64_t r = CALL(mp_queue_put_many(q, s, n, some_ms()));
    must((r > 0 && r <= n) || is_full(r));
    for (int64_t i = 0; i < n; i++)
        item_was(t[i], i < r ? PUT : REFUSED);
}

// With acknowledgements: deal with it, give it back, or keep it until the end of this process.
static void get_acked(mp_queue *q, uint8_t where)
{
    mp_queue_item item;
    int64_t r = CALL(mp_queue_get_item(q, big, sizeof big, &item, some_ms()));
    must(r >= 8 || is_empty(r));
    if (r < 0)
        return;
    uint32_t t = item_check(big, r, where);
    must(!(atomic_load(&world->fate[t]) & ACKED));
    if (one_in(4)) {
        EXPECT(mp_queue_return(q, item.tag), 0);
        EXPECT(mp_queue_ack(q, item.tag), MP_ENOTHELD);
    } else if (!one_in(30)) {
        holds(1, where);
        EXPECT(mp_queue_ack(q, item.tag), 0);
        item_was(t, ACKED);
        holds(0, where);
        EXPECT(mp_queue_return(q, item.tag), MP_ENOTHELD);
    }
}

static void get_some(mp_queue *q, uint8_t where)
{
    mp_slice s[4];
    void *made = NULL;
    int64_t r;
    switch (below(3)) {
    case 0:
        holds(1, where);
        r = CALL(mp_queue_get_new(q, &made, some_ms()));
        if (r >= 0)
            item_came(made, r, where);
        free(made);
        break;
    case 1:
        holds(4, where);
        r = CALL(mp_queue_get_many(q, big, sizeof big, s, 4, some_ms()));
        for (int64_t i = 0; i < r; i++)
            item_came(s[i].data, (int64_t)s[i].size, where);
        break;
    default:
        holds(1, where);
        r = CALL(mp_queue_get(q, big, sizeof big, some_ms()));
        if (r >= 0)
            item_came(big, r, where);
    }
    holds(0, where);
    must(r > 0 || is_empty(r));
}

static void misuse_queue(mp_queue *q, uint8_t where)
{
    const mp_queue_opts *o = &queue_kinds[where];
    mp_slice s;
    int64_t r = CALL(mp_queue_get(q, big, 7, some_ms()));
    must(r == MP_EMSGSIZE || is_empty(r));
    r = CALL(mp_queue_next_size(q, some_ms()));
    must(r >= 8 || is_empty(r));
    EXPECT(mp_queue_put(q, NULL, 1, 0), MP_EINVAL);
    EXPECT(mp_queue_put(q, big, SIZE_MAX, 0), MP_EMSGSIZE);
    EXPECT(mp_queue_put(q, big, 8, no_timeout()), MP_EINVAL);
    EXPECT(mp_queue_get_many(q, big, 100, &s, 0, 0), MP_EINVAL);
    EXPECT(mp_queue_get(q, NULL, 1, 0), MP_EINVAL);
    EXPECT(mp_queue_shutdown(q, (mp_shutdown)7), MP_EINVAL);
    if (o->kind != MP_PRIORITY && !atomic_load(&world->ending))
        EXPECT(mp_queue_put_priority(q, 1, big, 8, 0), MP_ESTATE);
    EXPECT(mp_queue_ack(q, UINT64_MAX), o->ack ? MP_ENOTHELD : MP_ESTATE);
    if (!o->ack) {
        r = CALL(mp_queue_task_done(q));
        must(r == 0 || r == MP_EBOUND);
        r = CALL(mp_queue_join(q, some_ms()));
        must(r == 0 || r == MP_ETIMEDOUT);
    }
    must(CALL(mp_queue_size(q)) >= 0);
    mp_wait_item w[2] = {MP_WAIT_QUEUE(q), MP_WAIT_QUEUE(all.queue[below(QUEUES)])};
    must(CALL(mp_wait(w, 2, some_ms())) >= 0);
}

static void use_queue_at(mp_queue *q, uint8_t where)
{
    switch (below(9)) {
    case 0:
        misuse_queue(q, where);
        return;
    case 1:
        put_many(q, where);
        return;
    case 2:
    case 3:
    case 4:
        put_one(q, where);
        return;
    default:
        (queue_kinds[where].ack ? get_acked : get_some)(q, where);
    }
}

static void use_queue(void)
{
    uint8_t where = (uint8_t)below(QUEUES);
    use_queue_at(all.queue[where], where);
}

// ---- what arrives from home, and what goes there ----

static void use_arrived(mp_handle *h)
{
    void *object;
    mp_handle was = *h;
    EXPECT(mp_handle_take(h, (mp_handle_kind)99, &object), MP_ETYPE);
    if (was.kind == MP_HANDLE_FD) {
        int fd = mp_handle_take_fd(h);
        must(fd >= 0 && close(fd) == 0);
        return;
    }
    int64_t r = CALL(mp_handle_take(h, was.kind, &object));
    must(r == 0 || r == MP_ENOTFOUND);
    if (r < 0)
        return;
    if (was.kind == MP_HANDLE_PIPE) {
        r = CALL(mp_pipe_send(object, big, below(200), 0));
        must(r == 0 || r == MP_EPIPE || r == MP_ETIMEDOUT);
        r = CALL(mp_pipe_recv(object, big, sizeof big, some_ms()));
        must(r >= 0 || r == MP_EOF || r == MP_ETIMEDOUT);
        CALL_VOID(mp_pipe_free(object));
    } else if (was.kind == MP_HANDLE_QUEUE) {
        use_queue_at(object, 0);
        CALL_VOID(mp_queue_free(object));
    } else if (was.kind == MP_HANDLE_LOCK) {
        must(object == all.lock);
        CALL_VOID(mp_lock_free(object));
    } else if (was.kind == MP_HANDLE_SHM_LIST) {
        r = CALL(mp_shm_list_append(object, big, below(100)));
        must(r == 0 || r == MP_EINVAL);
        CALL_VOID(mp_shm_list_free(object));
    } else if (was.kind == MP_HANDLE_SEMAPHORE) {
        r = CALL(mp_semaphore_acquire(object, some_ms()));
        if (r == 0)
            EXPECT(mp_semaphore_release(object), 0);
        CALL_VOID(mp_semaphore_free(object));
    } else {
        must(was.kind == MP_HANDLE_EVENT);
        CALL_VOID(mp_event_free(object));
    }
}

static bool home_is_lost(int64_t r)
{
    return r == MP_EBROKEN || r == MP_EPIPE || r == MP_EOF || r == MP_ETRUNCATED;
}

static void hear_from_home(void)
{
    mp_handle h[4];
    size_t n = 4, none = 0;
    int64_t r = CALL(mp_pipe_recv_handles(home, big, sizeof big, NULL, &none, 0));
    must(r >= 0 || r == MP_ETIMEDOUT || r == MP_EMSGSIZE || home_is_lost(r));
    r = CALL(mp_pipe_recv_handles(home, big, sizeof big, h, &n, some_ms()));
    must(r >= 0 || r == MP_ETIMEDOUT || home_is_lost(r));
    if (r < 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (!one_in(5))
            use_arrived(&h[i]);
    CALL_VOID(mp_handle_close(h, n));
}

static void write_home(void)
{
    static _Thread_local mp_shm_list *mine; // stays as long as its maker
    mp_handle h[3];
    mp_pipe *a, *b;
    size_t n = 0;
    EXPECT(mp_pipe_new(&a, &b, NULL), 0);
    h[n++] = MP_HANDLE(a);
    if (one_in(2))
        h[n++] = one_in(2) ? MP_HANDLE(all.lock) : MP_HANDLE(all.queue[0]);
    if (!mine)
        EXPECT(mp_shm_list_new(&mine, NULL), 0);
    if (one_in(2))
        h[n++] = one_in(3)   ? MP_HANDLE(mine)
                 : one_in(2) ? MP_HANDLE(all.robust)
                             : MP_HANDLE(STDERR_FILENO);
    int64_t r = CALL(mp_pipe_send_handles(home, big, below(3000), h, n, some_ms()));
    must(r == 0 || r == MP_ETIMEDOUT || home_is_lost(r));
    if (r == 0)
        EXPECT(mp_pipe_send(a, big, 1, 0), MP_EOWNER);
    CALL_VOID(mp_pipe_free(a));
    r = CALL(mp_pipe_recv(b, big, sizeof big, some_ms()));
    must(r >= 0 || r == MP_ETIMEDOUT || r == MP_EOF);
    CALL_VOID(mp_pipe_free(b));
}

// One thread a direction may use an end.
static void use_home(void)
{
    if (!home || !alone)
        return;
    (one_in(2) ? hear_from_home : write_home)();
}

#endif
