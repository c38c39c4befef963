// SPDX-License-Identifier: MIT
//
// Our control group is a path in /proc/self/cgroup, below where its hierarchy is mounted.
// Version 2 has one for all controllers; with version 1 each may have its own, and some
// systems have both.
#include "system.h"

#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const controllers[] = {"memory", "cpu"};

bool system_read(const char *dir, const char *name, char *text, size_t size)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

bool system_has_word(const char *list, const char *word)
{
    static const char between[] = " ,\n";
    while (*list) {
        size_t n = strcspn(list, between);
        if (n == strlen(word) && !memcmp(list, word, n))
            return true;
        list += n;
        list += strspn(list, between);
    }
    return false;
}

long system_number(const char *text, const char *word, long otherwise)
{
    size_t n = strlen(word);
    for (; text; text = (text = strchr(text, '\n')) ? text + 1 : NULL)
        if (!strncmp(text, word, n) && (text[n] == ' ' || text[n] == ':'))
            return strtol(text + n + 1, NULL, 10);
    return otherwise;
}

// ---- control groups -----------------------------------------------------------------------

// Where the hierarchy of a controller is mounted, or, without one, that of version 2.
static bool find_mount(const char *v1, char *dir, size_t size)
{
    FILE *f = setmntent("/proc/self/mounts", "re");
    struct mntent *m;
    bool found = false;
    while (f && !found && (m = getmntent(f))) {
        found = v1 ? !strcmp(m->mnt_type, "cgroup") && hasmntopt(m, v1)
                   : !strcmp(m->mnt_type, "cgroup2");
        if (found)
            snprintf(dir, size, "%s", m->mnt_dir);
    }
    if (f)
        endmntent(f);
    return found;
}

// Our path there: a line is "7:cpu,cpuacct:/path", that of version 2 "0::/path".
static bool find_path(const char *v1, char *path, size_t size)
{
    char text[2 * PATH_MAX], *save;
    if (!system_read("/proc/self", "cgroup", text, sizeof text))
        return false;
    for (char *s = strtok_r(text, "\n", &save); s; s = strtok_r(NULL, "\n", &save)) {
        char *list = strchr(s, ':'), *found = list ? strchr(list + 1, ':') : NULL;
        if (!found)
            continue;
        *found++ = '\0';
        if (v1 ? !system_has_word(list + 1, v1) : list[1] != '\0')
            continue;
        snprintf(path, size, "%s", found[1] ? found : ""); // "/" is no more than the mount
        return true;
    }
    return false;
}

static bool find_group(struct system_group *g, const char *v1)
{
    char mount[PATH_MAX / 2], path[PATH_MAX / 2];
    if (!find_mount(v1, mount, sizeof mount) || !find_path(v1, path, sizeof path))
        return false;
    g->v1 = v1;
    g->top = strlen(mount);
    snprintf(g->dir, sizeof g->dir, "%s%s", mount, path);
    if (access(g->dir, F_OK) != 0) // in a container it is our group that is mounted
        g->dir[g->top] = '\0';
    return true;
}

const struct system_group *system_group(enum controller c)
{
    static struct system_group groups[CONTROLLERS];
    static bool found[CONTROLLERS], known;
    char list[512];
    if (!known) {
        known = true;
        found[GROUP_ANY] = find_group(&groups[GROUP_ANY], NULL);
        bool v2 = found[GROUP_ANY] &&
                  system_read(groups[GROUP_ANY].dir, "cgroup.controllers", list, sizeof list);
        for (int i = 0; i < GROUP_ANY; i++)
            if (v2 && system_has_word(list, controllers[i])) {
                found[i] = true;
                groups[i] = groups[GROUP_ANY];
            } else {
                found[i] = find_group(&groups[i], controllers[i]);
            }
    }
    return found[c] ? &groups[c] : NULL;
}

// ---- figures ------------------------------------------------------------------------------

long system_runnable(void)
{
    char text[128];
    long running;
    return system_read("/proc", "loadavg", text, sizeof text) &&
                   sscanf(text, "%*f %*f %*f %ld/", &running) == 1
               ? running - 1
               : 0;
}

static long read_number(const char *dir, const char *name, long otherwise)
{
    char text[64], *end;
    if (!system_read(dir, name, text, sizeof text))
        return otherwise;
    long n = strtol(text, &end, 10);
    return end == text ? otherwise : n; // "max"
}

// What a group has left. Pages of files that nobody has used lately would be given up.
static long memory_left(const char *dir, bool v1)
{
    char text[8192];
    long max = read_number(dir, v1 ? "memory.limit_in_bytes" : "memory.max", LONG_MAX);
    if (max == LONG_MAX)
        return max;
    long used = read_number(dir, v1 ? "memory.usage_in_bytes" : "memory.current", 0), idle = 0;
    if (system_read(dir, "memory.stat", text, sizeof text))
        idle = system_number(text, v1 ? "total_inactive_file" : "inactive_file", 0);
    return max - used + idle;
}

// Of our group and those above: each has its limit.
static long group_memory_free(void)
{
    const struct system_group *g = system_group(GROUP_MEMORY);
    char dir[PATH_MAX];
    long least = LONG_MAX;
    if (!g)
        return least;
    strcpy(dir, g->dir);
    for (;;) {
        long left = memory_left(dir, g->v1);
        least = left < least ? left : least;
        char *up = strrchr(dir + g->top, '/');
        if (!up)
            return least;
        *up = '\0';
    }
}

long system_memory_free(void)
{
    char text[4096];
    long free = LONG_MAX, left = group_memory_free();
    if (system_read("/proc", "meminfo", text, sizeof text)) {
        long kb = system_number(text, "MemAvailable", -1);
        free = kb < 0 ? LONG_MAX : kb * 1024;
    }
    return left < free ? left : free;
}

double system_pressure(int which)
{
    static const char *const names[] = {"cpu", "memory", "io"};
    const struct system_group *g = system_group(GROUP_ANY);
    char text[512], name[32];
    double percent = 0;
    snprintf(name, sizeof name, "%s.pressure", names[which]);
    if ((g && system_read(g->dir, name, text, sizeof text)) ||
        system_read("/proc/pressure", names[which], text, sizeof text))
        sscanf(text, "some avg10=%lf", &percent);
    return percent;
}
