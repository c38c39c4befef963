// SPDX-License-Identifier: MIT
//
// The calls of a shared dict; shm_dict.h tells how it works.
#include "shm/shm_dict.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define DEFAULT_SHARDS 64

// ---- life ----

static int init(mp_shm_dict *d, size_t shards)
{
    if (getrandom(d->key, sizeof d->key, 0) != sizeof d->key)
        return -errno;
    for (size_t i = 0; i < shards; i++) {
        int r = mp__mutex_init(&d->shard[i].lock);
        if (r < 0)
            return r;
    }
    d->shards = shards;
    return 0;
}

int mp_shm_dict_new(mp_shm_dict **out, const mp_shm_dict_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_shm_dict_opts o = opts ? *opts : (mp_shm_dict_opts){0};
    if (o.shards > MP__DICT_MAX_SHARDS)
        return MP_EINVAL;
    size_t shards = 1;
    while (shards < (o.shards ? o.shards : DEFAULT_SHARDS))
        shards *= 2;
    void *d;
    int r = mp__object_new(&d, o.arena, o.name, o.max, MP__SHM_DICT, MP__DICT_VERSION,
                           sizeof(mp_shm_dict) + shards * sizeof(struct mp__shard));
    if (r < 0)
        return r;
    r = init(d, shards);
    if (r == 0)
        r = mp__object_publish(d);
    if (r < 0)
        mp__object_free(d, true);
    else
        *out = d;
    return r;
}

// What another process of the user's wrote, or damaged: what is not checked in each call.
static bool is_sound(const mp_shm_dict *d)
{
    uint64_t n = mp__dict_shards(d, mp__object_reach(d));
    for (uint64_t i = 0; i < n; i++)
        if (!mp__mutex_is_sound(&d->shard[i].lock))
            return false;
    return n > 0;
}

int mp_shm_dict_attach(mp_shm_dict **out, const char *name)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    void *d;
    int r = mp__object_attach(&d, name, MP__SHM_DICT, MP__DICT_VERSION, sizeof(mp_shm_dict));
    if (r < 0)
        return r;
    if (!is_sound(d)) {
        mp__object_free(d, false);
        return MP_EFORMAT;
    }
    *out = d;
    return 0;
}

// Frees all that the shards have. Returns whether nobody is inside: then the dict's own
// memory can be used again. Who was killed inside counts for ever.
static bool empty(mp_shm_dict *d)
{
    bool idle = true;
    uint64_t n = mp__dict_shards(d, mp__object_reach(d));
    for (uint64_t i = 0; i < n; i++) {
        struct mp__shard *s = &d->shard[i];
        if (mp__shard_lock(d, s) == 0) {
            mp__shard_clear(d, s);
            s->closed = true;
            mp__shard_unlock(s);
        }
        idle &= atomic_load_explicit(&s->visitors, memory_order_acquire) == 0;
    }
    return idle;
}

void mp_shm_dict_free(mp_shm_dict *d)
{
    if (mp__object_is(d, MP__SHM_DICT))
        mp__object_free(d, mp__object_is_mine(d) && empty(d));
}

// ---- reading ----

int64_t mp_shm_dict_get(mp_shm_dict *d, const void *key, size_t key_size, void *buf, size_t cap)
{
    struct mp__key k;
    int r = mp__dict_key(d, key, key_size, &k);
    if (r < 0 || (!buf && cap))
        return r < 0 ? r : MP_EINVAL;
    return mp__dict_read(d, &k, buf ? buf : &k, cap);
}

int64_t mp_shm_dict_size(mp_shm_dict *d, const void *key, size_t key_size)
{
    struct mp__key k;
    int r = mp__dict_key(d, key, key_size, &k);
    return r < 0 ? r : mp__dict_read(d, &k, NULL, 0);
}

int mp_shm_dict_contains(mp_shm_dict *d, const void *key, size_t key_size)
{
    int64_t size = mp_shm_dict_size(d, key, key_size);
    return size >= 0 ? 1 : size == MP_ENOTFOUND ? 0 : (int)size;
}

