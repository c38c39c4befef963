// SPDX-License-Identifier: MIT
//
// A stream: pieces of the input (pieces.c) go to the workers as tasks of a pool, some more
// than there are workers, and come back with their results (range.c), which are written in
// the order of the input while the workers are at what follows. No record is copied on its
// way to the function, no result before it is written. What a crash has left of a piece is
// run again.
//
// The size of a piece follows the function: about PIECE_NS of work, so that a slow one shows
// its results soon, and has all workers, and a fast one is not held up by the turns.
#include "plugin.h"
#include "pieces.h"
#include "range.h"
#include "say.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <mp/cpu.h>
#include <mp/task.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    WINDOW = 4,            // pieces under way, a worker
    WINDOW_UNORDERED = 64, // one that takes long holds up the others only when this is full
    WINDOW_MAX = 4096,
    PIECE_NS = 4000000,
    PIECE_MAX = 512 * 1024,
    ALL_MAX = 64 * 1024 * 1024, // bytes under way
    LOOK_MS = 50,               // see mp_future_source_ops
};

static struct setup *const setup = &range_setup;

// A piece under way.
struct turn {
    struct piece piece;
    struct range *range;
    mp_future *future;     // NULL: it is done
    char *cause[FAILURES]; // of the range's failures, those that were crashes
};

struct plugin {
    void *lib;
    mp_pool *pool;
    int workers;
    struct pieces input;
    size_t size, size_max; // of the next piece
    struct turn *turns;    // [first, next) are under way, each at its number % window
    unsigned long first, next;
    int window;
    bool unordered;
    size_t records, failed, told;
};

static struct turn *turn(const struct plugin *p, unsigned long number)
{
    return &p->turns[number % (unsigned long)p->window];
}

// No worker has it.
static void drop_turn(struct plugin *p, struct turn *t)
{
    for (int k = 0; k < FAILURES; k++) {
        free(t->cause[k]);
        t->cause[k] = NULL;
    }
    pieces_give_back(&p->input, &t->piece);
}

// ---- the pool ---------------------------------------------------------------------------

static int fail_pool(int err)
{
    if (err == MP_EBROKEN && setup->init)
        say("the function's init did not return 0, or crashed, in a worker");
    else
        say("the pool failed: %s", mp_strerror(err));
    return EXIT_IO;
}

static int start_pool(struct plugin *p)
{
    void *ranges = NULL;
    p->window = (p->unordered ? WINDOW_UNORDERED : WINDOW) * p->workers;
    p->window = p->window < WINDOW_MAX ? p->window : WINDOW_MAX;
    p->size_max = ALL_MAX / (size_t)p->window < PIECE_MAX ? ALL_MAX / (size_t)p->window : PIECE_MAX;
    p->turns = xrealloc(NULL, (size_t)p->window * sizeof *p->turns);
    memset(p->turns, 0, (size_t)p->window * sizeof *p->turns);
    int err = mp_arena_alloc(setup->arena, &ranges, (size_t)p->window, sizeof(struct range));
    if (err == 0) {
        memset(ranges, 0, (size_t)p->window * sizeof(struct range));
        for (int i = 0; i < p->window; i++)
            p->turns[i].range = (struct range *)ranges + i;
        err = mp_pool_new(&p->pool, &(mp_pool_opts){.workers = p->workers,
                                                    .name = "mpmap",
                                                    .init = setup->init ? range_start_worker : NULL,
                                                    .init_arg = NULL});
    }
    if (err)
        say("cannot start the pool: %s", mp_strerror(err));
    return err ? EXIT_IO : 0;
}

// Has a worker run what there is to do of the turn's range.
static int post(struct plugin *p, struct turn *t)
{
    int err = mp_pool_apply_async(&t->future, p->pool, range_work, NULL, 0,
                                  &(mp_task_opts){.ctx = t->range});
    return err ? fail_pool(err) : 0;
}

