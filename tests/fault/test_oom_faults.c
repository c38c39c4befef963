// SPDX-License-Identifier: MIT
//
// A worker that the kernel kills for want of memory, in a control group of its own with a
// small limit: of either version, where this user may make one.
#include "mptest.h"

#include "os/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/pool.h>
#include <mp/task.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char group[600];

static bool write_file(const char *name, const char *text)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", group, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

// Our own group's path in the hierarchy whose line has `key` in it: "4:memory:/a/b", "0::/a".
static bool own_path(const char *key, char *path, size_t size)
{
    char line[400];
    bool found = false;
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        char *at = strstr(line, key);
        line[strcspn(line, "\n")] = '\0';
        found = at != NULL;
        if (found)
            snprintf(path, size, "%s", strcmp(at + strlen(key), "/") == 0 ? "" : at + strlen(key));
    }
    if (f)
        fclose(f);
    return found;
}

static bool make_group(const char *mount, const char *key, const char *limit)
{
    char path[400];
    if (!own_path(key, path, sizeof path))
        return false;
    snprintf(group, sizeof group, "%s%s/mptest-%d", mount, path, (int)getpid());
    if (mkdir(group, 0755) < 0)
        return false;
    if (write_file(limit, "50331648"))
        return true;
    rmdir(group);
    return false;
}

static int eat(const void *in, void *out, void *ctx)
{
    (void)out, (void)ctx;
    size_t size = *(const long *)in == 2 ? (size_t)400 << 20 : 4096;
    volatile char *p = malloc(size);
    for (size_t i = 0; p && i < size; i += 4096)
        p[i] = 1;
    free((void *)p);
    return 0;
}

static int map_in_the_group(void *arg)
{
    long in[5] = {0, 1, 2, 3, 4};
    mp_pool *p;
    (void)arg;
    if (!write_file("cgroup.procs", "0"))
        return 77;
    mptest_require(mp_pool_new(&p, &(mp_pool_opts){.workers = 2}) == 0);
    mptest_require(mp_pool_map(p, eat, in, sizeof *in, NULL, 0, 5, NULL, NULL) == MP_EWORKERDIED);
    if (!strstr(mp_pool_error(p), "signal 9 (Killed) when the kernel ran out of memory, had "))
        dprintf(2, "%s\n", mp_pool_error(p));
    mptest_require(strncmp(mp_pool_error(p), "item 2 of 5: ", 13) == 0);
    mptest_require(strstr(mp_pool_error(p), "(Killed) when the kernel ran out of memory, had "));
    mptest_require(strstr(mp_pool_error(p), "1 item failed, 4 done"));
    mp_pool_free(p);
    return 0;
}

MP_TEST_TIMEOUT(a_worker_killed_for_want_of_memory, 60)
{
    if (MPTEST_ASAN || MPTEST_TSAN)
        mp_skip("a sanitizer needs more memory than the group has");
    if (mp__oom_kills() < 0)
        mp_skip("/proc/vmstat does not count such kills");
    if (!make_group("/sys/fs/cgroup/memory", ":memory:", "memory.limit_in_bytes") &&
        !make_group("/sys/fs/cgroup", "0::", "memory.max"))
        mp_skip("no control group with a limit of memory can be made");
    int code = mptest_in_child(map_in_the_group, NULL);
    bool gone = mptest_eventually(rmdir(group) == 0, 15000);
    if (code == 77)
        mp_skip("no process can enter the control group");
    ck_assert_int_eq(code, 0);
    ck_assert(gone);
}
