// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <errno.h>
#include <math.h>
#include <mp/array.h>
#include <mp/value.h>
#include <string.h>
#include <sys/resource.h>

struct point {
    double x, y, z;
    char name[1000];
};

static mp_value *new_value(mp_type type, const void *initial, const mp_value_opts *opts)
{
    mp_value *v;
    mp_assert_ok(mp_value_new(&v, type, initial, opts));
    return v;
}

MP_TEST(new_value_is_zero_or_what_it_was_given)
{
    int32_t seven = 7;
    mp_value *a = new_value(MP_INT32, NULL, NULL), *b = new_value(MP_INT32, &seven, NULL);
    int32_t *x = mp_value_ptr(a, int32_t), *y = mp_value_ptr(b, int32_t);
    ck_assert_int_eq(*x, 0);
    ck_assert_int_eq(*y, 7);
    *x = 8;
    ck_assert_int_eq(*y, 7);
    ck_assert_int_eq(mp_value_type(a), MP_INT32);
    ck_assert_uint_eq(mp_value_size(a), 4);
    mp_value_free(a);
    mp_value_free(b);
}

// Memory that was used before does not show.
MP_TEST(made_again_it_is_zero_again)
{
    for (int i = 0; i < 20; i++) {
        mp_value *v = new_value(MP_UINT64, NULL, NULL);
        ck_assert_uint_eq(*mp_value_ptr(v, uint64_t), 0);
        memset(mp_value_ptr(v, uint64_t), 0xaa, 8);
        mp_value_free(v);
    }
}

MP_TEST(freed_values_give_their_memory_back)
{
    mp_arena *arena;
    mp_arena_stats before, after;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_value_free(new_value(MP_INT64, NULL, &(mp_value_opts){.arena = arena}));
    mp_assert_ok(mp_arena_get_stats(arena, &before));
    for (int i = 0; i < 1000; i++)
        mp_value_free(new_value(MP_INT64, NULL, &(mp_value_opts){.arena = arena}));
    mp_assert_ok(mp_arena_get_stats(arena, &after));
    ck_assert_uint_eq(after.held, before.held);
    ck_assert_uint_eq(after.blocks, before.blocks);
    mp_arena_delete(arena);
}

MP_TEST(the_pointer_is_checked)
{
    mp_value *v = new_value(MP_INT64, NULL, NULL);
    ck_assert_ptr_nonnull(mp_value_ptr(v, int64_t));
    ck_assert_ptr_nonnull(mp_value_ptr(v, long long));
    ck_assert_ptr_null(mp_value_ptr(v, uint64_t));
    ck_assert_ptr_null(mp_value_ptr(v, int32_t));
    ck_assert_ptr_null(mp_value_ptr(v, double));
    ck_assert_ptr_null(mp_value_ptr(v, struct point));
    ck_assert_ptr_null(mp_value_data(v, MP_INT64, 4));
    ck_assert_ptr_null(mp_value_data(NULL, MP_INT64, 8));
    mp_value_free(v);
}

MP_TEST(structs_of_any_size)
{
    struct point p = {1, 2, 3, "here"}, q = {0};
    mp_value *v = new_value(MP_STRUCT, &p, &(mp_value_opts){.size = sizeof p});
    struct point *shared = mp_value_ptr(v, struct point);
    ck_assert_ptr_nonnull(shared);
    ck_assert_uint_eq((uintptr_t)shared % 64, 0);
    ck_assert_str_eq(shared->name, "here");
    strcpy(shared->name, "there");
    mp_assert_ok(mp_value_read(v, &q, sizeof q, MP_FOREVER));
    ck_assert_str_eq(q.name, "there");
    q.y = 5;
    mp_assert_ok(mp_value_write(v, &q, sizeof q, 0));
    ck_assert(shared->y == 5);
    mp_assert_err(mp_value_read(v, &q, sizeof q - 1, 0), MP_ETYPE);
    mp_assert_err(mp_value_write(v, &q, 0, 0), MP_ETYPE);
    int64_t n;
    mp_assert_err(mp_value_get_int(v, &n), MP_ETYPE);
    mp_value_free(v);

    static char big[3 << 20];
    v = new_value(MP_STRUCT, NULL, &(mp_value_opts){.size = sizeof big});
    memset(big, 7, sizeof big);
    mp_assert_ok(mp_value_write(v, big, sizeof big, 0));
    ck_assert_int_eq(memcmp(mp_value_data(v, MP_STRUCT, sizeof big), big, sizeof big), 0);
    mp_value_free(v);
    v = new_value(MP_STRUCT, "x", &(mp_value_opts){.size = 1});
    ck_assert_int_eq(*(char *)mp_value_data(v, MP_STRUCT, 1), 'x');
    mp_value_free(v);
}