int64_t mp_shm_dict_get_new(mp_shm_dict *d, const void *key, size_t key_size, void **value)
{
    if (!value)
        return MP_EINVAL;
    *value = NULL;
    for (;;) {
        int64_t size = mp_shm_dict_size(d, key, key_size);
        if (size < 0)
            return size;
        char *buf = malloc((size_t)size + 1);
        if (!buf)
            return -ENOMEM;
        int64_t got = mp_shm_dict_get(d, key, key_size, buf, (size_t)size);
        if (got >= 0) {
            buf[got] = 0;
            *value = buf;
            return got;
        }
        free(buf);
        if (got != MP_EMSGSIZE) // else it grew meanwhile
            return got;
    }
}

int64_t mp_shm_dict_get_default(mp_shm_dict *d, const void *key, size_t key_size, void *buf,
                                size_t cap, const void *value, size_t size)
{
    if (!value && size)
        return MP_EINVAL;
    int64_t r = mp_shm_dict_get(d, key, key_size, buf, cap);
    if (r != MP_ENOTFOUND)
        return r;
    if (size > cap)
        return MP_EMSGSIZE;
    if (size)
        memcpy(buf, value, size);
    return (int64_t)size;
}

// ---- writing ----

// A change of one key: its shard, locked, and where the key is or could be.
struct change {
    mp_shm_dict *d;
    struct mp__shard *s;
    struct mp__key k;
    struct mp__place p;
    bool found;
};

static void end(const struct change *c)
{
    mp__shard_unlock(c->s);
}

// On failure there is nothing to end.
static int begin(struct change *c, mp_shm_dict *d, const void *key, size_t key_size)
{
    int r = mp__dict_key(d, key, key_size, &c->k);
    if (r < 0)
        return r;
    c->d = d;
    c->s = mp__dict_shard(d, &c->k);
    if (!c->s)
        return MP_EFORMAT;
    r = mp__shard_lock(d, c->s);
    if (r < 0)
        return r;
    c->k.reach = mp__object_reach(d); // with the lock: others may have made it grow
    r = mp__dict_find(d, c->s, &c->k, &c->p);
    c->found = r > 0;
    if (r < 0)
        end(c);
    return r < 0 ? r : 0;
}

static int set(struct change *c, const void *value, size_t size)
{
    return mp__shard_set(c->d, c->s, &c->k, &c->p, c->found, value, size);
}

int mp_shm_dict_set(mp_shm_dict *d, const void *key, size_t key_size, const void *value,
                    size_t size)
{
    struct change c;
    if (!value && size)
        return MP_EINVAL;
    int r = begin(&c, d, key, key_size);
    if (r < 0)
        return r;
    r = set(&c, value, size);
    end(&c);
    return r;
}

int mp_shm_dict_setdefault(mp_shm_dict *d, const void *key, size_t key_size, const void *value,
                           size_t size)
{
    struct change c;
    if (!value && size)
        return MP_EINVAL;
    int r = begin(&c, d, key, key_size);
    if (r < 0)
        return r;
    if (!c.found) {
        r = set(&c, value, size);
        r = r < 0 ? r : 1;
    }
    end(&c);
    return r;
}

int mp_shm_dict_compare_set(mp_shm_dict *d, const void *key, size_t key_size, const void *expected,
                            size_t expected_size, const void *value, size_t size)
{
    struct change c;
    if ((!value && size) || (!expected && expected_size))
        return MP_EINVAL;
    int r = begin(&c, d, key, key_size);
    if (r < 0)
        return r;
    if (!c.found) {
        r = MP_ENOTFOUND;
    } else if (c.p.item.size == expected_size &&
               mp__racing_equal(mp__item_value(&c.p.item), expected, expected_size)) {
        r = set(&c, value, size);
        r = r < 0 ? r : 1;
    }
    end(&c);
    return r;
}

static int add(struct change *c, int64_t by, int64_t *sum)
{
    int64_t old = 0;
    if (c->found) {
        if (c->p.item.size != sizeof old)
            return MP_ETYPE;
        mp__racing_copy(&old, mp__item_value(&c->p.item), sizeof old);
    }
    if (__builtin_add_overflow(old, by, sum))
        return MP_EOVERFLOW;
    return set(c, sum, sizeof *sum);
}

