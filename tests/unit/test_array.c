// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <errno.h>
#include <mp/array.h>
#include <mp/value.h>
#include <string.h>

struct point {
    float x, y, z; // 12 bytes: no power of two
};

static mp_array *new_array(mp_type type, size_t n, const void *initial, const mp_array_opts *opts)
{
    mp_array *a;
    mp_assert_ok(mp_array_new(&a, type, n, initial, opts));
    return a;
}

// 0, 1, 2, ...
static mp_array *new_series(size_t n)
{
    mp_array *a = new_array(MP_INT32, n, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        mp_assert_ok(mp_array_set_int(a, i, (int64_t)i));
    return a;
}

static void check_items(mp_array *a, size_t n, const int32_t *want)
{
    const int32_t *have = mp_array_ptr(a, int32_t);
    ck_assert_uint_eq(mp_array_len(a), n);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(have[i], want[i]);
}
#define check_series(a, ...)                                                                       \
    check_items(a, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t), (int32_t[]){__VA_ARGS__})

MP_TEST(new_array_is_zero_or_what_it_was_given)
{
    int32_t two[] = {4, 5};
    mp_array *a = new_array(MP_INT32, 3, NULL, NULL), *b = new_array(MP_INT32, 2, two, NULL);
    check_series(a, 0, 0, 0);
    check_series(b, 4, 5);
    ck_assert_int_eq(mp_array_type(a), MP_INT32);
    ck_assert_uint_eq(mp_array_item(a), 4);
    ck_assert_uint_eq((uintptr_t)mp_array_ptr(a, int32_t) % 64, 0);
    mp_array_free(a);
    mp_array_free(b);
}

MP_TEST(made_again_it_is_zero_again)
{
    for (int i = 0; i < 20; i++) {
        mp_array *a = new_array(MP_UINT8, 5000, NULL, NULL);
        uint8_t *x = mp_array_ptr(a, uint8_t);
        for (size_t k = 0; k < 5000; k++)
            ck_assert_uint_eq(x[k], 0);
        memset(x, 0xaa, 5000);
        mp_array_free(a);
    }
}

MP_TEST(of_no_items)
{
    mp_array *a = new_array(MP_DOUBLE, 0, NULL, NULL);
    double x;
    ck_assert_uint_eq(mp_array_len(a), 0);
    ck_assert_ptr_nonnull(mp_array_ptr(a, double));
    mp_assert_err(mp_array_get_double(a, 0, &x), MP_EINDEX);
    mp_assert_ok(mp_array_read(a, 0, 0, NULL, sizeof x, 0));
    mp_assert_ok(mp_array_copy(a, 0, a, 0, 0, 0));
    mp_array_free(a);
}

MP_TEST(the_pointer_is_checked)
{
    mp_array *a = new_array(MP_FLOAT, 3, NULL, NULL);
    ck_assert_ptr_nonnull(mp_array_ptr(a, float));
    ck_assert_ptr_null(mp_array_ptr(a, int32_t));
    ck_assert_ptr_null(mp_array_ptr(a, double));
    ck_assert_ptr_null(mp_array_data(a, MP_FLOAT, 8));
    ck_assert_ptr_null(mp_array_data(NULL, MP_FLOAT, 4));
    mp_array_free(a);
}

MP_TEST(single_items)
{
    mp_array *a = new_series(4);
    int64_t x;
    double d;
    mp_assert_ok(mp_array_set_int(a, 3, -7));
    mp_assert_ok(mp_array_get_int(a, 3, &x));
    ck_assert_int_eq(x, -7);
    mp_assert_ok(mp_array_get_double(a, 2, &d));
    ck_assert(d == 2);
    mp_assert_ok(mp_array_set_double(a, 0, 9));
    mp_assert_err(mp_array_set_double(a, 0, 9.5), -ERANGE);
    mp_assert_err(mp_array_set_int(a, 1, (int64_t)INT32_MAX + 1), -ERANGE);
    mp_assert_err(mp_array_get_int(a, 4, &x), MP_EINDEX);
    mp_assert_err(mp_array_set_int(a, 4, 1), MP_EINDEX);
    mp_assert_err(mp_array_get_int(a, SIZE_MAX, &x), MP_EINDEX);
    mp_assert_err(mp_array_set_double(a, (size_t)-1, 1), MP_EINDEX);
    check_series(a, 9, 1, 2, -7);
    mp_array_free(a);
}

