// SPDX-License-Identifier: MIT
//
// Generations. Generation n is snapshot.n, which log.n continues; log.0 has no snapshot before
// it. A snapshot begins with the next log: what is done from then on goes there, while the
// snapshot is written under another name. When it is complete it gets its own, and older files
// go. Killed anywhere in between, the newest snapshot that is there and all logs from its
// generation on are the whole story.
//
// A snapshot is complete when it has its name, and ends with an empty record.
#include "persist/persist.h"

#include "persist/records.h"
#include "persist/syncer.h"
#include "wire/buf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECOND   INT64_C(1000000000)
#define WRITE_AT (1 << 20) // bytes that are not kept for a commit

struct mp__persist {
    struct mp__persist_opts opts;
    int dir, lock, log;  // descriptors; log -1: none yet
    uint32_t generation; // of the log
    uint64_t log_size;
    mp_buf pending;               // records to be written
    bool unsynced;                // written, and neither on disk nor on its way there
    bool syncing;                 // what was written before that is on its way, by the
    struct mp__syncer *syncer;    // ... which is made when it is needed
    bool snapshot;                // one is on its way
    int64_t synced;               // when
    int failed;                   // the first error: it stays
    struct mp__core_hooks server; // its own hooks
    mp_buf held;                  // answers: struct held, bytes
};

struct held {
    void *user;
    size_t size;
};

static void warn(struct mp__persist *p, const char *format, ...) MP_PRINTF(2, 3);
static void warn(struct mp__persist *p, const char *format, ...)
{
    char text[256];
    va_list args;
    if (!p->opts.warn)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    p->opts.warn(p->opts.ctx, text);
}

static int fail(struct mp__persist *p, int err)
{
    if (!p->failed)
        p->failed = err;
    return p->failed;
}

// ---- the directory -------------------------------------------------------------------

static int check_dir(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    return st.st_uid == geteuid() && !(st.st_mode & 022) ? 0 : MP_EUNSAFE;
}

