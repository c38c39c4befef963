// SPDX-License-Identifier: MIT
//
// The records are read in batches into shared memory; a batch is cut at record
// ends into ranges (range.c), many more than workers, and the pool maps the function
// over them: one task is some thousand records, and no byte is copied on the way.
// What a crash has left of a range is run again.
//
// The size of a batch follows the function: about BATCH_MS of work, so that a
// slow one shows its results soon and a fast one is not held up by the turns.
#include "plugin.h"
#include "range.h"
#include "reader.h"
#include "say.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <mp/cpu.h>
#include <mp/pool.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_MIN = 64 * 1024,
    BATCH_MAX = 4 * 1024 * 1024,
    BATCH_MS = 100,
    RANGES = 16,      // a worker and batch
    RANGE_MAX = 1024, // so many in all
    RANGE_BYTES = 512,
};

static struct setup *const setup = &range_setup;

struct plugin {
    void *lib;
    mp_pool *pool;
    int workers;
    struct reader input;
    char *buf; // in the arena; [0, have) was read, [0, cut) are whole records
    size_t have, cut, cap, target;
    bool ended;
    struct range *ranges;
    int ranges_max, ranges_len;
    int *status;
    size_t records, failed, told;
    bool cut_off; // the input ends within a value
};

// ---- reading ----------------------------------------------------------------------------

static int arena_room(struct plugin *p, size_t cap)
{
    void *buf;
    int err = mp_arena_alloc(setup->arena, &buf, cap + 1, 1); // one for the last separator
    if (err)
        return err;
    if (p->have)
        memcpy(buf, p->buf, p->have);
    mp_arena_free(setup->arena, p->buf);
    p->buf = buf;
    p->cap = cap;
    return 0;
}

static bool is_ready(int fd)
{
    struct pollfd f = {.fd = fd, .events = POLLIN};
    return poll(&f, 1, 0) > 0;
}

static int bad_records(const struct plugin *p)
{
    say("%s: not msgpack, after record %zu", p->input.name, p->records);
    return -EBADMSG;
}

// What is left at the end: a line without its separator, a fixed record that is short,
// which the function sees by its length, or half a value.
static int end_last(struct plugin *p)
{
    if (setup->records.kind == MSGPACK) {
        p->cut_off = true;
        return 0;
    }
    if (setup->records.kind == LINES)
        p->buf[p->have++] = setup->records.separator;
    p->cut = p->have;
    return 0;
}

// Reads a batch: what there is, up to the target, but at least one record. 0 with
// cut = 0 at the end, -errno.
static int read_batch(struct plugin *p)
{
    int fd = p->input.fd;
    p->cut = 0;
    while (!p->ended && (p->cut == 0 || (p->have < p->target && is_ready(fd)))) {
        if (p->have + p->target / 2 > p->cap) {
            size_t room = p->have + p->target;
            int err = arena_room(p, room > 2 * p->cap ? room : 2 * p->cap);
            if (err)
                return err;
        }
        poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1); // it may be non-blocking
        size_t room = p->cap - p->have; // after a long record more than a batch is to have
        ssize_t n = read(fd, p->buf + p->have, room < p->target ? room : p->target);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return -errno;
        p->ended = n == 0;
        size_t scanned = p->have;
        p->have += (size_t)n;
        size_t cut = records_cut(&setup->records, p->buf, p->cut, scanned, p->have);
        if (cut == RECORDS_BAD)
            return bad_records(p);
        p->cut = cut;
    }
    return p->ended && p->have > p->cut ? end_last(p) : 0;
}

static void cut_into_ranges(struct plugin *p)
{
    size_t size = p->cut / (size_t)p->ranges_max + 1;
    if (size < RANGE_BYTES)
        size = RANGE_BYTES;
    p->ranges_len = 0;
    for (size_t at = 0; at < p->cut;) {
        struct range *r = &p->ranges[p->ranges_len++];
        size_t end = at + size;
        if (end >= p->cut || p->ranges_len == p->ranges_max)
            end = p->cut;
        else
            end = records_boundary(&setup->records, p->buf, at, end, p->cut);
        *r = (struct range){
            .data = p->buf + at, .len = end - at, .out = r->out, .out_cap = r->out_cap};
        at = end;
    }
}

// ---- results ----------------------------------------------------------------------------

static void tell(struct plugin *p, const struct range *r, const struct failure *f)
{
    char label[SHOWN], what[256];
    if (p->told++ >= FAILURES)
        return;
    if (f->crash)
        snprintf(what, sizeof what, "the function crashed: %s",
                 f->cause ? f->cause : "its worker died");
    else
        snprintf(what, sizeof what, "the function returned %d", f->code);
    const char *text = r->data + f->pos;
    say("record %zu (%s): %s", p->records + f->record + 1,
        show(label, sizeof label, text, strnlen(text, r->len - f->pos)), what);
}