// Each integer type takes its least and greatest, and nothing beyond.
static void check_bounds(mp_type type, int64_t least, int64_t greatest)
{
    mp_value *v = new_value(type, NULL, NULL);
    int64_t x;
    double d;
    mp_assert_ok(mp_value_set_int(v, greatest));
    mp_assert_ok(mp_value_get_int(v, &x));
    ck_assert_int_eq(x, greatest);
    mp_assert_ok(mp_value_set_int(v, least));
    mp_assert_ok(mp_value_get_int(v, &x));
    ck_assert_int_eq(x, least);
    mp_assert_ok(mp_value_get_double(v, &d));
    ck_assert(d == (double)least);
    if (greatest < INT64_MAX)
        mp_assert_err(mp_value_set_int(v, greatest + 1), -ERANGE);
    if (least > INT64_MIN)
        mp_assert_err(mp_value_set_int(v, least - 1), -ERANGE);
    mp_assert_err(mp_value_set_double(v, 0.5), -ERANGE);
    mp_assert_err(mp_value_set_double(v, 1e30), -ERANGE);
    mp_assert_err(mp_value_set_double(v, -1e30), -ERANGE);
    mp_assert_err(mp_value_set_double(v, (double)NAN), -ERANGE);
    mp_assert_err(mp_value_set_double(v, (double)INFINITY), -ERANGE);
    mp_assert_ok(mp_value_get_int(v, &x));
    ck_assert_int_eq(x, least); // unchanged
    mp_assert_ok(mp_value_set_double(v, 1));
    mp_assert_ok(mp_value_get_int(v, &x));
    ck_assert_int_eq(x, 1);
    mp_value_free(v);
}

MP_TEST(integers_keep_their_range)
{
    check_bounds(MP_BOOL, 0, 1);
    check_bounds(MP_CHAR, (char)-1 < 0 ? -128 : 0, (char)-1 < 0 ? 127 : 255);
    check_bounds(MP_INT8, INT8_MIN, INT8_MAX);
    check_bounds(MP_UINT8, 0, UINT8_MAX);
    check_bounds(MP_INT16, INT16_MIN, INT16_MAX);
    check_bounds(MP_UINT16, 0, UINT16_MAX);
    check_bounds(MP_INT32, INT32_MIN, INT32_MAX);
    check_bounds(MP_UINT32, 0, UINT32_MAX);
    check_bounds(MP_INT64, INT64_MIN, INT64_MAX);
    check_bounds(MP_UINT64, 0, INT64_MAX);
}

MP_TEST(numbers_that_do_not_fit_what_they_are_read_as)
{
    uint64_t huge = UINT64_MAX;
    mp_value *v = new_value(MP_UINT64, &huge, NULL);
    int64_t x;
    double d;
    mp_assert_err(mp_value_get_int(v, &x), -ERANGE);
    mp_assert_ok(mp_value_get_double(v, &d));
    ck_assert(d == 0x1p64);
    mp_assert_err(mp_value_set_double(v, 0x1p64), -ERANGE);
    mp_assert_ok(mp_value_set_double(v, 0x1p63));
    ck_assert_uint_eq(*mp_value_ptr(v, uint64_t), UINT64_C(1) << 63);
    mp_value_free(v);
    v = new_value(MP_INT64, NULL, NULL);
    mp_assert_err(mp_value_set_double(v, 0x1p63), -ERANGE);
    mp_assert_ok(mp_value_set_double(v, -0x1p63));
    ck_assert_int_eq(*mp_value_ptr(v, int64_t), INT64_MIN);
    mp_value_free(v);
}

