// SPDX-License-Identifier: MIT
#include "os/program.h"
#include "os/loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool own_directory(char *dir, size_t size)
{
    Dl_info info;
    static const char here;
    char link[PATH_MAX];
    const char *file = NULL;
    mp__loader_lock();
    int found = dladdr(&here, &info);
    mp__loader_unlock();
    if (found && info.dli_fname && info.dli_fname[0] == '/') {
        file = info.dli_fname;
    } else {
        ssize_t n = readlink("/proc/self/exe", link, sizeof link - 1);
        if (n > 0) {
            link[n] = '\0';
            file = link;
        }
    }
    const char *slash = file ? strrchr(file, '/') : NULL;
    return slash && (size_t)snprintf(dir, size, "%.*s", (int)(slash - file), file) < size;
}

// On failure it is added to the list of what was looked for.
static bool try_place(const char *path, char *tried, size_t size)
{
    if (access(path, X_OK) == 0)
        return true;
    size_t len = strlen(tried);
    if (len + strlen(path) + 3 < size)
        sprintf(tried + len, "%s%s", len ? ", " : "", path);
    return false;
}

int mp__program_find(char *path, size_t size, const char *const *places, char *tried,
                     size_t tried_size)
{
    char dir[PATH_MAX];
    bool known = own_directory(dir, sizeof dir);
    tried[0] = '\0';
    for (; *places; places++) {
        bool whole = **places == '/';
        if (!whole && !known)
            continue;
        int n = snprintf(path, size, "%s%s%s", whole ? "" : dir, whole ? "" : "/", *places);
        if (n > 0 && (size_t)n < size && try_place(path, tried, tried_size))
            return 0;
    }
    return -ENOENT;
}