// Of all ranges in turn, since the number of a record counts those before its range.
static void tell_failures(struct plugin *p)
{
    for (int i = 0; i < p->ranges_len; i++) {
        struct range *r = &p->ranges[i];
        const struct progress *done = range_progress(r);
        for (size_t k = 0; k < done->failed && k < FAILURES; k++) {
            tell(p, r, &r->failure[k]);
            free(r->failure[k].cause);
        }
        p->failed += done->failed;
        p->records += done->record;
    }
}

// Writes all of iov, which it changes. 0 or -errno.
static int write_all(struct iovec *iov, int n)
{
    while (n > 0) {
        ssize_t w = writev(STDOUT_FILENO, iov, n < IOV_MAX ? n : IOV_MAX);
        if (w < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, -1);
        else if (w < 0 && errno != EINTR)
            return -errno;
        for (; n > 0 && w >= 0 && (size_t)w >= iov->iov_len; n--) // also those of 0 bytes
            w -= (ssize_t)iov++->iov_len;
        if (n > 0 && w > 0) {
            iov->iov_base = (char *)iov->iov_base + w;
            iov->iov_len -= (size_t)w;
        }
    }
    return 0;
}

static int write_batch(struct plugin *p)
{
    struct iovec iov[RANGE_MAX];
    int n = 0;
    tell_failures(p);
    for (int i = 0; i < p->ranges_len; i++) {
        const struct range *r = &p->ranges[i];
        if (range_progress(r)->out_len)
            iov[n++] = (struct iovec){r->out, range_progress(r)->out_len};
    }
    int err = write_all(iov, n);
    if (err)
        say("standard output: %s", mp_strerror(err));
    return err ? EXIT_IO : 0;
}

// ---- the pool ---------------------------------------------------------------------------

// How the worker of a range ended, if that is what the pool's text is about: it tells
// one death, "item 3 of 32: worker 70 was killed by signal 6 (Aborted); ...".
static char *cause(struct plugin *p, int range)
{
    int item, begin = 0;
    const char *text = mp_pool_error(p->pool);
    if (sscanf(text, "item %d of %*d: %n", &item, &begin) < 1 || !begin || item != range)
        return NULL;
    size_t len = strcspn(text + begin, ";");
    char *copy = xrealloc(NULL, len + 1);
    memcpy(copy, text + begin, len);
    copy[len] = '\0';
    return copy;
}

// Steps over the records at which the function took its worker with it.
static void skip_crashes(struct plugin *p)
{
    for (int i = 0; i < p->ranges_len; i++) {
        struct range *r = &p->ranges[i];
        struct progress now = *range_progress(r);
        if (p->status[i] != MP_EWORKERDIED || now.pos >= r->len)
            continue;
        if (r->next <= now.pos) { // killed before it began: so its end is still there
            r->next =
                now.pos + range_record_len(&setup->records, r->data + now.pos, r->len - now.pos);
            if (setup->records.kind == LINES)
                r->data[r->next - 1] = '\0';
        }
        bool wanted = now.failed < FAILURES;
        range_add_failure(r, &now,
                          (struct failure){.crash = true, .cause = wanted ? cause(p, i) : NULL});
        now.record++;
        now.pos = r->next;
        range_publish(r, &now);
    }
}

static int map_batch(struct plugin *p)
{
    for (;;) {
        int err = mp_pool_map(p->pool, range_work, p->ranges, sizeof *p->ranges, NULL, 0,
                              (size_t)p->ranges_len, NULL,
                              &(mp_map_opts){.chunk = 1, .status = p->status});
        if (err == 0)
            return 0;
        if (err != MP_EWORKERDIED) {
            tell_failures(p);
            if (err == MP_EBROKEN && setup->init)
                say("the function's init did not return 0, or crashed, in a worker");
            else
                say("the pool failed: %s", mp_strerror(err));
            return EXIT_IO;
        }
        skip_crashes(p);
    }
}

static int start_pool(struct plugin *p)
{
    void *ranges;
    p->ranges_max = p->workers < RANGE_MAX / RANGES ? p->workers * RANGES : RANGE_MAX;
    p->status = xrealloc(NULL, (size_t)p->ranges_max * sizeof *p->status);
    int err = mp_arena_alloc(setup->arena, &ranges, (size_t)p->ranges_max, sizeof *p->ranges);
    if (err == 0) {
        memset(ranges, 0, (size_t)p->ranges_max * sizeof *p->ranges);
        p->ranges = ranges;
        err = mp_pool_new(&p->pool, &(mp_pool_opts){.workers = p->workers,
                                                    .name = "mpmap",
                                                    .init = setup->init ? range_start_worker : NULL,
                                                    .init_arg = NULL});
    }
    if (err)
        say("cannot start the pool: %s", mp_strerror(err));
    return err ? EXIT_IO : 0;
}

