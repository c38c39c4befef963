// SPDX-License-Identifier: MIT
#include "shm/typed.h"
#include "os/point.h"
#include "shm/number.h"

#include <stddef.h>
#include <string.h>

#define VERSION 1

// The size of an item, from what the user said; 0 if that makes no sense.
static size_t item_size(const struct mp__typed_spec *want)
{
    if (want->type == MP_STRUCT)
        return want->item;
    size_t size = mp_type_size(want->type);
    return want->item == 0 || want->item == size ? size : 0;
}

// Bytes of the whole object.
static int whole_size(size_t item, size_t count, size_t *size)
{
    if (__builtin_mul_overflow(item, count, size) ||
        __builtin_add_overflow(*size, sizeof(struct mp__typed), size))
        return MP_EOVERFLOW;
    return 0;
}

// The lock is an object of its own, inside of this one.
static int init_lock(struct mp__typed *t)
{
    struct mp__object *lock = &t->lock.lock.object;
    *lock = t->object;
    lock->type = MP__RLOCK;
    lock->offset = t->object.offset + offsetof(struct mp__typed, lock);
    lock->size = sizeof t->lock;
    return mp__lock_init(&t->lock.lock);
}

static int fill_in(struct mp__typed *t, const struct mp__typed_spec *want, size_t item)
{
    t->type = want->type;
    t->no_lock = want->no_lock;
    t->item = item;
    t->count = want->count;
    int r = init_lock(t);
    if (r < 0)
        return r;
    if (want->initial)
        memcpy(t->data, want->initial, item * want->count);
    MP__POINT("typed.made");
    return mp__object_publish(t);
}

int mp__typed_new(struct mp__typed **out, const struct mp__typed_spec *want)
{
    size_t item = item_size(want), size;
    if (!item)
        return MP_EINVAL;
    int r = whole_size(item, want->count, &size);
    if (r < 0)
        return r;
    void *p;
    r = mp__object_new(&p, want->arena, want->name, size, want->object, VERSION, size);
    if (r < 0)
        return r;
    r = fill_in(p, want, item);
    if (r < 0)
        mp__object_free(p, true);
    else
        *out = p;
    return r;
}

// Whether what was attached to is what it says; it may be anything.
static int check(const struct mp__typed *t, const struct mp__typed_spec *want, size_t item)
{
    size_t size, count = t->count;
    if (t->type != (uint32_t)want->type || t->item != item || (want->count && count != want->count))
        return MP_ETYPE;
    uint64_t offset = mp__object_offset(t, t), lock = offset + offsetof(struct mp__typed, lock);
    if (whole_size(item, count, &size) < 0 || !mp__object_holds(t, offset, size) ||
        !mp__object_is(&t->lock, MP__RLOCK) || t->lock.lock.object.offset != lock)
        return MP_EFORMAT;
    return 0;
}

// Fills in what the object says of itself where nothing is wanted of it.
static void accept(struct mp__typed_spec *want, const struct mp__typed *t)
{
    if (want->type)
        return;
    want->type = (mp_type)t->type;
    want->item = (size_t)t->item;
}

int mp__typed_attach(struct mp__typed **out, const struct mp__typed_spec *spec)
{
    struct mp__typed_spec want = *spec;
    if (want.type && !item_size(&want))
        return MP_EINVAL;
    void *p;
    int r = mp__object_attach(&p, want.name, want.object, VERSION, sizeof(struct mp__typed));
    if (r < 0)
        return r;
    accept(&want, p);
    size_t item = item_size(&want);
    r = item ? check(p, &want, item) : MP_EFORMAT;
    if (r < 0)
        mp__object_free(p, false);
    else
        *out = p;
    return r;
}

// Takes the lock, if there is one. On failure it is not held.
static int enter(struct mp__typed *t, int timeout_ms)
{
    if (t->no_lock)
        return 0;
    int r = mp_rlock_acquire(&t->lock, timeout_ms);
    if (r == MP_EOWNERDEAD)
        mp__lock_give_back(&t->lock.lock);
    else if (r == 0)
        MP__POINT("typed.entered");
    return r;
}

static void leave(struct mp__typed *t)
{
    MP__POINT("typed.leaving");
    if (!t->no_lock)
        mp_rlock_release(&t->lock);
}

// Marks the lock as freed while nobody can get it, so that those who wait find the mark when
// they do. Returns whether nobody can be about to touch the object any more.
static bool close_lock(struct mp__typed *t)
{
    struct mp_lock *l = &t->lock.lock;
    int r = mp_rlock_acquire(&t->lock, 0);
    atomic_store_explicit(&l->object.magic, MP__OBJECT_FREED, memory_order_relaxed);
    if (r == 0 || r == MP_EOWNERDEAD)
        mp__lock_give_back(l);
    return r != MP_ETIMEDOUT && atomic_load(&l->waiting) == 0;
}

