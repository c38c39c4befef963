// SPDX-License-Identifier: MIT
//
// Tasks for mpmanager that can hang as they are loaded: who loads this says so, by its pid in
// $TMPDIR/loading, and does not get on while there is a file $TMPDIR/stuck.
#include <fcntl.h>
#include <mp/function.h>
#include <mp/pack.h>
#include <mp/task.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int twice(mp_task *task, const void *arg, size_t size, void *ctx)
{
    int64_t n;
    uint8_t room[16];
    mp_buf b = {.data = room, .capacity = sizeof room, .borrowed = true, .fixed = true};
    (void)ctx;
    int r = mp_unpack(arg, size, "I", &n);
    if (r == 0)
        r = mp_pack(&b, "I", 2 * n);
    return r == 0 ? mp_task_result(task, b.data, b.size) : r;
}
MP_TASK(twice);

__attribute__((constructor)) static void load(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/loading", getenv("TMPDIR"));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        abort();
    close(fd);
    snprintf(path, sizeof path, "%s/stuck", getenv("TMPDIR"));
    while (access(path, F_OK) == 0)
        usleep(1000);
}