MP_TEST(floating_numbers)
{
    mp_value *f = new_value(MP_FLOAT, NULL, NULL), *d = new_value(MP_DOUBLE, NULL, NULL);
    int64_t n;
    double x;
    mp_assert_ok(mp_value_set_double(f, 0.1));
    mp_assert_ok(mp_value_get_double(f, &x));
    ck_assert(x == (double)0.1f);
    mp_assert_err(mp_value_set_double(f, 1e300), -ERANGE);
    mp_assert_ok(mp_value_set_double(f, (double)-INFINITY));
    mp_assert_ok(mp_value_get_double(f, &x));
    ck_assert(isinf(x) && x < 0);
    mp_assert_err(mp_value_get_int(f, &n), -ERANGE);
    mp_assert_ok(mp_value_set_double(d, 1e300));
    mp_assert_ok(mp_value_get_double(d, &x));
    ck_assert(x == 1e300);
    mp_assert_err(mp_value_get_int(d, &n), -ERANGE);
    mp_assert_ok(mp_value_set_double(d, 2.5));
    mp_assert_err(mp_value_get_int(d, &n), -ERANGE);
    mp_assert_ok(mp_value_set_int(d, -12));
    mp_assert_ok(mp_value_get_int(d, &n));
    ck_assert_int_eq(n, -12);
    mp_assert_ok(mp_value_set_double(d, (double)NAN));
    mp_assert_ok(mp_value_get_double(d, &x));
    ck_assert(isnan(x));
    mp_value_free(f);
    mp_value_free(d);
}

// Not to be had in one access: by read and write, under the lock.
MP_TEST(long_doubles)
{
    long double x = 1.25L, y = 0;
    int64_t n;
    mp_value *v = new_value(MP_LONG_DOUBLE, &x, NULL);
    mp_assert_err(mp_value_get_int(v, &n), MP_ETYPE);
    mp_assert_err(mp_value_set_double(v, 1), MP_ETYPE);
    mp_assert_ok(mp_value_read(v, &y, sizeof y, 0));
    ck_assert(y == 1.25L);
    ck_assert(*mp_value_ptr(v, long double) == 1.25L);
    mp_value_free(v);
}

MP_TEST(its_lock_is_an_rlock)
{
    int64_t x = 3;
    mp_value *v = new_value(MP_INT64, &x, NULL);
    mp_rlock *lock = mp_value_lock(v);
    ck_assert_ptr_nonnull(lock);
    ck_assert(!mp_rlock_locked(lock));
    mp_assert_ok(mp_rlock_acquire(lock, MP_FOREVER));
    mp_assert_ok(mp_rlock_acquire(lock, 0));
    mp_assert_ok(mp_value_write(v, &(int64_t){4}, 8, 0)); // takes it a third time
    mp_assert_ok(mp_value_read(v, &x, 8, 0));
    ck_assert_int_eq(x, 4);
    mp_assert_ok(mp_rlock_release(lock));
    ck_assert(mp_rlock_locked(lock));
    mp_assert_ok(mp_rlock_release(lock));
    ck_assert(!mp_rlock_locked(lock));
    mp_assert_err(mp_rlock_release(lock), MP_ENOTHELD);
    mp_value_free(v);
    mp_assert_err(mp_rlock_acquire(lock, 0), MP_EINVAL);
}

MP_TEST(without_a_lock)
{
    int32_t x = 3;
    mp_value *v = new_value(MP_INT32, &x, &(mp_value_opts){.no_lock = true});
    ck_assert_ptr_null(mp_value_lock(v));
    mp_assert_ok(mp_value_read(v, &x, 4, 0));
    ck_assert_int_eq(x, 3);
    mp_assert_ok(mp_value_set_int(v, 9));
    mp_assert_ok(mp_value_write(v, &(int32_t){5}, 4, 0));
    ck_assert_int_eq(*mp_value_ptr(v, int32_t), 5);
    mp_value_free(v);
}

