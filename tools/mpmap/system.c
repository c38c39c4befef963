// SPDX-License-Identifier: MIT
#include "system.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The beginning of a small file, or false.
static bool read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

const char *system_group(void)
{
    static char dir[PATH_MAX];
    static bool known;
    char text[PATH_MAX];
    if (known)
        return dir;
    known = true;
    if (!read_file("/proc/self/cgroup", text, sizeof text))
        return dir;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        snprintf(dir, sizeof dir, "/sys/fs/cgroup%.4000s", line[4] ? line + 3 : "");
        char type[PATH_MAX + 32];
        snprintf(type, sizeof type, "%s/cgroup.controllers", dir);
        if (access(type, R_OK) != 0)
            *dir = '\0';
    }
    return dir;
}

static bool read_group(const char *name, char *text, size_t size)
{
    char path[PATH_MAX + 64];
    if (!*system_group())
        return false;
    snprintf(path, sizeof path, "%s/%s", system_group(), name);
    return read_file(path, text, size);
}

long system_runnable(void)
{
    char text[128];
    double load;
    long running = 1;
    if (!read_file("/proc/loadavg", text, sizeof text) ||
        sscanf(text, "%lf %*f %*f %ld/", &load, &running) != 2)
        return 0;
    return running - 1;
}

long system_memory_free(void)
{
    char text[4096];
    long free = LONG_MAX, kb;
    if (read_file("/proc/meminfo", text, sizeof text)) {
        const char *line = strstr(text, "MemAvailable:");
        if (line && sscanf(line, "MemAvailable: %ld", &kb) == 1)
            free = kb * 1024;
    }
    if (read_group("memory.max", text, sizeof text) && *text != 'm') {
        long max = strtol(text, NULL, 10);
        if (read_group("memory.current", text, sizeof text)) {
            long left = max - strtol(text, NULL, 10);
            free = left < free ? left : free;
        }
    }
    return free;
}

double system_pressure(int which)
{
    static const char *const names[] = {"cpu", "memory", "io"};
    char text[512], name[32], path[64];
    double percent = 0;
    snprintf(name, sizeof name, "%s.pressure", names[which]);
    snprintf(path, sizeof path, "/proc/pressure/%s", names[which]);
    if ((read_group(name, text, sizeof text) || read_file(path, text, sizeof text)) &&
        sscanf(text, "some avg10=%lf", &percent) == 1)
        return percent;
    return 0;
}
