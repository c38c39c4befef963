// SPDX-License-Identifier: MIT
//
// mp_rwlock_new(): read often, written seldom. Two readers look at a pair of settings that
// belong together, while the main process changes them.
#include <mp/mp.h>
#include <stdio.h>

// In an arena, so that the children see the changes.
struct config {
    mp_rwlock *lock;
    int width, height; // height is always twice the width
};

static int use(void *arg)
{
    const struct config *c = arg;
    int torn = 0;
    for (int i = 0; i < 10000; i++) {
        if (mp_rwlock_acquire_read(c->lock, MP_FOREVER) < 0)
            return 2;
        torn += c->height != 2 * c->width;
        mp_rwlock_release_read(c->lock);
    }
    return torn > 0;
}

static int change(struct config *c, int width)
{
    int r = mp_rwlock_acquire_write(c->lock, MP_FOREVER);
    if (r < 0)
        return r;
    c->width = width;
    c->height = 2 * width;
    return mp_rwlock_release_write(c->lock);
}

int main(void)
{
    mp_arena *arena = NULL;
    mp_process *p[2] = {NULL};
    void *room = NULL;
    int code = 0, wrong = 0, r = mp_arena_new(&arena, NULL);
    if (r == 0)
        r = mp_arena_alloc(arena, &room, 1, sizeof(struct config));
    struct config *c = room;
    if (r == 0) {
        *c = (struct config){0};
        r = mp_rwlock_new(&c->lock, NULL);
    }
    for (int i = 0; r == 0 && i < 2; i++)
        r = mp_process_start(&p[i], use, c, NULL);
    for (int width = 1; r == 0 && width <= 1000; width++)
        r = change(c, width);
    for (int i = 0; i < 2; i++) {
        if (mp_process_join(p[i], MP_FOREVER) == 0 && mp_process_exitcode(p[i], &code) == 0)
            wrong += code != 0;
        mp_process_free(p[i]);
    }
    if (r < 0)
        fprintf(stderr, "rwlock_config: %s\n", mp_strerror(r));
    else
        printf("%d x %d, %d readers saw something else\n", c->width, c->height, wrong);
    if (c)
        mp_rwlock_free(c->lock);
    mp_arena_delete(arena);
    return r < 0 || wrong ? 1 : 0;
}
