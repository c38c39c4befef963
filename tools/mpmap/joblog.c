// SPDX-License-Identifier: MIT
//
// Each line goes out in one write(2), at the end of the file, which a lock (flock) makes
// ours alone. So after a kill -9 the file holds whole lines, and after a crash of the
// system at the most one torn line, the last.
#include "joblog.h"
#include "json.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <mp/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char header[] =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
static const char json_begin[] = "{\"seq\":";
enum {
    STARTED = -1,    // its Exitval and Signal
    LOCK_TRIES = 20, // 10 ms apart
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

// ---- opening ----------------------------------------------------------------------------

static int refuse(const struct joblog *l, const char *why)
{
    return usage_error("--joblog %s: %s", l->name, why);
}

static int refuse_unread(const struct joblog *l)
{
    if (errno == ENOMEM)
        out_of_memory();
    return refuse(l, "cannot be read");
}

// Whether what is in the file begins as a joblog does.
static bool is_joblog(const struct joblog *l)
{
    const char *begin = l->json ? json_begin : header;
    char head[sizeof header];
    size_t n = strlen(begin);
    return pread(l->fd, head, n, 0) == (ssize_t)n && !memcmp(head, begin, n);
}

// Takes out what comes after the last newline.
static int mend(struct joblog *l)
{
    char piece[4096];
    off_t end = l->end;
    while (end > 0) {
        size_t n = end < (off_t)sizeof piece ? (size_t)end : sizeof piece;
        if (pread(l->fd, piece, n, end - (off_t)n) != (ssize_t)n)
            return refuse(l, "cannot be read");
        char *newline = memrchr(piece, '\n', n);
        if (newline) {
            end += newline + 1 - (piece + n);
            break;
        }
        end -= (off_t)n;
    }
    if (end == l->end)
        return 0;
    say("%s: its last line is torn: left out, its job counts as not run", l->name);
    l->end = end;
    return ftruncate(l->fd, end) < 0 ? refuse(l, mp_strerror(-errno)) : 0;
}

static int put_line(struct joblog *l, const char *line, size_t len)
{
    ssize_t n;
    do
        n = pwrite(l->fd, line, len, l->end);
    while (n < 0 && errno == EINTR);
    int err = n == (ssize_t)len ? 0 : n < 0 ? -errno : -ENOSPC;
    if (err == 0)
        l->end += n;
    else if (ftruncate(l->fd, l->end) < 0)
        return -errno;
    return err;
}

static int begin_file(struct joblog *l, bool keep)
{
    if (l->end > 0 && !is_joblog(l))
        return refuse(l, "holds something else than a joblog: left as it is");
    int status = 0;
    if (keep)
        status = mend(l);
    else if (ftruncate(l->fd, 0) < 0)
        return refuse(l, mp_strerror(-errno));
    else
        l->end = 0;
    if (status == 0 && l->end == 0 && !l->json) {
        int err = put_line(l, header, sizeof header - 1);
        if (err) {
            say("--joblog %s: %s", l->name, mp_strerror(err));
            return EXIT_IO;
        }
    }
    return status;
}

// One that was killed may take a moment to be gone.
static int lock(int fd)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK)
            return -1;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return -1;
}