MP_TEST(slices)
{
    mp_array *a = new_series(6);
    int32_t x[6] = {0};
    mp_assert_ok(mp_array_read(a, 2, 3, x, sizeof *x, MP_FOREVER));
    ck_assert(x[0] == 2 && x[1] == 3 && x[2] == 4 && x[3] == 0);
    mp_assert_ok(mp_array_write(a, 4, 2, x, sizeof *x, 0));
    check_series(a, 0, 1, 2, 3, 2, 3);
    mp_assert_ok(mp_array_read(a, 0, 6, x, sizeof *x, 0));
    mp_assert_ok(mp_array_write(a, 6, 0, x, sizeof *x, 0)); // none, right behind
    // All or none.
    mp_assert_err(mp_array_write(a, 4, 3, x, sizeof *x, 0), MP_EINDEX);
    mp_assert_err(mp_array_read(a, 0, 7, x, sizeof *x, 0), MP_EINDEX);
    mp_assert_err(mp_array_read(a, 7, 0, x, sizeof *x, 0), MP_EINDEX);
    mp_assert_err(mp_array_read(a, 1, SIZE_MAX, x, sizeof *x, 0), MP_EINDEX);
    mp_assert_err(mp_array_read(a, SIZE_MAX, 2, x, sizeof *x, 0), MP_EINDEX);
    mp_assert_err(mp_array_read(a, 0, 3, x, sizeof(int64_t), 0), MP_ETYPE);
    mp_assert_err(mp_array_write(a, 0, 3, x, 1, 0), MP_ETYPE);
    check_series(a, 0, 1, 2, 3, 2, 3);
    // From itself, overlapping.
    mp_assert_ok(mp_array_write(a, 1, 5, mp_array_ptr(a, int32_t), sizeof *x, 0));
    check_series(a, 0, 0, 1, 2, 3, 2);
    mp_array_free(a);
}

MP_TEST(fill)
{
    mp_array *a = new_series(8);
    int32_t seven = 7;
    mp_assert_ok(mp_array_fill(a, 1, 5, &seven, sizeof seven, 0));
    check_series(a, 0, 7, 7, 7, 7, 7, 6, 7);
    mp_assert_ok(mp_array_fill(a, 0, 3, mp_array_ptr(a, int32_t) + 6, sizeof seven, 0));
    check_series(a, 6, 6, 6, 7, 7, 7, 6, 7);
    mp_assert_ok(mp_array_fill(a, 8, 0, &seven, sizeof seven, 0));
    mp_assert_err(mp_array_fill(a, 8, 1, &seven, sizeof seven, 0), MP_EINDEX);
    mp_assert_err(mp_array_fill(a, 0, 1, &seven, 8, 0), MP_ETYPE);
    mp_array_free(a);

    for (size_t n = 0; n < 40; n++) { // whatever n is made of
        struct point p = {1, 2, 3};
        a = new_array(MP_STRUCT, 42, NULL, &(mp_array_opts){.item = sizeof p});
        mp_assert_ok(mp_array_fill(a, 1, n, &p, sizeof p, 0));
        struct point *x = mp_array_ptr(a, struct point);
        for (size_t i = 0; i < 42; i++)
            ck_assert(x[i].z == (i >= 1 && i < 1 + n ? 3 : 0));
        mp_array_free(a);
    }
}

MP_TEST(copies)
{
    mp_array *a = new_series(6), *b = new_array(MP_INT32, 3, NULL, NULL);
    mp_array *other = new_array(MP_UINT32, 6, NULL, NULL);
    mp_assert_ok(mp_array_copy(b, 1, a, 3, 2, MP_FOREVER));
    check_series(b, 0, 3, 4);
    mp_assert_ok(mp_array_copy(a, 1, a, 0, 5, 0)); // overlapping, up
    check_series(a, 0, 0, 1, 2, 3, 4);
    mp_assert_ok(mp_array_copy(a, 0, a, 2, 4, 0)); // and down
    check_series(a, 1, 2, 3, 4, 3, 4);
    mp_assert_err(mp_array_copy(b, 0, a, 0, 4, 0), MP_EINDEX);
    mp_assert_err(mp_array_copy(b, 1, a, 0, 3, 0), MP_EINDEX);
    mp_assert_err(mp_array_copy(b, 0, a, 4, 3, 0), MP_EINDEX);
    mp_assert_err(mp_array_copy(b, SIZE_MAX, a, 0, 2, 0), MP_EINDEX);
    mp_assert_err(mp_array_copy(other, 0, a, 0, 1, 0), MP_ETYPE);
    mp_assert_err(mp_array_copy(NULL, 0, a, 0, 1, 0), MP_EINVAL);
    mp_assert_err(mp_array_copy(a, 0, NULL, 0, 1, 0), MP_EINVAL);
    mp_assert_err(mp_array_copy(a, 0, b, 0, 1, -2), MP_EINVAL);
    ck_assert(!mp_rlock_locked(mp_array_lock(a)));
    ck_assert(!mp_rlock_locked(mp_array_lock(b)));
    mp_array_free(a);
    mp_array_free(b);
    mp_array_free(other);
}

