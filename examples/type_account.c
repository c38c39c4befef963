// SPDX-License-Identifier: MIT
//
// A type for mpmanager (mp/manager_type.h): accounts, from which one can wait to take.
//
//     gcc -O2 -shared -fPIC -o type_account.so type_account.c
//     mpmanager --type=./type_account.so --background
#include <errno.h>
#include <mp/manager_type.h>
#include <stdlib.h>

struct account {
    int64_t sum;
};

static int account_make(mp_manager_call *call, void **state)
{
    struct account *a = calloc(1, sizeof *a);
    (void)call;
    *state = a;
    return a ? 0 : -ENOMEM;
}

static int account_add(mp_manager_call *call, void *state)
{
    struct account *a = state;
    int64_t by;
    int r = mp_manager_args(call, "I", &by);
    if (r < 0)
        return r;
    if (by < 0) {
        mp_manager_error(call, "to take, call take");
        return MP_EINVAL;
    }
    if (__builtin_add_overflow(a->sum, by, &a->sum))
        return MP_EOVERFLOW;
    return mp_manager_result(call, "I", a->sum);
}

// Tried again after each change, until there is enough or the caller does not want to wait.
static int account_take(mp_manager_call *call, void *state)
{
    struct account *a = state;
    int64_t want;
    int r = mp_manager_args(call, "I", &want);
    if (r < 0)
        return r;
    if (want < 0)
        return MP_EINVAL;
    if (a->sum < want)
        return MP_MANAGER_WAIT;
    a->sum -= want;
    return mp_manager_result(call, "I", a->sum);
}

// With these two it is kept over a restart (mpmanager --dir).
static int account_save(void *state, mp_buf *b)
{
    return mp_pack(b, "I", ((struct account *)state)->sum);
}

static int account_load(void **state, const void *data, size_t size)
{
    struct account *a = calloc(1, sizeof *a);
    int r = a ? mp_unpack(data, size, "I", &a->sum) : -ENOMEM;
    if (r < 0)
        free(a);
    *state = r < 0 ? NULL : a;
    return r;
}

static const mp_manager_method methods[] = {
    {"add", MP_MANAGER_CHANGES, account_add, "by: the sum"},
    {"take", MP_MANAGER_CHANGES, account_take, "so much, when it is there: what is left"},
    {0},
};

static const mp_manager_type account = {MP_MANAGER_TYPE, "account",    account_make, free,
                                        methods,         account_save, account_load};

MP_API extern const mp_manager_type *const mp_manager_types[];
const mp_manager_type *const mp_manager_types[] = {&account, NULL};