int joblog_open(struct joblog *l, const char *name, bool keep)
{
    struct stat st;
    *l = (struct joblog){.name = name,
                         .json = ends_with(name, ".json") || ends_with(name, ".jsonl")};
    l->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (l->fd < 0)
        return refuse(l, mp_strerror(-errno));
    if (fstat(l->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return refuse(l, "is not a file");
    if (lock(l->fd) < 0)
        return refuse(l,
                      errno == EWOULDBLOCK ? "another mpmap is writing it" : mp_strerror(-errno));
    l->end = st.st_size;
    if (fstat(l->fd, &st) == 0) // the other one may just have ended
        l->end = st.st_size;
    return begin_file(l, keep);
}

// ---- reading ----------------------------------------------------------------------------

static enum record_kind kind_of(long exitval, long sig)
{
    if (exitval == STARTED && sig == STARTED)
        return RECORD_STARTED;
    return exitval == 0 && sig == 0 ? RECORD_OK : RECORD_FAILED;
}

static bool parse_columns(char *line, struct record_read *rec)
{
    char *field[9], *end[3];
    for (int i = 0; i < 9; i++) {
        field[i] = line;
        line = i < 8 ? strchr(line, '\t') : NULL;
        if (i < 8 && !line)
            return false;
        if (line)
            *line++ = '\0';
    }
    rec->seq = strtol(field[0], &end[0], 10);
    long exitval = strtol(field[6], &end[1], 10), sig = strtol(field[7], &end[2], 10);
    rec->kind = kind_of(exitval, sig);
    rec->command = field[8];
    rec->key = key_of(field[8]);
    return rec->seq > 0 && !*end[0] && !*end[1] && !*end[2] && *field[6] && *field[7];
}

static long json_long(struct json_object *o, const char *name, long missing)
{
    struct json_object *v;
    return json_object_object_get_ex(o, name, &v) ? (long)json_object_get_int64(v) : missing;
}

// A member that is a text, or NULL.
static const char *json_text_of(struct json_object *o, const char *name)
{
    struct json_object *v;
    bool text = json_object_object_get_ex(o, name, &v) && json_object_is_type(v, json_type_string);
    return text ? json_object_get_string(v) : NULL;
}

// The command, or NULL if it has bytes that JSON cannot give back. Valid until the next.
static char *json_command(struct json_object *o, struct key key)
{
    static char *command;
    free(command);
    const char *text = json_text_of(o, "command");
    command = text ? xstrdup(text) : NULL;
    return command && key_compare(key_of(command), key) == 0 ? command : NULL;
}

static bool parse_json(const char *line, struct record_read *rec)
{
    errno = 0;
    struct json_object *o = json_tokener_parse(line);
    if (errno == ENOMEM) // json-c itself does not tell
        out_of_memory();
    const char *key = json_object_is_type(o, json_type_object) ? json_text_of(o, "key") : NULL;
    bool good = key && sscanf(key, "%16" SCNx64 "%16" SCNx64, &rec->key.a, &rec->key.b) == 2;
    if (good) {
        rec->seq = json_long(o, "seq", 0);
        rec->kind = kind_of(json_long(o, "exit", STARTED), json_long(o, "signal", STARTED));
        rec->command = json_command(o, rec->key);
    }
    json_object_put(o);
    return good && rec->seq > 0;
}

int joblog_read(struct joblog *l, void (*fn)(void *arg, struct record_read *rec), void *arg)
{
    int copy = dup(l->fd);
    FILE *f = copy < 0 ? NULL : fdopen(copy, "r");
    if (!f)
        return refuse_unread(l);
    rewind(f);
    char *line = NULL;
    size_t cap = 0;
    long number = 0, bad = 0;
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0;) {
        struct record_read rec = {.kind = RECORD_NONE};
        line[n - 1] = '\0'; // mend() has seen that there is a newline
        if (++number == 1 && !l->json)
            continue;
        if (strlen(line) == (size_t)n - 1 &&
            (l->json ? parse_json(line, &rec) : parse_columns(line, &rec)))
            fn(arg, &rec);
        else if (bad++ == 0)
            say("%s: line %ld is damaged: its job counts as not run", l->name, number);
    }
    int status = feof(f) ? 0 : refuse_unread(l);
    free(line);
    fclose(f);
    return status;
}

// ---- writing ----------------------------------------------------------------------------

static void put_columns(FILE *f, const struct job *j, bool ended)
{
    int code = !ended ? STARTED : j->code < 0 ? 0 : j->code;
    int sig = !ended ? STARTED : j->code < 0 ? -j->code : 0;
    fprintf(f, "%ld\t:\t%.3f\t%10.3f\t%ld\t%ld\t%d\t%d\t%s\n", j->log_seq, j->began, j->runtime, 0L,
            j->received, code, sig, j->command);
}

static void put_json(FILE *f, const struct job *j, bool ended)
{
    struct key key = key_of(j->command);
    fprintf(f, "%s%ld,\"key\":\"%016" PRIx64 "%016" PRIx64 "\",\"start\":%.3f", json_begin,
            j->log_seq, key.a, key.b, j->began);
    if (ended) {
        fputc(',', f);
        job_json(f, j);
    }
    fputs(",\"command\":", f);
    json_string(f, j->command, strlen(j->command));
    fputs("}\n", f);
}

static int put_job(struct joblog *l, const struct job *j, bool ended)
{
    static char *line; // stays
    static size_t size;
    static FILE *f;
    if (!f)
        f = open_memstream(&line, &size);
    if (!f)
        return -ENOMEM;
    rewind(f);
    if (l->json)
        put_json(f, j, ended);
    else
        put_columns(f, j, ended);
    return fflush(f) || ferror(f) ? -ENOMEM : put_line(l, line, size);
}

int joblog_started(struct joblog *l, const struct job *j)
{
    int err = put_job(l, j, false);
    return err == 0 && fdatasync(l->fd) < 0 ? -errno : err;
}

int joblog_ended(struct joblog *l, const struct job *j)
{
    return put_job(l, j, true);
}

void joblog_close(struct joblog *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
