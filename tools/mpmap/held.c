// SPDX-License-Identifier: MIT
#include "held.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    JOB_LIMIT = 1024 * 1024,
    ALL_LIMIT = 16 * 1024 * 1024,
    PIECE = 64 * 1024,
};

static size_t memory; // allocated by all
static int files;

static const char *chosen_dir;

void held_set_dir(const char *dir)
{
    chosen_dir = dir;
}

const char *held_dir(void)
{
    const char *dir = chosen_dir ? chosen_dir : getenv("TMPDIR");
    return dir && *dir ? dir : "/tmp";
}

int held_files(void)
{
    return files;
}

bool held_is_empty(const struct held *h)
{
    return h->start == h->end && h->file_start == h->file_end;
}

// A file without a name; where the file system has none, one that loses it at once.
static int open_nameless(void)
{
    int fd = open(held_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd < 0 ? -errno : fd;
    char name[4096];
    int n = snprintf(name, sizeof name, "%s/mpmap.XXXXXX", held_dir());
    if (n < 0 || (size_t)n >= sizeof name)
        return -ENAMETOOLONG;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(name);
    return fd;
}

static int add_to_file(struct held *h, const char *data, size_t n)
{
    if (!h->file) {
        int fd = open_nameless();
        if (fd < 0)
            return fd;
        h->file = fd;
        files++;
    }
    while (n) {
        ssize_t w = pwrite(h->file, data, n, h->file_end);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return w < 0 ? -errno : -ENOSPC;
        h->file_end += w;
        data += w;
        n -= (size_t)w;
    }
    return 0;
}

static void grow(struct held *h, size_t need)
{
    size_t cap = h->cap ? h->cap : 256;
    while (cap < need)
        cap *= 2;
    memory += cap - h->cap;
    h->buf = xrealloc(h->buf, cap);
    h->cap = cap;
}

int held_add(struct held *h, const char *data, size_t n)
{
    size_t need = h->end + n;
    bool more = need > h->cap; // memory that it does not have yet
    if (h->file || need > JOB_LIMIT || (more && memory + need > ALL_LIMIT))
        return add_to_file(h, data, n);
    if (more)
        grow(h, need);
    memcpy(h->buf + h->end, data, n);
    h->end += n;
    return 0;
}

ssize_t held_peek(struct held *h, const char **data)
{
    static char piece[PIECE];
    if (h->start < h->end) {
        *data = h->buf + h->start;
        return (ssize_t)(h->end - h->start);
    }
    if (h->file_start == h->file_end)
        return 0;
    size_t n = (size_t)(h->file_end - h->file_start);
    ssize_t r;
    do
        r = pread(h->file, piece, n < PIECE ? n : PIECE, h->file_start);
    while (r < 0 && errno == EINTR);
    *data = piece;
    return r < 0 ? -errno : r == 0 ? -EIO : r;
}

static void close_file(struct held *h)
{
    if (h->file) {
        close(h->file);
        files--;
    }
    h->file = 0;
    h->file_start = h->file_end = 0;
}

void held_take(struct held *h, size_t n)
{
    if (h->start < h->end) {
        h->start += n;
        if (h->start == h->end)
            h->start = h->end = 0;
        return;
    }
    h->file_start += (off_t)n;
    if (h->file_start == h->file_end)
        close_file(h);
}

void held_free(struct held *h)
{
    memory -= h->cap;
    free(h->buf);
    close_file(h);
    *h = (struct held){0};
}