int mp_shm_dict_incr(mp_shm_dict *d, const void *key, size_t key_size, int64_t by, int64_t *sum)
{
    struct change c;
    int64_t new = 0;
    int r = begin(&c, d, key, key_size);
    if (r < 0)
        return r;
    r = add(&c, by, &new);
    end(&c);
    if (r == 0 && sum)
        *sum = new;
    return r;
}

int mp_shm_dict_remove(mp_shm_dict *d, const void *key, size_t key_size)
{
    struct change c;
    int r = begin(&c, d, key, key_size);
    if (r < 0)
        return r;
    if (c.found)
        mp__shard_remove(d, c.s, &c.p);
    end(&c);
    return c.found ? 0 : MP_ENOTFOUND;
}

int64_t mp_shm_dict_pop(mp_shm_dict *d, const void *key, size_t key_size, void *buf, size_t cap)
{
    struct change c;
    if (!buf && cap)
        return MP_EINVAL;
    int r = begin(&c, d, key, key_size);
    if (r < 0)
        return r;
    int64_t size = c.found ? (int64_t)c.p.item.size : MP_ENOTFOUND;
    if (size > (int64_t)cap)
        size = MP_EMSGSIZE;
    if (size >= 0) {
        mp__racing_copy(buf, mp__item_value(&c.p.item), (size_t)size);
        mp__shard_remove(d, c.s, &c.p);
    }
    end(&c);
    return size;
}

int mp_shm_dict_update(mp_shm_dict *d, const mp_shm_dict_item *items, size_t n)
{
    int r = mp__object_is(d, MP__SHM_DICT) && (items || !n) ? 0 : MP_EINVAL;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = mp_shm_dict_set(d, items[i].key, items[i].key_size, items[i].value, items[i].size);
    return r;
}

// ---- all of it ----

// Does something with each shard, locked.
static int each_shard(mp_shm_dict *d, int (*what)(mp_shm_dict *, struct mp__shard *, void *),
                      void *arg)
{
    if (!mp__object_is(d, MP__SHM_DICT))
        return MP_EINVAL;
    uint64_t n = mp__dict_shards(d, mp__object_reach(d));
    int r = n ? 0 : MP_EFORMAT;
    for (uint64_t i = 0; r == 0 && i < n; i++) {
        struct mp__shard *s = &d->shard[i];
        r = mp__shard_lock(d, s);
        if (r == 0) {
            r = what(d, s, arg);
            mp__shard_unlock(s);
        }
    }
    return r;
}

static int add_stats(mp_shm_dict *d, struct mp__shard *s, void *arg)
{
    mp_shm_dict_stats *stats = arg;
    struct mp__slots t;
    int r = mp__dict_slots(d, s, mp__object_reach(d), &t);
    if (r < 0)
        return r;
    size_t in_hands = (atomic_load_explicit(&s->hand[0], memory_order_relaxed) != 0) +
                      (atomic_load_explicit(&s->hand[1], memory_order_relaxed) != 0);
    stats->count += s->live;
    stats->slots += mp__slot_count(&t);
    stats->blocks += s->live + (t.slot != NULL) + in_hands;
    stats->recovered += s->recovered;
    stats->shards++;
    return 0;
}

int mp_shm_dict_get_stats(mp_shm_dict *d, mp_shm_dict_stats *out)
{
    if (!out)
        return MP_EINVAL;
    mp_shm_dict_stats stats = {.blocks = 1};
    int r = each_shard(d, add_stats, &stats);
    if (r == 0)
        *out = stats;
    return r;
}

int64_t mp_shm_dict_count(mp_shm_dict *d)
{
    mp_shm_dict_stats stats = {0};
    int r = each_shard(d, add_stats, &stats);
    return r < 0 ? r : (int64_t)stats.count;
}

static int clear(mp_shm_dict *d, struct mp__shard *s, void *arg)
{
    (void)arg;
    return mp__shard_clear(d, s);
}

int mp_shm_dict_clear(mp_shm_dict *d)
{
    return each_shard(d, clear, NULL);
}
