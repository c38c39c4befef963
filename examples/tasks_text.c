// SPDX-License-Identifier: MIT
//
// Tasks for mpmanager: what any client can have run, in workers beside the manager, by name.
//
//     gcc -O2 -shared -fPIC -o tasks_text.so tasks_text.c
//     mpmanager --tasks=./tasks_text.so --background
//     mpctl new pool Pool
//     mpctl call pool apply words '"to be or not to be"'      # 6
//     mpctl call pool map words '["one", "and two", ""]'      # [1, 2, 0]
#include <ctype.h>
#include <errno.h>
#include <mp/function.h>
#include <mp/pack.h>
#include <mp/task.h>
#include <stdlib.h>
#include <string.h>

// How many words there are in a text. A task gets its arguments packed, one behind the other, and
// gives its result as one packed value.
static int words(mp_task *task, const void *arg, size_t size, void *ctx)
{
    const char *text;
    size_t n;
    int count = 0;
    uint8_t room[16];
    mp_buf b = {.data = room, .capacity = sizeof room, .borrowed = true};
    (void)ctx;
    int r = mp_unpack(arg, size, "s#", &text, &n);
    for (size_t i = 0; r == 0 && i < n; i++)
        count +=
            !isspace((unsigned char)text[i]) && (i == 0 || isspace((unsigned char)text[i - 1]));
    if (r == 0)
        r = mp_pack(&b, "i", count);
    return r == 0 ? mp_task_result(task, b.data, b.size) : r;
}
MP_TASK(words);

// A text over and over again.
static int repeat(mp_task *task, const void *arg, size_t size, void *ctx)
{
    const char *text;
    size_t n;
    int times;
    mp_buf b = {0};
    (void)ctx;
    int r = mp_unpack(arg, size, "s# i", &text, &n, &times);
    char *room = NULL;
    if (r == 0 && (times < 0 || (uint64_t)times * n > 1 << 20))
        r = MP_EMSGSIZE;
    if (r == 0 && !(room = malloc(n * (size_t)times + 1)))
        r = -ENOMEM;
    for (int i = 0; r == 0 && i < times; i++)
        memcpy(room + n * (size_t)i, text, n);
    if (r == 0)
        r = mp_pack(&b, "s#", room, n * (size_t)times);
    if (r == 0)
        r = mp_task_result(task, b.data, b.size);
    free(room);
    mp_buf_free(&b);
    return r;
}
MP_TASK(repeat);