void mp__typed_free(struct mp__typed *t)
{
    bool idle = mp__object_is_mine(t) && close_lock(t);
    mp__object_free(t, idle);
}

int mp__typed_range(const struct mp__typed *t, size_t first, size_t n)
{
    return first > t->count || n > t->count - first ? MP_EINDEX : 0;
}

// The arguments of those below, in the order in which people get them wrong.
static int check_access(const struct mp__typed *t, size_t first, size_t n, const void *memory,
                        size_t item, int timeout_ms)
{
    if ((!memory && n) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (item != t->item)
        return MP_ETYPE;
    return mp__typed_range(t, first, n);
}

int mp__typed_read(struct mp__typed *t, size_t first, size_t n, void *out, size_t item,
                   int timeout_ms)
{
    int r = check_access(t, first, n, out, item, timeout_ms);
    if (r == 0)
        r = enter(t, timeout_ms);
    if (r < 0)
        return r;
    if (n)
        memmove(out, t->data + first * item, n * item);
    leave(t);
    return 0;
}

int mp__typed_write(struct mp__typed *t, size_t first, size_t n, const void *in, size_t item,
                    int timeout_ms)
{
    int r = check_access(t, first, n, in, item, timeout_ms);
    if (r == 0)
        r = enter(t, timeout_ms);
    if (r < 0)
        return r;
    if (n)
        memmove(t->data + first * item, in, n * item);
    leave(t);
    return 0;
}

// n items like the one at x, which may be one of them. Each step copies all there is.
static void repeat(unsigned char *to, const void *x, size_t item, size_t n)
{
    memmove(to, x, item);
    for (size_t done = 1; done < n;) {
        size_t more = n - done < done ? n - done : done;
        memcpy(to + done * item, to, more * item);
        done += more;
    }
}

int mp__typed_fill(struct mp__typed *t, size_t first, size_t n, const void *x, size_t item,
                   int timeout_ms)
{
    int r = check_access(t, first, n, x, item, timeout_ms);
    if (r == 0)
        r = enter(t, timeout_ms);
    if (r < 0)
        return r;
    if (n)
        repeat(t->data + first * item, x, item, n);
    leave(t);
    return 0;
}

// Takes both locks, in no order: who has one and not the other gives it back and waits for
// that other. So nobody waits with a lock in hand that the one it waits for wants.
static int enter_both(struct mp__typed *a, struct mp__typed *b, mp__deadline d)
{
    for (;;) {
        int r = enter(a, mp__left_ms(d));
        if (r < 0)
            return r;
        r = enter(b, 0);
        if (r == 0)
            return 0;
        leave(a);
        if (r != MP_ETIMEDOUT || mp__left_ns(d) == 0)
            return r;
        struct mp__typed *other = a;
        a = b;
        b = other;
    }
}

int mp__typed_copy(struct mp__typed *to, size_t to_first, struct mp__typed *from, size_t from_first,
                   size_t n, int timeout_ms)
{
    size_t item = to->item;
    if (timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (to->type != from->type || item != from->item)
        return MP_ETYPE;
    int r = mp__typed_range(to, to_first, n);
    if (r == 0)
        r = mp__typed_range(from, from_first, n);
    if (r == 0)
        r = enter_both(from, to, mp__deadline_in(timeout_ms));
    if (r < 0)
        return r;
    memmove(to->data + to_first * item, from->data + from_first * item, n * item);
    leave(to);
    leave(from);
    return 0;
}

static int load(const struct mp__typed *t, size_t i, long double *x)
{
    int r = mp__typed_range(t, i, 1);
    return r < 0 ? r : mp__number_load(t->data + i * t->item, (mp_type)t->type, x);
}

static int store(struct mp__typed *t, size_t i, long double x)
{
    int r = mp__typed_range(t, i, 1);
    return r < 0 ? r : mp__number_store(t->data + i * t->item, (mp_type)t->type, x);
}

int mp__typed_get_int(const struct mp__typed *t, size_t i, int64_t *out)
{
    long double x;
    int r = out ? load(t, i, &x) : MP_EINVAL;
    return r < 0 ? r : mp__number_to_int(x, out);
}

int mp__typed_set_int(struct mp__typed *t, size_t i, int64_t x)
{
    return store(t, i, x);
}

int mp__typed_get_double(const struct mp__typed *t, size_t i, double *out)
{
    long double x;
    int r = out ? load(t, i, &x) : MP_EINVAL;
    if (r == 0)
        *out = (double)x;
    return r;
}

int mp__typed_set_double(struct mp__typed *t, size_t i, double x)
{
    return store(t, i, x);
}