MP_TEST(copies)
{
    int64_t x = 3;
    mp_value *a = new_value(MP_INT64, &x, NULL), *b = new_value(MP_INT64, NULL, NULL);
    mp_value *c = new_value(MP_UINT64, NULL, NULL);
    mp_value *d = new_value(MP_INT64, NULL, &(mp_value_opts){.no_lock = true});
    mp_assert_ok(mp_value_copy(b, a, MP_FOREVER));
    ck_assert_int_eq(*mp_value_ptr(b, int64_t), 3);
    mp_assert_ok(mp_value_copy(d, b, 0));
    ck_assert_int_eq(*mp_value_ptr(d, int64_t), 3);
    mp_assert_ok(mp_value_copy(a, a, 0));
    mp_assert_err(mp_value_copy(c, a, 0), MP_ETYPE);
    mp_assert_err(mp_value_copy(NULL, a, 0), MP_EINVAL);
    mp_assert_err(mp_value_copy(a, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_value_copy(a, b, -2), MP_EINVAL);
    ck_assert(!mp_rlock_locked(mp_value_lock(a)));
    ck_assert(!mp_rlock_locked(mp_value_lock(b)));
    mp_value_free(a);
    mp_value_free(b);
    mp_value_free(c);
    mp_value_free(d);
}

MP_TEST(in_an_arena_of_the_callers)
{
    mp_arena *arena;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_value *v = new_value(MP_INT8, NULL, &(mp_value_opts){.arena = arena});
    ck_assert(mp_arena_contains(arena, mp_value_ptr(v, int8_t), 1));
    mp_value_free(v);
    mp_arena_delete(arena);
}

MP_TEST(no_memory)
{
    mp_arena *arena;
    mp_value *v;
    mp_assert_ok(mp_arena_new(&arena, &(mp_arena_opts){.max = 1 << 20}));
    mp_value_opts o = {.arena = arena, .size = 1 << 20};
    mp_assert_err(mp_value_new(&v, MP_STRUCT, NULL, &o), -ENOMEM);
    ck_assert_ptr_null(v);
    o.size = (size_t)1 << 40;
    mp_assert_err(mp_value_new(&v, MP_STRUCT, NULL, &o), -ENOMEM);
    o.arena = NULL;
    mp_assert_err(mp_value_new(&v, MP_STRUCT, NULL, &o), -ENOMEM);
    mp_arena_delete(arena);
}

MP_TEST(bad_arguments)
{
    mp_value *v = (mp_value *)&v;
    int64_t x = 5;
    double d;
    mp_assert_err(mp_value_new(NULL, MP_INT64, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_value_new(&v, (mp_type)0, NULL, NULL), MP_EINVAL);
    ck_assert_ptr_null(v);
    mp_assert_err(mp_value_new(&v, (mp_type)99, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_value_new(&v, (mp_type)-1, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_value_new(&v, MP_STRUCT, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_value_new(&v, MP_INT64, NULL, &(mp_value_opts){.size = 4}), MP_EINVAL);
    mp_assert_err(mp_value_new(&v, MP_STRUCT, NULL, &(mp_value_opts){.size = SIZE_MAX}),
                  MP_EOVERFLOW);
    mp_assert_err(mp_value_attach(NULL, "x", MP_INT64, 0), MP_EINVAL);
    mp_assert_err(mp_value_attach(&v, NULL, MP_INT64, 0), MP_EINVAL);
    mp_assert_err(mp_value_attach(&v, "no/name", MP_INT64, 0), MP_EINVAL);
    mp_assert_err(mp_value_attach(&v, mptest_name("nobody-made-this"), MP_INT64, 0), MP_ENOTFOUND);
    mp_assert_err(mp_value_get_int(NULL, &x), MP_EINVAL);
    mp_assert_err(mp_value_set_int(NULL, 1), MP_EINVAL);
    mp_assert_err(mp_value_get_double(NULL, &d), MP_EINVAL);
    mp_assert_err(mp_value_set_double(NULL, 1), MP_EINVAL);
    mp_assert_err(mp_value_read(NULL, &x, 8, 0), MP_EINVAL);
    mp_assert_err(mp_value_write(NULL, &x, 8, 0), MP_EINVAL);
    ck_assert_ptr_null(mp_value_lock(NULL));
    ck_assert_int_eq(mp_value_type(NULL), 0);
    ck_assert_uint_eq(mp_value_size(NULL), 0);
    mp_value_free(NULL);

    v = new_value(MP_INT64, &x, &(mp_value_opts){.size = 8});
    mp_assert_err(mp_value_get_int(v, NULL), MP_EINVAL);
    mp_assert_err(mp_value_get_double(v, NULL), MP_EINVAL);
    mp_assert_err(mp_value_read(v, NULL, 8, 0), MP_EINVAL);
    mp_assert_err(mp_value_write(v, NULL, 8, 0), MP_EINVAL);
    mp_assert_err(mp_value_read(v, &x, 8, -2), MP_EINVAL);
    mp_assert_err(mp_value_write(v, &x, 8, -1000), MP_EINVAL);
    // Another kind of object.
    mp_array *a;
    mp_assert_ok(mp_array_new(&a, MP_INT64, 1, NULL, NULL));
    mp_assert_err(mp_value_get_int((mp_value *)a, &x), MP_EINVAL);
    mp_value_free((mp_value *)a); // not a value: stays
    mp_assert_ok(mp_array_set_int(a, 0, 1));
    mp_array_free(a);
    mp_value_free(v);
}

MP_TEST(used_after_it_was_freed)
{
    mp_arena *arena; // so that the memory is still there
    int64_t x;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_value *v = new_value(MP_INT64, NULL, &(mp_value_opts){.arena = arena});
    mp_value_free(v);
    mp_assert_err(mp_value_get_int(v, &x), MP_EINVAL);
    mp_assert_err(mp_value_read(v, &x, 8, 0), MP_EINVAL);
    ck_assert_ptr_null(mp_value_ptr(v, int64_t));
    ck_assert_ptr_null(mp_value_lock(v));
    mp_value_free(v);
    mp_arena_delete(arena);
}

MP_TEST(by_name)
{
    int64_t x = 17;
    const char *name = mptest_name("value");
    mp_value *v = new_value(MP_INT64, &x, &(mp_value_opts){.name = name}), *again, *other;
    mp_assert_err(mp_value_new(&other, MP_INT64, &x, &(mp_value_opts){.name = name}), -EEXIST);
    mp_assert_err(mp_value_attach(&other, name, MP_INT32, 0), MP_ETYPE);
    mp_assert_err(mp_value_attach(&other, name, MP_STRUCT, 8), MP_ETYPE);
    mp_assert_err(mp_value_attach(&other, name, MP_STRUCT, 0), MP_EINVAL);
    ck_assert_ptr_null(other);
    mp_array *array;
    mp_assert_err(mp_array_attach(&array, name, MP_INT64, 0), MP_ETYPE);
    mp_assert_ok(mp_value_attach(&again, name, MP_INT64, 0));
    mp_assert_ok(mp_value_get_int(again, &x));
    ck_assert_int_eq(x, 17);
    mp_assert_ok(mp_value_set_int(again, 18));
    ck_assert_int_eq(*mp_value_ptr(v, int64_t), 18);
    mp_assert_ok(mp_rlock_acquire(mp_value_lock(v), 0));
    mp_assert_ok(mp_rlock_release(mp_value_lock(v)));
    mp_value_free(v);
    mp_assert_ok(mp_value_get_int(again, &x)); // the other handle
    mp_value_free(again);
    mp_assert_ok(mp_value_attach(&again, name, MP_INT64, 0)); // the name stays
    mp_assert_ok(mp_value_get_int(again, &x));
    ck_assert_int_eq(x, 18);
    mp_assert_ok(mp_shm_unlink(name));
    mp_value_free(again);
    mp_assert_err(mp_value_attach(&again, name, MP_INT64, 0), MP_ENOTFOUND);
}