// Has workers begin what there is room for. 0, or an exit status.
static int feed(struct plugin *p)
{
    while (!p->pool || p->next - p->first < (unsigned long)p->window) {
        struct piece piece;
        int got = pieces_next(&p->input, p->size, &piece);
        if (got < 0)
            return fail_pool(got);
        if (got != INPUT_ITEM)
            return 0;
        int status = p->pool ? 0 : start_pool(p);
        if (status) {
            pieces_give_back(&p->input, &piece);
            return status;
        }
        struct turn *t = turn(p, p->next++);
        struct range *r = t->range;
        t->piece = piece;
        *r = (struct range){
            .data = piece.data, .len = piece.len, .out = r->out, .out_cap = r->out_cap};
        status = post(p, t);
        if (status)
            return status;
    }
    return 0;
}

// ---- results ----------------------------------------------------------------------------

static void tell(struct plugin *p, const struct turn *t, const struct failure *f, const char *cause)
{
    char label[SHOWN], what[512];
    if (p->told++ >= FAILURES)
        return;
    if (f->crash)
        snprintf(what, sizeof what, "the function crashed: %s", cause ? cause : "");
    else
        snprintf(what, sizeof what, "the function returned %d", f->code);
    size_t left = f->pos < t->piece.len ? t->piece.len - f->pos : 0; // memory of a worker, too
    const char *text = t->piece.data + t->piece.len - left;
    say("record %zu (%s): %s", p->records + f->record + 1,
        show(label, sizeof label, text, strnlen(text, left)), what);
}

static void tell_failures(struct plugin *p, const struct turn *t)
{
    const struct progress *done = range_progress(t->range);
    for (size_t k = 0; k < done->failed && k < FAILURES; k++)
        tell(p, t, &t->range->failure[k], t->cause[k]);
    p->failed += done->failed;
    p->records += done->record;
}

static int write_all(const char *data, size_t n)
{
    while (n > 0) {
        ssize_t w = write(STDOUT_FILENO, data, n);
        if (w < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, -1);
        } else if (w < 0 && errno != EINTR) {
            say("standard output: %s", mp_strerror(-errno));
            return EXIT_IO;
        }
        data += w > 0 ? w : 0;
        n -= w > 0 ? (size_t)w : 0;
    }
    return 0;
}

// The next pieces shall take as long as they should: at most four times as many bytes.
static void adapt(struct plugin *p, const struct range *r)
{
    double want = (double)r->len * PIECE_NS / (double)(r->ns > 0 ? r->ns : 1);
    size_t most = 4 * r->len > p->size ? 4 * r->len : p->size;
    p->size = want < 1 ? 1 : want > (double)most ? most : (size_t)want;
    if (p->size > p->size_max)
        p->size = p->size_max;
}

// Steps over the record at which the function took its worker with it.
static void skip_crash(struct turn *t, const char *cause)
{
    struct range *r = t->range;
    struct progress now = *range_progress(r);
    if (now.pos >= r->len)
        return;
    if (r->next <= now.pos) { // killed before it began: so its end is still there
        r->next = now.pos + range_record_len(&setup->records, r->data + now.pos, r->len - now.pos);
        if (setup->records.kind == LINES)
            r->data[r->next - 1] = '\0';
    }
    if (now.failed < FAILURES)
        t->cause[now.failed] = xstrdup(cause);
    range_add_failure(r, &now, (struct failure){.crash = true});
    now.record++;
    now.pos = r->next;
    range_publish(r, &now);
}

static int write_turn(const struct turn *t)
{
    return write_all(t->range->out, range_progress(t->range)->out_len);
}

// Lets go of what is done, as far as all before it is: so records are counted.
static int retire(struct plugin *p)
{
    int status = 0;
    for (; p->first != p->next && !turn(p, p->first)->future && status == 0; p->first++) {
        struct turn *t = turn(p, p->first);
        tell_failures(p, t);
        drop_turn(p, t);
        status = p->unordered ? 0 : write_turn(t);
    }
    return status;
}

