// SPDX-License-Identifier: MIT
//
// mp_lock and MP_WITH(): 100 processes add to one number, and none of it is lost.
#include <mp/mp.h>
#include <stdio.h>

#define PROCESSES 100
#define TIMES     100

struct account {
    mp_lock *lock;
    long sum; // guarded by lock
};

static int add(void *arg)
{
    struct account *a = arg; // in the arena, which children inherit
    for (int i = 0; i < TIMES; i++) {
        MP_WITH(a->lock) {
            a->sum++;
        } else {
            fprintf(stderr, "lock: %s\n", mp_strerror(mp_with_error()));
            return 1;
        }
    }
    return 0;
}

int main(void)
{
    mp_arena *arena = NULL;
    mp_process *child[PROCESSES] = {0};
    void *p = NULL;
    struct account *a = NULL;
    int r = mp_arena_new(&arena, NULL);
    if (r == 0)
        r = mp_arena_alloc(arena, &p, 1, sizeof *a);
    if (r == 0) {
        a = p;
        *a = (struct account){0};
        r = mp_lock_new(&a->lock, &(mp_lock_opts){.arena = arena});
    }
    for (int i = 0; r == 0 && i < PROCESSES; i++)
        r = mp_process_start(&child[i], add, a, NULL);
    for (int i = 0; i < PROCESSES && child[i]; i++) {
        int joined = mp_process_join(child[i], MP_FOREVER);
        r = r < 0 ? r : joined;
        mp_process_free(child[i]);
    }
    if (r < 0)
        fprintf(stderr, "lock_counter: %s\n", mp_strerror(r));
    else
        printf("%d processes, %d times each: %ld\n", PROCESSES, TIMES, a->sum);
    bool right = r == 0 && a->sum == PROCESSES * TIMES;
    if (a)
        mp_lock_free(a->lock);
    mp_arena_delete(arena);
    return right ? 0 : 1;
}