static void adapt(struct plugin *p, const struct timespec *begin)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    long ms = (end.tv_sec - begin->tv_sec) * 1000 + (end.tv_nsec - begin->tv_nsec) / 1000000;
    if (ms > 2L * BATCH_MS && p->target > BATCH_MIN)
        p->target /= 2;
    else if (ms < BATCH_MS / 2 && p->target < BATCH_MAX)
        p->target *= 2;
}

static int run_batch(struct plugin *p)
{
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    int status = p->pool ? 0 : start_pool(p);
    if (status)
        return status;
    cut_into_ranges(p);
    status = map_batch(p);
    if (status == 0)
        status = write_batch(p);
    memmove(p->buf, p->buf + p->cut, p->have - p->cut);
    p->have -= p->cut;
    adapt(p, &begin);
    return status;
}

static int run_all(struct plugin *p)
{
    for (;;) {
        int err = read_batch(p);
        if (err == -EBADMSG)
            return EXIT_IO;
        if (err) {
            say("%s: %s: the rest of the records is not known", p->input.name, mp_strerror(err));
            return EXIT_IO;
        }
        if (p->cut == 0)
            break;
        int status = run_batch(p);
        if (status)
            return status;
    }
    if (p->failed > FAILURES)
        say("%zu records failed in all", p->failed);
    if (p->cut_off) {
        say("%s: ends within a value, after record %zu", p->input.name, p->records);
        return EXIT_IO;
    }
    return p->failed > 100 ? EXIT_MANY : (int)p->failed;
}

// ---- setting up -------------------------------------------------------------------------

// Opens LIB:FUNCTION. A name without a slash is a file here, if there is one, else
// looked for where the system has its libraries.
static int open_function(struct plugin *p, const char *so)
{
    char path[PATH_MAX];
    const char *colon = strrchr(so, ':');
    if (!colon || colon == so || !colon[1])
        return usage_error("--so %s: not of the form LIB:FUNCTION, as in ./lib.so:count", so);
    int len = (int)(colon - so);
    bool slash = memchr(so, '/', (size_t)len) != NULL;
    int n = snprintf(path, sizeof path, "./%.*s", len, so);
    if (n < 0 || (size_t)n >= sizeof path)
        return usage_error("--so: %s", mp_strerror(-ENAMETOOLONG));
    p->lib = dlopen(slash || access(path, F_OK) < 0 ? path + 2 : path, RTLD_NOW | RTLD_LOCAL);
    if (!p->lib)
        return usage_error("--so: %s", dlerror());
    void *symbol = dlsym(p->lib, colon + 1);
    if (!symbol)
        return usage_error("--so: %.*s has no function %s: nm -D shows what it has", len, so,
                           colon + 1);
    memcpy(&setup->function, &symbol, sizeof setup->function);
    snprintf(path, sizeof path, "%s_init", colon + 1);
    symbol = dlsym(p->lib, path);
    memcpy(&setup->init, &symbol, sizeof setup->init);
    return 0;
}

// The items of ":::" as a file, each ended by NUL, since they may hold newlines.
static int list_as_file(struct reader *in)
{
    in->name = ":::";
    in->fd = memfd_create("mpmap-items", MFD_CLOEXEC);
    FILE *f = in->fd < 0 ? NULL : fdopen(dup(in->fd), "w");
    if (!f)
        return -errno;
    for (int i = 0; i < in->words_left; i++)
        fwrite(in->words[i], 1, strlen(in->words[i]) + 1, f);
    int err = fflush(f) || ferror(f) ? -ENOSPC : 0;
    fclose(f);
    lseek(in->fd, 0, SEEK_SET);
    return err;
}

static int open_all(struct plugin *p, const struct args *a)
{
    bool list = a->sources && !a->sources->file;
    int status = records_init(&setup->records, a->records, list || a->null ? '\0' : '\n');
    if (status < 0)
        status = open_function(p, a->so);
    if (status == 0)
        status = reader_open(&p->input, a->sources);
    if (status)
        return status;
    int err = list ? list_as_file(&p->input) : 0;
    if (err == 0)
        err = mp_arena_new(&setup->arena, NULL);
    if (err)
        say("cannot start: %s", mp_strerror(err));
    setup->arguments = (mp_plugin_args){a->words_len, a->words, NULL};
    return err ? EXIT_IO : 0;
}

int run_plugin(const struct args *a)
{
    struct plugin p = {.target = BATCH_MIN, .input.fd = -1};
    p.workers = a->jobs == 0 ? mp_cpu_count() : a->jobs < 1024 ? a->jobs : 1024;
    int status = open_all(&p, a);
    if (status == 0)
        status = run_all(&p);
    mp_pool_free(p.pool);
    mp_arena_delete(setup->arena);
    reader_close(&p.input);
    free(p.status);
    if (p.lib)
        dlclose(p.lib);
    return status;
}
