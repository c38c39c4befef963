// SPDX-License-Identifier: MIT
//
// What mp/shm_pack.h promises: packed keys and values in shared dicts and lists.
#include "mptest.h"

#include <mp/shm_pack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

MP_TEST(a_dict_takes_keys_and_values_by_format)
{
    mp_shm_dict *d;
    mp_buf b = {0};
    double x = 0, y = 0;
    int i = 0;
    const char *s;
    size_t n;
    mp_assert_ok(mp_shm_dict_new(&d, NULL));
    mp_assert_ok(mp_shm_dict_set_packed(d, "s:[dd]", "lamp", 1.5, 20.0));
    mp_assert_ok(mp_shm_dict_get_packed(d, &b, "s:[dd]", "lamp", &x, &y));
    ck_assert(x == 1.5 && y == 20.0);
    // A number is the same key by whatever type, and no text.
    mp_assert_ok(mp_shm_dict_set_packed(d, "i:s", 7, "seven"));
    mp_assert_ok(mp_shm_dict_get_packed(d, &b, "U:s#", (uint64_t)7, &s, &n));
    ck_assert(n == 5 && memcmp(s, "seven", 5) == 0 && s > (char *)b.data);
    mp_assert_err(mp_shm_dict_get_packed(d, &b, "s:_", "7"), MP_ENOTFOUND);
    ck_assert_uint_eq(b.size, 0);
    mp_assert_ok(mp_shm_dict_set_packed(d, "b#:{s:i}", "\0", (size_t)1, "k", 3));
    mp_assert_ok(mp_shm_dict_get_packed(d, &b, "b#:{s:i}", "\0", (size_t)1, "k", &i));
    ck_assert_int_eq(i, 3);
    ck_assert_int_eq(mp_shm_dict_count(d), 3);
    // Another shape: the value stays in b.
    mp_assert_err(mp_shm_dict_get_packed(d, &b, "i:i", 7, &i), MP_ETYPE);
    mp_assert_ok(mp_unpack(b.data, b.size, "s#", &s, &n));
    // The rest of the dict goes by bytes.
    mp_buf_clear(&b);
    mp_assert_ok(mp_pack(&b, "s", "lamp"));
    mp_assert_ok(mp_shm_dict_remove(d, b.data, b.size));
    mp_assert_err(mp_shm_dict_get_packed(d, &b, "s:_", "lamp"), MP_ENOTFOUND);
    mp_buf_free(&b);
    mp_shm_dict_free(d);
}

MP_TEST(long_keys_and_values_leave_the_stack)
{
    mp_shm_dict *d;
    mp_buf b = {0};
    char room[64];
    mp_buf fixed = {.data = room, .capacity = sizeof room, .fixed = true};
    char *text = malloc(100001);
    const char *s;
    size_t n;
    memset(text, 'x', 100000);
    text[100000] = 0;
    mp_assert_ok(mp_shm_dict_new(&d, NULL));
    for (size_t size = 1; size <= 100000; size *= 10) {
        mp_assert_ok(mp_shm_dict_set_packed(d, "s#:s#", text, size, text, 100001 - size));
        mp_assert_ok(mp_shm_dict_get_packed(d, &b, "s#:s#", text, size, &s, &n));
        ck_assert(n == 100001 - size && memcmp(s, text, n) == 0);
    }
    mp_assert_err(mp_shm_dict_get_packed(d, &fixed, "s:_", "x"), MP_EMSGSIZE);
    mp_buf_free(&b);
    mp_shm_dict_free(d);
    free(text);
}

MP_TEST(a_list_takes_values_by_format)
{
    mp_shm_list *l;
    mp_buf b = {0};
    int i = 0;
    char text[8];
    mp_assert_ok(mp_shm_list_new(&l, NULL));
    for (int k = 0; k < 10; k++)
        mp_assert_ok(mp_shm_list_append_packed(l, "[is]", k, "item"));
    mp_assert_ok(mp_shm_list_get_packed(l, (int64_t)-1, &b, "[is]", &i, text, sizeof text));
    ck_assert_int_eq(i, 9);
    ck_assert_str_eq(text, "item");
    mp_assert_err(mp_shm_list_get_packed(l, 10, &b, "_"), MP_EINDEX);
    mp_assert_err(mp_shm_list_get_packed(l, 0, &b, "[i]", &i), MP_ETYPE);
    ck_assert_int_eq(mp_shm_list_len(l), 10);
    mp_buf_free(&b);
    mp_shm_list_free(l);
}

