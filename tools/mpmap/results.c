// SPDX-License-Identifier: MIT
#include "results.h"
#include "job.h"
#include "json.h"
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

struct results {
    int dir, fd[STREAMS];
    int err; // the first
};

bool results_is_file(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcmp(dot, ".json") || !strcmp(dot, ".jsonl"));
}

// ---- directories ------------------------------------------------------------------------

// A file name for an argument: no two have the same.
static void name_of(const char *arg, size_t len, char name[NAME_MAX + 1])
{
    size_t at = 0;
    for (size_t i = 0; i < len && at < NAME_MAX - 20; i++)
        if (arg[i] == '/' || arg[i] == '\\') {
            name[at++] = '\\';
            name[at++] = arg[i] == '/' ? '_' : '\\';
        } else {
            name[at++] = arg[i];
        }
    name[at] = '\0';
    if (len == 0)
        strcpy(name, "\\e");
    else if (at >= NAME_MAX - 20)
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

static int make_dirs(const char *dir, const struct item *item, char *path, size_t size)
{
    char name[NAME_MAX + 1];
    *path = '\0';
    int fd = enter(AT_FDCWD, dir, path, size);
    for (int i = 0; i < item->args_len && fd >= 0; i++) {
        size_t len;
        const char *arg = item_arg(item, i, &len);
        snprintf(name, sizeof name, "%d", i + 1);
        fd = enter(fd, name, path, size);
        name_of(arg, len, name);
        if (fd >= 0)
            fd = enter(fd, name, path, size);
    }
    return fd;
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

int results_open(struct results **out, const char *dir, const struct item *item, long seq,
                 char *path, size_t size)
{
    char text[24];
    int fd = make_dirs(dir, item, path, size);
    if (fd < 0)
        return fd;
    struct results *r = *out = xrealloc(NULL, sizeof *r);
    *r = (struct results){.dir = fd};
    r->fd[OUT] = make_file(fd, "stdout");
    r->fd[ERR] = make_file(fd, "stderr");
    snprintf(text, sizeof text, "%ld\n", seq);
    r->err = put_file(fd, "seq", text, strlen(text));
    for (int i = 0; i < STREAMS; i++)
        if (r->fd[i] < 0)
            r->err = r->fd[i];
    return r->err;
}

void results_add(struct results *r, int stream, const char *data, size_t n)
{
    if (r->err == 0)
        r->err = put(r->fd[stream], data, n);
}

int results_end(struct results *r, const struct job *j)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return -ENOMEM;
    fprintf(f, "{\"seq\":%ld,\"start\":%.3f,", j->seq, j->began);
    job_json(f, j);
    fputs(",\"command\":", f);
    json_string(f, j->command, strlen(j->command));
    fputs("}\n", f);
    int err = fclose(f) ? -ENOMEM : r->err;
    if (err == 0)
        err = put_file(r->dir, "job.json", text, len);
    free(text);
    return err;
}

void results_free(struct results *r)
{
    if (!r)
        return;
    for (int i = 0; i < STREAMS; i++)
        if (r->fd[i] >= 0)
            close(r->fd[i]);
    close(r->dir);
    free(r);
}

// ---- lines ------------------------------------------------------------------------------

// How many bytes at the end of the text begin a character that goes on.
static size_t begun(const char *s, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)s[len - back];
        if (c < 0x80)
            return 0;
        if (c >= 0xc0)
            return (c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2) > back ? back : 0;
    }
    return 0;
}

static int put_stream(FILE *f, const char *name, struct held *h)
{
    enum { PIECE = 64 * 1024 };
    static char piece[PIECE + 4];
    const char *data;
    size_t kept = 0; // of a character
    ssize_t n;
    fprintf(f, ",\"%s\":\"", name);
    while ((n = held_peek(h, &data)) > 0) {
        size_t len = n < PIECE ? (size_t)n : PIECE;
        memcpy(piece + kept, data, len);
        held_take(h, len);
        len += kept;
        kept = held_is_empty(h) ? 0 : begun(piece, len);
        json_text(f, piece, len - kept);
        memmove(piece, piece + len - kept, kept);
    }
    fputc('"', f);
    return (int)n;
}

int results_put_line(FILE *f, struct job *j)
{
    fprintf(f, "{\"seq\":%ld,\"start\":%.3f,", j->seq, j->began);
    job_json(f, j);
    fputs(",\"command\":", f);
    json_string(f, j->command, strlen(j->command));
    fputs(",\"args\":[", f);
    for (int i = 0; j->kept && i < j->kept->item.args_len; i++) {
        size_t len;
        const char *arg = item_arg(&j->kept->item, i, &len);
        if (i)
            putc(',', f);
        json_string(f, arg, len);
    }
    putc(']', f);
    int err = put_stream(f, "stdout", &j->stream[OUT].held);
    int err2 = put_stream(f, "stderr", &j->stream[ERR].held);
    fputs("}\n", f);
    if (fflush(f))
        return -errno;
    return err ? err : err2;
}