MP_TEST(structs)
{
    struct point two[2] = {{1, 2, 3}, {4, 5, 6}}, x;
    mp_array *a = new_array(MP_STRUCT, 2, two, &(mp_array_opts){.item = sizeof *two});
    mp_assert_ok(mp_array_read(a, 1, 1, &x, sizeof x, 0));
    ck_assert(x.x == 4 && x.z == 6);
    ck_assert(mp_array_ptr(a, struct point)[0].y == 2);
    ck_assert_uint_eq(mp_array_item(a), 12);
    int64_t n;
    mp_assert_err(mp_array_get_int(a, 0, &n), MP_ETYPE);
    mp_array_free(a);
}

MP_TEST(text)
{
    mp_array *a = new_array(MP_CHAR, 6, "hello", NULL);
    ck_assert_str_eq(mp_array_ptr(a, char), "hello");
    mp_array_free(a);
}

MP_TEST(its_lock_is_an_rlock)
{
    mp_array *a = new_series(3);
    int32_t x;
    mp_rlock *lock = mp_array_lock(a);
    mp_assert_ok(mp_rlock_acquire(lock, MP_FOREVER));
    mp_assert_ok(mp_array_read(a, 2, 1, &x, 4, 0));
    ck_assert(mp_rlock_locked(lock));
    mp_assert_ok(mp_rlock_release(lock));
    ck_assert(!mp_rlock_locked(lock));
    mp_array_free(a);
    a = new_array(MP_INT32, 1, NULL, &(mp_array_opts){.no_lock = true});
    ck_assert_ptr_null(mp_array_lock(a));
    mp_assert_ok(mp_array_read(a, 0, 1, &x, 4, 0));
    mp_array_free(a);
}