MP_TEST(wrong_calls_store_nothing)
{
    mp_shm_dict *d;
    mp_shm_list *l;
    mp_buf b = {0};
    int i;
    mp_assert_ok(mp_shm_dict_new(&d, NULL));
    mp_assert_ok(mp_shm_list_new(&l, NULL));
    mp_assert_err(mp_shm_dict_set_packed(d, "s", "key"), MP_EINVAL);
    mp_assert_err(mp_shm_dict_set_packed(d, "s:", "key"), MP_EINVAL);
    mp_assert_err(mp_shm_dict_set_packed(d, ""), MP_EINVAL);
    mp_assert_err(mp_shm_dict_set_packed(d, "d:i", 1.0, 1), MP_EINVAL);
    mp_assert_err(mp_shm_dict_set_packed(d, "[i]:i", 1, 1), MP_EINVAL);
    mp_assert_err(mp_shm_dict_set_packed(d, "s:i", "key", "value"), MP_EINVAL);
    mp_assert_err(mp_shm_dict_set_packed(d, "s:i", 1, 1), MP_EINVAL);
    mp_assert_err(mp_shm_dict_set_packed(d, "s:i", "key"), MP_EINVAL);
    mp_assert_err(mp_shm_dict_set_packed(d, "s:i", "key", 1, 2), MP_EINVAL);
    mp_assert_err(mp_shm_dict_set_packed(NULL, "s:i", "key", 1), MP_EINVAL);
    mp_assert_err(mp_shm_dict_get_packed(d, NULL, "s:i", "key", &i), MP_EINVAL);
    mp_assert_err(mp_shm_dict_get_packed(NULL, &b, "s:i", "key", &i), MP_EINVAL);
    mp_assert_err(mp_shm_dict_get_packed(d, &b, "s:i", &i, &i), MP_EINVAL);
    mp_assert_err(mp_shm_list_append_packed(l, "q"), MP_EINVAL);
    mp_assert_err(mp_shm_list_append_packed(NULL, "n"), MP_EINVAL);
    mp_assert_err(mp_shm_list_get_packed(l, 0, NULL, "n"), MP_EINVAL);
    mp_assert_err(mp_shm_list_get_packed(NULL, 0, &b, "n"), MP_EINVAL);
    ck_assert_int_eq(mp_shm_dict_count(d), 0);
    ck_assert_int_eq(mp_shm_list_len(l), 0);
    mp_buf_free(&b);
    mp_shm_dict_free(d);
    mp_shm_list_free(l);
}

static int write_many(void *arg)
{
    mp_shm_dict *d = arg;
    for (int i = 0; i < 2000; i++)
        mptest_require(mp_shm_dict_set_packed(d, "s:[iI]", "both", i, (int64_t)i * i) == 0);
    return 0;
}

// What is read is one value that was written, never parts of two.
MP_TEST(a_value_is_whole_while_another_process_writes)
{
    mp_shm_dict *d;
    mp_buf b = {0};
    mp_assert_ok(mp_shm_dict_new(&d, NULL));
    mp_assert_ok(mp_shm_dict_set_packed(d, "s:[iI]", "both", 0, (int64_t)0));
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(write_many(d));
    int last = 0;
    for (int k = 0; k < 20000 || last < 1999; k++) {
        int i;
        int64_t square;
        mp_assert_ok(mp_shm_dict_get_packed(d, &b, "s:[iI]", "both", &i, &square));
        ck_assert(square == (int64_t)i * i && i >= last);
        last = i;
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    mp_buf_free(&b);
    mp_shm_dict_free(d);
}
