// SPDX-License-Identifier: MIT
#include "work/records.h"

#include <errno.h>
#include <mp/arena.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MAX 20 // ms between two looks at deadlines

int mp__bytes_put(mp_pool *p, struct mp__bytes *b, const void *data, size_t size)
{
    void *to = b->inside;
    b->block = NULL;
    b->size = size;
    if (size > sizeof b->inside) {
        int r = mp_arena_alloc(p->arena, &b->block, size, 1);
        if (r < 0)
            return r;
        to = b->block;
    }
    if (size)
        memcpy(to, data, size);
    return 0;
}

void mp__bytes_drop(mp_pool *p, struct mp__bytes *b)
{
    if (b->block)
        mp_arena_free(p->arena, b->block); // checks what it gets
    b->block = NULL;
}

const void *mp__bytes_find(mp_pool *p, const struct mp__bytes *b, size_t *size)
{
    const void *block = b->block;
    *size = b->size;
    if (!block)
        return *size <= sizeof b->inside ? b->inside : NULL;
    return mp_arena_contains(p->arena, block, *size) ? block : NULL;
}

// Sees that slot i is there, with its record and its place on the heap.
static int hold_slot(mp_pool *p, uint32_t i)
{
    struct mp__record **piece = &p->tasks.record[i / MP__RECORDS];
    size_t n = ((size_t)i / MP__RECORDS + 1) * MP__RECORDS;
    if (!*piece && !(*piece = calloc(MP__RECORDS, sizeof **piece)))
        return -ENOMEM;
    int r = mp__segment_hold(&p->seg, &p->seg.heap, n * sizeof(struct mp__board_entry));
    return r < 0 ? r : mp__segment_hold(&p->seg, &p->seg.slots, n * sizeof(struct mp__task_slot));
}

int mp__record_take(mp_pool *p, uint32_t *out)
{
    struct mp__tasks *t = &p->tasks;
    if (t->free) {
        *out = t->free - 1;
        t->free = mp__tasks_record(p, *out)->next;
        return 0;
    }
    if (t->top == MP__BOARD_SLOTS)
        return MP_EAGAIN;
    int r = hold_slot(p, t->top);
    if (r < 0)
        return r;
    *out = t->top++;
    atomic_store(&mp__tasks_board(p)->top, t->top);
    return 0;
}

void mp__record_give(mp_pool *p, uint32_t i)
{
    struct mp__tasks *t = &p->tasks;
    atomic_store(&mp__tasks_slot(p, i)->state, MP__TASK_FREE);
    *mp__tasks_record(p, i) = (struct mp__record){.next = t->free};
    t->free = i + 1;
}

void mp__record_timed(mp_pool *p, int timeout_ms)
{
    struct mp__board *b = mp__tasks_board(p);
    uint32_t tick = (uint32_t)timeout_ms / 8, present = atomic_load(&b->tick_ms);
    tick = tick < 1 ? 1 : tick > TICK_MAX ? TICK_MAX : tick;
    p->tasks.timed++;
    if (present && present <= tick)
        return;
    atomic_store(&b->tick_ms, tick);
    mp__pool_wake_supervisor(p);
}

void mp__record_release(mp_pool *p, uint32_t i)
{
    struct mp__tasks *t = &p->tasks;
    mp__bytes_drop(p, &mp__tasks_slot(p, i)->arg);
    mp__bytes_drop(p, &mp__tasks_slot(p, i)->result);
    pthread_mutex_lock(&t->lock);
    if (mp__tasks_record(p, i)->timed && --t->timed == 0)
        atomic_store(&mp__tasks_board(p)->tick_ms, 0);
    mp__record_give(p, i);
    pthread_mutex_unlock(&t->lock);
    if (atomic_fetch_sub(&t->unfinished, 1) == 1)
        mp__pool_shut_if_closed(p);
}