// Rows 79 and 80 of the bad inputs: sizes that overflow, sizes that nobody has.
MP_TEST(sizes_beyond_reason)
{
    mp_array *a = (mp_array *)&a;
    mp_array_opts o = {0};
    mp_assert_err(mp_array_new(&a, MP_INT64, SIZE_MAX / 2, NULL, NULL), MP_EOVERFLOW);
    ck_assert_ptr_null(a);
    mp_assert_err(mp_array_new(&a, MP_INT8, SIZE_MAX, NULL, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_array_new(&a, MP_INT64, SIZE_MAX / 8 + 1, NULL, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_array_new(&a, MP_STRUCT, 3, NULL, &(mp_array_opts){.item = SIZE_MAX / 2}),
                  MP_EOVERFLOW);
    mp_assert_err(mp_array_new(&a, MP_INT8, SIZE_MAX - 512, NULL, NULL), -ENOMEM);
    mp_assert_err(mp_array_new(&a, MP_INT8, (size_t)1 << 40, NULL, NULL), -ENOMEM);
    mp_assert_err(mp_array_new(&a, MP_DOUBLE, (size_t)1 << 40, NULL, NULL), -ENOMEM);
    mp_assert_ok(mp_arena_new(&o.arena, &(mp_arena_opts){.max = 1 << 20}));
    mp_assert_err(mp_array_new(&a, MP_DOUBLE, 1 << 18, NULL, &o), -ENOMEM);
    mp_assert_err(mp_array_new(&a, MP_DOUBLE, (size_t)1 << 40, NULL, &o), -ENOMEM);
    ck_assert_ptr_null(a);
    mp_assert_ok(mp_array_new(&a, MP_DOUBLE, 1 << 10, NULL, &o)); // the arena goes on
    mp_array_free(a);
    mp_arena_delete(o.arena);
    o = (mp_array_opts){.name = mptest_name("much-too-large")};
    int r = mp_array_new(&a, MP_DOUBLE, (size_t)1 << 40, NULL, &o);
    ck_assert_msg(r == -ENOMEM || r == -ENOSPC || r == -EFBIG, "%s", mp_err_name(r));
    mp_assert_err(mp_array_attach(&a, o.name, MP_DOUBLE, 0), MP_ENOTFOUND);
}

MP_TEST(bad_arguments)
{
    mp_array *a;
    int64_t x = 0;
    double d;
    mp_assert_err(mp_array_new(NULL, MP_INT64, 1, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_array_new(&a, (mp_type)0, 1, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_array_new(&a, (mp_type)77, 1, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_array_new(&a, MP_STRUCT, 1, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_array_new(&a, MP_INT64, 1, NULL, &(mp_array_opts){.item = 7}), MP_EINVAL);
    mp_assert_err(mp_array_attach(NULL, "x", MP_INT64, 0), MP_EINVAL);
    mp_assert_err(mp_array_attach(&a, NULL, MP_INT64, 0), MP_EINVAL);
    mp_assert_err(mp_array_attach(&a, mptest_name("nobody-made-this"), MP_INT64, 0), MP_ENOTFOUND);
    mp_assert_err(mp_array_get_int(NULL, 0, &x), MP_EINVAL);
    mp_assert_err(mp_array_set_int(NULL, 0, 1), MP_EINVAL);
    mp_assert_err(mp_array_get_double(NULL, 0, &d), MP_EINVAL);
    mp_assert_err(mp_array_set_double(NULL, 0, 1), MP_EINVAL);
    mp_assert_err(mp_array_read(NULL, 0, 1, &x, 8, 0), MP_EINVAL);
    mp_assert_err(mp_array_write(NULL, 0, 1, &x, 8, 0), MP_EINVAL);
    mp_assert_err(mp_array_fill(NULL, 0, 1, &x, 8, 0), MP_EINVAL);
    ck_assert_ptr_null(mp_array_lock(NULL));
    ck_assert_int_eq(mp_array_type(NULL), 0);
    ck_assert_uint_eq(mp_array_item(NULL), 0);
    ck_assert_uint_eq(mp_array_len(NULL), 0);
    mp_array_free(NULL);

    a = new_array(MP_INT64, 3, NULL, NULL);
    mp_assert_err(mp_array_get_int(a, 0, NULL), MP_EINVAL);
    mp_assert_err(mp_array_get_double(a, 0, NULL), MP_EINVAL);
    mp_assert_err(mp_array_read(a, 0, 1, NULL, 8, 0), MP_EINVAL);
    mp_assert_err(mp_array_write(a, 0, 1, NULL, 8, 0), MP_EINVAL);
    mp_assert_err(mp_array_fill(a, 0, 1, NULL, 8, 0), MP_EINVAL);
    mp_assert_err(mp_array_read(a, 0, 1, &x, 8, -2), MP_EINVAL);
    mp_assert_err(mp_array_write(a, 0, 1, &x, 8, -3), MP_EINVAL);
    mp_assert_err(mp_array_fill(a, 0, 1, &x, 8, -4), MP_EINVAL);
    mp_value *v;
    mp_assert_ok(mp_value_new(&v, MP_INT64, NULL, NULL));
    mp_assert_err(mp_array_get_int((mp_array *)v, 0, &x), MP_EINVAL);
    ck_assert_uint_eq(mp_array_len((mp_array *)v), 0);
    mp_value_free(v);
    mp_array_free(a);
}

MP_TEST(used_after_it_was_freed)
{
    mp_array_opts o = {0};
    int64_t x;
    mp_assert_ok(mp_arena_new(&o.arena, NULL));
    mp_array *a = new_array(MP_INT64, 3, NULL, &o);
    mp_array_free(a);
    mp_assert_err(mp_array_get_int(a, 0, &x), MP_EINVAL);
    mp_assert_err(mp_array_fill(a, 0, 3, &x, 8, 0), MP_EINVAL);
    ck_assert_ptr_null(mp_array_ptr(a, int64_t));
    ck_assert_uint_eq(mp_array_len(a), 0);
    mp_array_free(a);
    mp_arena_delete(o.arena);
}

MP_TEST(by_name)
{
    const char *name = mptest_name("array");
    int64_t three[] = {1, 2, 3}, x;
    mp_array *a = new_array(MP_INT64, 3, three, &(mp_array_opts){.name = name}), *again;
    mp_assert_err(mp_array_attach(&again, name, MP_DOUBLE, 0), MP_ETYPE);
    mp_value *value;
    mp_assert_err(mp_value_attach(&value, name, MP_INT64, 0), MP_ETYPE);
    mp_assert_ok(mp_array_attach(&again, name, MP_INT64, 0));
    ck_assert_uint_eq(mp_array_len(again), 3);
    mp_assert_ok(mp_array_read(again, 2, 1, &x, sizeof x, 0));
    ck_assert_int_eq(x, 3);
    mp_array_free(again);
    mp_array_free(a);
    mp_assert_ok(mp_shm_unlink(name));
    mp_assert_err(mp_array_attach(&again, name, MP_INT64, 0), MP_ENOTFOUND);
}

MP_TEST(by_name_of_any_size)
{
    const char *name = mptest_name("sizes");
    static const size_t sizes[] = {0, 1, 3000, 4096, 65000, 1 << 17, 1000003, 9 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        mp_array *a = new_array(MP_UINT8, n, NULL, &(mp_array_opts){.name = name}), *again;
        memset(mp_array_ptr(a, uint8_t), 0x5a, n); // there is memory for all of it
        mp_assert_ok(mp_array_attach(&again, name, MP_UINT8, 0));
        ck_assert_uint_eq(mp_array_len(again), n);
        mp_array_free(again);
        mp_array_free(a);
        mp_assert_ok(mp_shm_unlink(name));
    }
}
