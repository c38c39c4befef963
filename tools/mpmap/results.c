// SPDX-License-Identifier: MIT
//
// A folder is found by the arguments alone, as scripts want it, and what an earlier run left
// there is replaced. Of equal items in one run each has to have its own: the run and the job
// that a folder belongs to are in its job.json from the start.
#include "results.h"
#include "key.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <mp/error.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 2 }; // stdout and stderr

struct results {
    int dir, fd[FILES];
    const char *run;
    int err; // the first
};

// ---- directories ------------------------------------------------------------------------

// A file name for an argument: no two have the same.
static void name_of(const char *arg, size_t len, char name[NAME_MAX + 1])
{
    size_t at = 0;
    for (size_t i = 0; i < len && at < NAME_MAX - 40; i++)
        if (arg[i] == '/' || arg[i] == '\\') {
            name[at++] = '\\';
            name[at++] = arg[i] == '/' ? '_' : '\\';
        } else {
            name[at++] = arg[i];
        }
    name[at] = '\0';
    if (len == 0)
        strcpy(name, "\\e");
    else if (at >= NAME_MAX - 40)
        snprintf(name + at, 20, "~%016" PRIx64, key_of(arg).a);
    else if (!strcmp(name, ".") || !strcmp(name, ".."))
        strcat(name, "\\");
}

static int make_dir(int at, const char *name)
{
    if (mkdirat(at, name, 0777) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

// From one directory into the next, which is made; the first is closed.
static int enter(int at, const char *name, char *path, size_t size)
{
    size_t len = strlen(path);
    snprintf(path + len, size - len, "%s%s", len ? "/" : "", name);
    int fd = make_dir(at, name);
    if (at != AT_FDCWD)
        close(at);
    return fd;
}

// The folder of the job. With `suffix` the last name has its number, behind a backslash,
// which no name has of itself.
static int make_dirs(const char *dir, const struct item *item, const struct names *names,
                     long suffix, char *path, size_t size)
{
    char name[NAME_MAX + 32];
    *path = '\0';
    int fd = enter(AT_FDCWD, dir, path, size);
    for (int i = 0; i < item->args_len && fd >= 0; i++) {
        size_t len;
        const char *arg = item_arg(item, i, &len);
        if (!names->open && i < names->len)
            name_of(names->name[i], strlen(names->name[i]), name);
        else
            snprintf(name, sizeof name, "%d", i + 1);
        fd = enter(fd, name, path, size);
        name_of(arg, len, name);
        if (suffix && i == item->args_len - 1)
            snprintf(name + strlen(name), 32, "\\%ld", suffix);
        if (fd >= 0)
            fd = enter(fd, name, path, size);
    }
    return fd;
}

// Whether a folder belongs to another job of this run, as its job.json says.
static bool is_taken(int dir, const char *run, long seq)
{
    char text[256], begin[128];
    int fd = openat(dir, "job.json", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    int len = snprintf(begin, sizeof begin, "{\"run\":\"%s\",\"seq\":", run);
    return !strncmp(text, begin, (size_t)len) && strtol(text + len, NULL, 10) != seq;
}

static int make_file(int dir, const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return fd < 0 ? -errno : fd;
}

static int put(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t w = write(fd, data, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return w < 0 ? -errno : -ENOSPC;
        data += w;
        n -= (size_t)w;
    }
    return 0;
}

static int put_file(int dir, const char *name, const char *text, size_t len)
{
    int fd = make_file(dir, name);
    if (fd < 0)
        return fd;
    int err = put(fd, text, len);
    if (close(fd) < 0 && err == 0)
        err = -errno;
    return err;
}

int results_open(struct results **out, const char *dir, const struct item *item,
                 const struct names *names, const char *run, long seq, char *path, size_t size)
{
    char text[128];
    int fd = make_dirs(dir, item, names, 0, path, size);
    if (fd >= 0 && is_taken(fd, run, seq)) {
        close(fd);
        fd = make_dirs(dir, item, names, seq, path, size);
    }
    if (fd < 0)
        return fd;
    struct results *r = *out = xrealloc(NULL, sizeof *r);
    *r = (struct results){.dir = fd, .run = run};
    r->fd[0] = make_file(fd, "stdout");
    r->fd[1] = make_file(fd, "stderr");
    snprintf(text, sizeof text, "%ld\n", seq);
    r->err = put_file(fd, "seq", text, strlen(text));
    snprintf(text, sizeof text, "{\"run\":\"%s\",\"seq\":%ld}\n", run, seq);
    if (r->err == 0)
        r->err = put_file(fd, "job.json", text, strlen(text));
    for (int i = 0; i < FILES; i++)
        if (r->fd[i] < 0)
            r->err = r->fd[i];
    return r->err;
}

void results_add(struct results *r, int stream, const char *data, size_t n)
{
    if (r->err == 0)
        r->err = put(r->fd[stream], data, n);
}

int results_end(struct results *r, const char *rest, size_t len)
{
    char *text = NULL;
    int n = asprintf(&text, "{\"run\":\"%s\",%.*s", r->run, (int)len, rest);
    if (n < 0)
        return -ENOMEM;
    if (r->err == 0)
        r->err = put_file(r->dir, "job.json", text, (size_t)n);
    free(text);
    return r->err;
}

void results_free(struct results *r)
{
    if (!r)
        return;
    for (int i = 0; i < FILES; i++)
        if (r->fd[i] >= 0)
            close(r->fd[i]);
    close(r->dir);
    free(r);
}
