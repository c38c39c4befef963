// SPDX-License-Identifier: MIT
//
// mp_condition: a box with room for ten, two processes that fill it and two that empty it.
// Two conditions on one rlock: who waits for room is not woken by who waits for things.
#include <mp/mp.h>
#include <stdio.h>
#include <string.h>

#define ROOM  10
#define ITEMS 500 // for each producer

struct box {
    mp_rlock *lock;                     // guards all of it
    mp_condition *not_full, *not_empty; // both go with the lock
    int items[ROOM], first, count;
    int producers; // still at work
    long sum;      // of what was taken out
};

static bool has_room(void *arg)
{
    return ((struct box *)arg)->count < ROOM;
}

static bool has_items_or_ends(void *arg)
{
    const struct box *b = arg;
    return b->count > 0 || b->producers == 0;
}

static int put(struct box *b, int item)
{
    MP_WITH(b->lock) {
        int r = mp_condition_wait_for(b->not_full, has_room, b, MP_FOREVER);
        if (r < 0)
            return r;
        b->items[(b->first + b->count++) % ROOM] = item;
        return mp_condition_notify(b->not_empty, 1);
    }
    return mp_with_error();
}

// 1 with an item, 0 when there will be none any more.
static int take(struct box *b, int *item)
{
    MP_WITH(b->lock) {
        int r = mp_condition_wait_for(b->not_empty, has_items_or_ends, b, MP_FOREVER);
        if (r < 0 || b->count == 0)
            return r;
        *item = b->items[b->first];
        b->first = (b->first + 1) % ROOM;
        b->count--;
        b->sum += *item;
        r = mp_condition_notify(b->not_full, 1);
        return r < 0 ? r : 1;
    }
    return mp_with_error();
}

static int produce(void *arg)
{
    struct box *b = arg;
    int r = 0;
    for (int i = 1; r >= 0 && i <= ITEMS; i++)
        r = put(b, i);
    MP_WITH(b->lock) {
        if (--b->producers == 0)
            mp_condition_notify_all(b->not_empty);
    }
    return r < 0;
}

static int consume(void *arg)
{
    int item, r;
    while ((r = take(arg, &item)) > 0)
        continue;
    return r < 0;
}

static int make_box(struct box **out, mp_arena *arena)
{
    void *p;
    int r = mp_arena_alloc(arena, &p, 1, sizeof **out);
    if (r < 0)
        return r;
    struct box *b = *out = memset(p, 0, sizeof *b);
    b->producers = 2;
    r = mp_rlock_new(&b->lock, &(mp_lock_opts){.arena = arena});
    if (r == 0)
        r = mp_condition_new(&b->not_full, &(mp_condition_opts){.rlock = b->lock});
    if (r == 0)
        r = mp_condition_new(&b->not_empty, &(mp_condition_opts){.rlock = b->lock});
    return r;
}

int main(void)
{
    mp_arena *arena = NULL;
    struct box *b = NULL;
    mp_process *p[4] = {0};
    int r = mp_arena_new(&arena, NULL);
    if (r == 0)
        r = make_box(&b, arena);
    for (int i = 0; r == 0 && i < 4; i++)
        r = mp_process_start(&p[i], i < 2 ? produce : consume, b, NULL);
    for (int i = 0; i < 4 && p[i]; i++) {
        if (r == 0)
            r = mp_process_join(p[i], MP_FOREVER);
        mp_process_free(p[i]);
    }
    long want = 2L * ITEMS * (ITEMS + 1) / 2;
    if (r < 0)
        fprintf(stderr, "condition_box: %s\n", mp_strerror(r));
    else
        printf("put in %ld, taken out %ld\n", want, b->sum);
    bool right = r == 0 && b->sum == want;
    if (b) {
        mp_condition_free(b->not_empty);
        mp_condition_free(b->not_full);
        mp_rlock_free(b->lock);
    }
    mp_arena_delete(arena);
    return right ? 0 : 1;
}