static int take_lock(struct mp__persist *p)
{
    p->lock = openat(p->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->lock < 0)
        return -errno;
    if (flock(p->lock, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? MP_ESTATE : -errno;
    return 0;
}

int mp__persist_open(struct mp__persist **out, const struct mp__persist_opts *opts)
{
    *out = NULL;
    if (!opts || !opts->dir)
        return MP_EINVAL;
    struct mp__persist *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->opts = *opts;
    p->lock = p->log = -1;
    p->dir = open(opts->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = p->dir < 0 ? -errno : check_dir(p->dir);
    if (r == 0)
        r = take_lock(p);
    if (r < 0) {
        p->failed = r;
        mp__persist_close(p);
        return r;
    }
    *out = p;
    return 0;
}

static void file_name(char name[32], const char *kind, uint32_t generation)
{
    snprintf(name, 32, "%s.%u", kind, generation);
}

// The generation of a file's name, if it is of that kind.
static bool is_generation(const char *name, const char *kind, uint32_t *generation)
{
    char again[32];
    size_t n = strlen(kind);
    if (strncmp(name, kind, n) != 0 || name[n] != '.')
        return false;
    *generation = (uint32_t)strtoul(name + n + 1, NULL, 10);
    file_name(again, kind, *generation);
    return strcmp(again, name) == 0;
}

// Calls fn for each file of that kind.
static int each_file(struct mp__persist *p, const char *kind,
                     void (*fn)(struct mp__persist *p, const char *name, uint32_t generation,
                                void *arg),
                     void *arg)
{
    uint32_t generation;
    int fd = openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    for (struct dirent *e; (e = readdir(d));)
        if (is_generation(e->d_name, kind, &generation))
            fn(p, e->d_name, generation, arg);
    closedir(d);
    return 0;
}

static void newest(struct mp__persist *p, const char *name, uint32_t generation, void *arg)
{
    int64_t *most = arg;
    (void)p;
    (void)name;
    *most = generation > *most ? generation : *most;
}

static void remove_older(struct mp__persist *p, const char *name, uint32_t generation, void *arg)
{
    if (generation < *(uint32_t *)arg)
        unlinkat(p->dir, name, 0);
}

// A log of its own generation, empty, and there after a crash.
static int begin_log(struct mp__persist *p, uint32_t generation)
{
    char name[32];
    uint8_t head[MP__FILE_HEAD];
    file_name(name, "log", generation);
    int fd = openat(p->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    mp__file_head(head, generation);
    int r = mp__file_write(fd, head, sizeof head);
    if (r == 0 && (fdatasync(fd) < 0 || fsync(p->dir) < 0))
        r = -errno;
    if (r < 0) {
        close(fd);
        unlinkat(p->dir, name, 0);
        return r;
    }
    if (p->log >= 0)
        close(p->log);
    p->log = fd;
    p->generation = generation;
    p->log_size = sizeof head;
    return 0;
}

// ---- loading -------------------------------------------------------------------------

static bool all_zero(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i])
            return false;
    return true;
}

// Whether what is wrong at that place is a write that was interrupted: it is the end.
static bool is_tail(const uint8_t *data, size_t size, int64_t r)
{
    if (r == 0)
        return true; // reaches beyond the end
    size_t length = 0;
    for (int i = 0; i < 4; i++)
        length = length << 8 | data[i];
    return MP__RECORD_HEAD + length == size || all_zero(data, size);
}

// All records of a file. *end is where the last good one ends.
static int replay(struct mp__core *c, const mp_buf *b, bool may_be_cut, size_t *end)
{
    const uint8_t *data = b->data, *payload;
    size_t length;
    for (*end = MP__FILE_HEAD; *end < b->size;) {
        int64_t r = mp__record_read(data + *end, b->size - *end, &payload, &length);
        if (r <= 0)
            return may_be_cut && is_tail(data + *end, b->size - *end, r) ? 0 : MP_EFORMAT;
        int err = length ? mp__core_replay(c, payload, length) : 0;
        if (err < 0)
            return err;
        *end += (size_t)r;
    }
    return 0;
}

static int load_snapshot(struct mp__persist *p, struct mp__core *c, uint32_t generation)
{
    char name[32];
    mp_buf b = {0};
    size_t end = 0;
    file_name(name, "snapshot", generation);
    int r = mp__file_read(p->dir, name, &b);
    if (r == 0)
        r = mp__file_head_check(b.data, b.size, generation);
    if (r == 0)
        r = replay(c, &b, false, &end);
    if (r == 0 && !(b.size >= MP__FILE_HEAD + MP__RECORD_HEAD &&
                    all_zero((uint8_t *)b.data + b.size - MP__RECORD_HEAD, 4)))
        r = MP_EFORMAT; // the empty record is missing
    if (r < 0)
        warn(p, "%s: %s", name, mp_strerror(r));
    mp_buf_free(&b);
    return r;
}

// Cuts the log after its last good record, and goes on there.
static int continue_log(struct mp__persist *p, const char *name, uint32_t generation, size_t size,
                        size_t end)
{
    int fd = openat(p->dir, name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    if (end < size) {
        warn(p, "%s: the last %zu bytes are cut off: a record that was not written whole", name,
             size - end);
        if (ftruncate(fd, (off_t)end) < 0 || fdatasync(fd) < 0) {
            int r = -errno;
            close(fd);
            return r;
        }
    }
    p->log = fd;
    p->generation = generation;
    p->log_size = end;
    return 0;
}

static int load_log(struct mp__persist *p, struct mp__core *c, uint32_t generation, bool last)
{
    char name[32];
    mp_buf b = {0};
    size_t end = 0;
    file_name(name, "log", generation);
    int r = mp__file_read(p->dir, name, &b);
    if (r == 0 && last && b.size < MP__FILE_HEAD) { // killed when it was made
        unlinkat(p->dir, name, 0);
        mp_buf_free(&b);
        return begin_log(p, generation);
    }
    if (r == 0)
        r = mp__file_head_check(b.data, b.size, generation);
    if (r == 0)
        r = replay(c, &b, last, &end);
    if (r < 0)
        warn(p, "%s: byte %zu: %s", name, end, mp_strerror(r));
    else if (last)
        r = continue_log(p, name, generation, b.size, end);
    mp_buf_free(&b);
    return r;
}

int mp__persist_load(struct mp__persist *p, struct mp__core *c)
{
    int64_t snapshot = -1, log = -1;
    int r = each_file(p, "snapshot", newest, &snapshot);
    if (r == 0)
        r = each_file(p, "log", newest, &log);
    if (r == 0 && snapshot >= 0)
        r = load_snapshot(p, c, (uint32_t)snapshot);
    uint32_t first = snapshot >= 0 ? (uint32_t)snapshot : 0;
    if (r == 0 && log < (int64_t)first)
        return begin_log(p, first);
    for (int64_t g = first; g <= log && r == 0; g++)
        r = load_log(p, c, (uint32_t)g, g == log);
    return r;
}

// ---- recording -----------------------------------------------------------------------

static int write_pending(struct mp__persist *p)
{
    if (p->pending.size == 0 || p->failed)
        return p->failed;
    int r = p->log < 0 ? MP_ESTATE : mp__file_write(p->log, p->pending.data, p->pending.size);
    if (r < 0) {
        warn(p, "the log cannot be written: %s", mp_strerror(r));
        return fail(p, r);
    }
    p->log_size += p->pending.size;
    p->unsynced = true;
    mp_buf_clear(&p->pending);
    return 0;
}

static void record(void *ctx, const void *data, size_t size)
{
    struct mp__persist *p = ctx;
    int r = data ? mp__record_put(&p->pending, data, size) : -ENOMEM;
    if (r < 0)
        fail(p, r);
    else if (p->pending.size >= WRITE_AT)
        write_pending(p);
}

static int control(void *ctx, void *user, const struct mp__control *c, mp_buf *result)
{
    struct mp__persist *p = ctx;
    return p->server.control(p->server.ctx, user, c, result);
}

static void send(void *ctx, void *user, const void *data, size_t size)
{
    struct mp__persist *p = ctx;
    struct held head = {user, size};
    bool hold = p->opts.fsync == MP__FSYNC_ALWAYS &&
                (p->pending.size > 0 || p->unsynced || p->held.size > 0 || p->failed);
    if (!hold) {
        p->server.send(p->server.ctx, user, data, size);
        return;
    }
    size_t before = p->held.size;
    if (mp__buf_append(&p->held, &head, sizeof head) < 0 ||
        mp__buf_append(&p->held, data, size) < 0) {
        p->held.size = before;
        fail(p, -ENOMEM);
    }
}

static void let_go(struct mp__persist *p)
{
    struct held head;
    for (size_t at = 0; at < p->held.size; at += head.size) {
        memcpy(&head, (char *)p->held.data + at, sizeof head);
        at += sizeof head;
        p->server.send(p->server.ctx, head.user, (char *)p->held.data + at, head.size);
    }
    mp_buf_clear(&p->held);
}

static int sync_log(struct mp__persist *p, int64_t now)
{
    if (fdatasync(p->log) < 0) {
        int r = -errno;
        warn(p, "the log cannot be synced: %s", mp_strerror(r));
        return fail(p, r); // what is on disk now nobody knows
    }
    p->unsynced = false;
    p->synced = now;
    return 0;
}

// Another thread does it. One that takes longer than a second is let finish before the next
// begins.
static int sync_beside(struct mp__persist *p, int64_t now)
{
    if (now - p->synced < SECOND)
        return 0;
    int r = p->syncer ? mp__syncer_busy(p->syncer) : mp__syncer_new(&p->syncer);
    p->syncing = r > 0;
    p->synced = now;
    if (r == 0 && p->unsynced) {
        r = mp__syncer_begin(p->syncer, p->log);
        p->syncing = r == 0;
        p->unsynced = r < 0;
    }
    if (r >= 0)
        return 0;
    warn(p, "the log cannot be synced: %s", mp_strerror(r));
    return fail(p, r);
}

int mp__persist_commit(struct mp__persist *p, int64_t now)
{
    int r = write_pending(p);
    if (r == 0 && p->unsynced && p->opts.fsync == MP__FSYNC_ALWAYS)
        r = sync_log(p, now);
    if (r == 0 && p->opts.fsync == MP__FSYNC_EVERYSEC && (p->unsynced || p->syncing))
        r = sync_beside(p, now);
    if (r == 0)
        let_go(p);
    return r;
}

int64_t mp__persist_deadline(const struct mp__persist *p)
{
    if (p->pending.size > 0 || p->held.size > 0)
        return 0;
    bool later = p->opts.fsync == MP__FSYNC_EVERYSEC && (p->unsynced || p->syncing);
    return later ? p->synced + SECOND : INT64_MAX;
}

uint64_t mp__persist_log_size(const struct mp__persist *p)
{
    return p->log_size + p->pending.size;
}

// ---- snapshots -----------------------------------------------------------------------

struct writing {
    int fd;
    mp_buf b;
};

static int write_record(void *ctx, const void *data, size_t size)
{
    struct writing *w = ctx;
    int r = mp__record_put(&w->b, data, size);
    if (r < 0 || w->b.size < WRITE_AT)
        return r;
    r = mp__file_write(w->fd, w->b.data, w->b.size);
    mp_buf_clear(&w->b);
    return r;
}

static int write_snapshot(int fd, uint32_t generation, struct mp__core *c)
{
    struct writing w = {.fd = fd};
    uint8_t head[MP__FILE_HEAD];
    mp__file_head(head, generation);
    int r = mp__file_write(fd, head, sizeof head);
    if (r == 0)
        r = mp__core_save(c, write_record, &w);
    if (r == 0)
        r = mp__record_put(&w.b, "", 0);
    if (r == 0)
        r = mp__file_write(fd, w.b.data, w.b.size);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    mp_buf_free(&w.b);
    return r;
}

// The next log begins, and a file for the snapshot: its descriptor.
static int begin_snapshot(struct mp__persist *p)
{
    if (p->snapshot)
        return MP_ESTATE;
    int r = write_pending(p);
    if (r == 0 && (p->unsynced || p->syncing)) // what is in the next log is not to be there first
        r = sync_log(p, p->synced);
    if (r == 0)
        r = begin_log(p, p->generation + 1);
    if (r < 0)
        return r;
    unlinkat(p->dir, "snapshot.new", 0);
    int fd = openat(p->dir, "snapshot.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    p->snapshot = fd >= 0;
    return fd < 0 ? -errno : fd;
}

int mp__persist_snapshot_end(struct mp__persist *p, bool done)
{
    char name[32];
    if (!p->snapshot)
        return MP_ESTATE;
    p->snapshot = false;
    if (!done) {
        unlinkat(p->dir, "snapshot.new", 0);
        return 0;
    }
    file_name(name, "snapshot", p->generation);
    if (renameat(p->dir, "snapshot.new", p->dir, name) < 0 || fsync(p->dir) < 0)
        return -errno;
    each_file(p, "snapshot", remove_older, &p->generation);
    return each_file(p, "log", remove_older, &p->generation);
}

int mp__persist_snapshot(struct mp__persist *p, struct mp__core *c)
{
    int fd = begin_snapshot(p);
    if (fd < 0)
        return fd;
    int r = write_snapshot(fd, p->generation, c);
    close(fd);
    int end = mp__persist_snapshot_end(p, r == 0);
    return r < 0 ? r : end;
}

// The child keeps nothing open: who waits for the manager's end must not wait for the child's.
static _Noreturn void snapshot_child(int fd, uint32_t generation, struct mp__core *c, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    if (fd != 3 && dup2(fd, 3) < 0)
        _exit(1);
    syscall(SYS_close_range, 4u, ~0u, 0u);
    _exit(write_snapshot(3, generation, c) < 0);
}

pid_t mp__persist_snapshot_begin(struct mp__persist *p, struct mp__core *c)
{
    int fd = begin_snapshot(p);
    if (fd < 0)
        return fd;
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        snapshot_child(fd, p->generation, c, parent);
    int r = child < 0 ? -errno : 0;
    close(fd);
    if (r < 0)
        mp__persist_snapshot_end(p, false);
    return r < 0 ? r : child;
}

// ---- the ends ------------------------------------------------------------------------

void mp__persist_hooks(struct mp__persist *p, struct mp__core_hooks *hooks)
{
    p->server = *hooks;
    *hooks = (struct mp__core_hooks){
        .ctx = p, .send = send, .control = p->server.control ? control : NULL, .record = record};
}

void mp__persist_close(struct mp__persist *p)
{
    if (!p)
        return;
    mp__syncer_free(p->syncer);
    if (!p->failed) {
        write_pending(p);
        if (p->unsynced)
            fdatasync(p->log);
    }
    if (p->log >= 0)
        close(p->log);
    if (p->lock >= 0)
        close(p->lock);
    if (p->dir >= 0)
        close(p->dir);
    mp_buf_free(&p->pending);
    mp_buf_free(&p->held);
    free(p);
}