// A piece is done, or its worker died.
static int end_turn(struct plugin *p, struct turn *t)
{
    struct range *r = t->range;
    mp_future *f = t->future;
    int err = mp_future_error(f, 0);
    if (err == MP_EWORKERDIED)
        skip_crash(t, mp_future_error_text(f));
    mp_future_free(f);
    t->future = NULL;
    if (err && err != MP_EWORKERDIED)
        return fail_pool(err);
    if (range_progress(r)->pos < r->len)
        return post(p, t);
    adapt(p, r);
    int status = p->unordered ? write_turn(t) : 0;
    return status ? status : retire(p);
}

// ---- the run ----------------------------------------------------------------------------

// One that has news and may be written: the first, or any. NULL: none has.
static struct turn *find_done(const struct plugin *p)
{
    unsigned long end = p->unordered ? p->next : p->first + 1;
    for (unsigned long i = p->first; i < end; i++)
        if (turn(p, i)->future && mp_future_done(turn(p, i)->future))
            return turn(p, i);
    return NULL;
}

// Until there is one, or more input that could be worked on.
static struct turn *wait_for_news(struct plugin *p)
{
    struct turn *t = NULL;
    mp_future_source *s = mp_future_get_source(turn(p, p->first)->future);
    struct pollfd fds[] = {{.fd = mp_future_source_fd(s), .events = POLLIN},
                           {.fd = p->input.in.fd, .events = POLLIN}};
    bool more = !p->input.ended && p->next - p->first < (unsigned long)p->window;
    while (!(t = find_done(p)) && !fds[1].revents) {
        mp_future_source_progress(s, true);
        if (!find_done(p))
            poll(fds, more ? 2 : 1, LOOK_MS);
    }
    return t;
}

static int step(struct plugin *p)
{
    int status = feed(p);
    if (status)
        return status;
    if (p->first == p->next) {
        if (!p->input.ended)
            poll(&(struct pollfd){.fd = p->input.in.fd, .events = POLLIN}, 1, -1);
        return 0;
    }
    struct turn *t = wait_for_news(p);
    return t ? end_turn(p, t) : 0;
}

static int run_all(struct plugin *p)
{
    const char *name = p->input.in.name;
    while (!p->input.ended || p->input.whole > p->input.start || p->first != p->next) {
        int status = step(p);
        if (status)
            return status;
    }
    if (p->failed > FAILURES)
        say("%zu records failed in all", p->failed);
    if (p->input.err == -EBADMSG)
        say("%s: not msgpack, after record %zu", name, p->records);
    else if (p->input.err)
        say("%s: %s: the rest of the records is not known", name, mp_strerror(p->input.err));
    else if (p->input.cut_off)
        say("%s: ends within a value, after record %zu", name, p->records);
    if (p->input.err || p->input.cut_off)
        return EXIT_IO;
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
        status = reader_open(&p->input.in, a->sources);
    if (status)
        return status;
    int err = list ? list_as_file(&p->input.in) : 0;
    if (err == 0)
        err = mp_arena_new(&setup->arena, NULL);
    if (err)
        say("cannot start: %s", mp_strerror(err));
    p->input.how = &setup->records;
    p->input.arena = setup->arena;
    setup->arguments = (mp_plugin_args){a->words_len, a->words, NULL};
    return err ? EXIT_IO : 0;
}

int run_plugin(const struct args *a)
{
    struct plugin p = {.size = 1, .input.in.fd = -1, .unordered = a->unordered};
    p.workers = a->jobs == 0 ? mp_cpu_count() : a->jobs < 1024 ? a->jobs : 1024;
    int status = open_all(&p, a);
    if (status == 0)
        status = run_all(&p);
    for (unsigned long i = p.first; i != p.next; i++)
        mp_future_free(turn(&p, i)->future);
    mp_pool_free(p.pool);
    for (; p.first != p.next; p.first++)
        drop_turn(&p, turn(&p, p.first));
    pieces_close(&p.input);
    mp_arena_delete(setup->arena);
    free(p.turns);
    if (p.lib)
        dlclose(p.lib);
    return status;
}
