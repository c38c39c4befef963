// SPDX-License-Identifier: MIT
//
// The pool works with addresses: of items, results and tasks in its memory, of functions. A
// supervisor that was not forked from the caller gets both to hold:
//
//   memory     is mapped at the caller's addresses, which were chosen so that they are free
//              in a process of the same program (os/memfd.h). If they are not, the start is an
//              error, and is tried again with another process, which is laid out anew;
//   functions  the caller tells what code it has; the supervisor finds the same builds in its
//              own memory. Workers move each function they are told (work/image.h), and the
//              caller refuses what is not known there.
//
// From there on it is any supervisor (work/supervisor.c), and it forks the workers.
#include "work/distant.h"
#include "channel/handle.h"
#include "os/memfd.h"
#include "os/pidfd.h"
#include "shm/arena.h"
#include "work/forkserver.h"
#include "work/function.h"
#include "work/pool.h"
#include "work/process.h"
#include "work/supervisor.h"
#include "work/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BELL_NUMBER 100 // far above what a fresh process has open
#define TRIES       5

// What the supervisor is told: this, the code of the caller, and init_arg.
struct told {
    void *segment, *arena;
    size_t segment_size;
    int bell, max_tasks, idle_ms, inner, workers, depth;
    bool lines;
    mp_pool_init_fn *init;
    char name[64];
    size_t codes, init_arg_size;
    struct mp__code code[];
};

// Its answer: this, and a bool for each piece of code, whether it knows that.
struct found {
    int result;
    bool in_place; // all it knows is where the caller has it
};

enum { SEGMENT, WAKE, BELL, ARENA, ANSWER, FDS };

// ---- the supervisor --------------------------------------------------------------

// All pieces that are known are at the same addresses.
static bool is_in_place(const struct told *t, const bool *known)
{
    for (size_t i = 0; i < t->codes; i++)
        if (known[i] && mp__image_move_here(t->code[i].begin) != t->code[i].begin)
            return false;
    return true;
}

static int take_memory(const struct told *t, const int *fd, struct mp__supervisor *s)
{
    void *base;
    int r = mp__memfd_map_at(fd[SEGMENT], t->segment_size, t->segment, &base);
    if (r < 0)
        return r;
    if ((r = mp__arena_adopt_at(fd[ARENA], t->arena, &s->arena)) < 0)
        return r;
    s->ctl = base;
    if (fd[BELL] == t->bell)
        return 0;
    if (fcntl(t->bell, F_GETFD) >= 0)
        return -EEXIST;
    r = dup3(fd[BELL], t->bell, O_CLOEXEC) < 0 ? -errno : 0;
    close(fd[BELL]);
    return r;
}

static int prepare(const struct told *t, const int *fd, struct mp__supervisor *s, bool *known,
                   struct found *f)
{
    *s = (struct mp__supervisor){.wake = fd[WAKE],
                                 .memory = fd[SEGMENT],
                                 .name = t->name,
                                 .init_arg = t->init_arg_size ? (void *)&t->code[t->codes] : NULL,
                                 .max_tasks = t->max_tasks,
                                 .idle_ms = t->idle_ms,
                                 .lines = t->lines};
    int r = mp__image_translate(t->code, t->codes, known);
    f->in_place = is_in_place(t, known);
    s->init = mp__image_here(t->init);
    if (r == 0 && t->init && !s->init)
        r = MP_ENOFUNC;
    if (r == 0)
        r = mp__inner_prepare(&s->inner, t->inner, t->workers);
    if (r == 0)
        r = take_memory(t, fd, s);
    if (r == 0) {
        s->caller = fcntl(mp_process_sentinel(mp_process_parent()), F_DUPFD_CLOEXEC, 0);
        r = s->caller < 0 ? -errno : 0;
    }
    mp__worker_is_at(t->depth);
    return r;
}

static int mp__supervise_pool(void *arg)
{
    const struct told *t = arg;
    struct mp__supervisor s;
    struct found f = {0};
    int fd[FDS];
    bool *known = calloc(t->codes + 1, 1);
    for (size_t i = 0; i < FDS; i++)
        fd[i] = mp_handle_take_fd(mp_process_handle(i));
    f.result = known ? prepare(t, fd, &s, known, &f) : -ENOMEM;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &s.mask);
    bool told = write(fd[ANSWER], &f, sizeof f) == sizeof f &&
                (f.result < 0 || write(fd[ANSWER], known, t->codes) == (ssize_t)t->codes);
    close(fd[ANSWER]);
    free(known);
    if (f.result < 0 || !told)
        return 1;
    mp__supervisor_run(&s);
}
MP_TASK(mp__supervise_pool);

// ---- the caller ------------------------------------------------------------------

int mp__distant_bell(int *fd)
{
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, BELL_NUMBER);
    if (moved < 0)
        return -errno;
    close(*fd);
    *fd = moved;
    return 0;
}

static struct told *tell(const mp_pool *p, const mp_pool_opts *o, int inner, size_t *size)
{
    size_t n;
    const struct mp__code *code = mp__image_codes(p->image, &n);
    struct told *t = NULL;
    if (!__builtin_add_overflow(sizeof *t + n * sizeof *code, o->init_arg_size, size))
        t = calloc(1, *size);
    if (!t)
        return NULL;
    *t = (struct told){.segment = p->seg.ctl,
                       .arena = p->arena->head,
                       .segment_size = p->seg.size,
                       .bell = p->bell,
                       .max_tasks = o->max_tasks,
                       .idle_ms = o->idle_ms,
                       .lines = o->lines,
                       .inner = inner,
                       .workers = (int)p->seg.ctl->workers,
                       .depth = mp__worker_depth(),
                       .init = o->init,
                       .codes = n,
                       .init_arg_size = o->init_arg_size};
    strncpy(t->name, o->name ? o->name : "mp-pool", sizeof t->name - 1);
    memcpy(t->code, code, n * sizeof *code);
    if (o->init_arg_size)
        memcpy(&t->code[n], o->init_arg, o->init_arg_size);
    return t;
}

static int read_all(int fd, void *buf, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, (char *)buf + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return MP_EBROKEN;
        done += (size_t)n;
    }
    return 0;
}

// Also what the pool may run from now on: what the workers have. If their code is where it is
// here, they were forked from this program, and have all it had; else functions are found
// by name, as those of processes are.
static int hear(mp_pool *p, int fd, size_t codes)
{
    struct found f;
    bool *known = malloc(codes + 1);
    int r = known ? read_all(fd, &f, sizeof f) : -ENOMEM;
    if (r == 0)
        r = f.result;
    if (r == 0)
        r = read_all(fd, known, codes);
    if (r == 0)
        mp__image_keep(p->image, known, !f.in_place);
    free(known);
    return r;
}

static int try_start(mp_pool *p, const mp_pool_opts *o, const struct told *t, size_t size)
{
    int answer[2];
    if (pipe2(answer, O_CLOEXEC) < 0)
        return -errno;
    mp_handle h[FDS] = {mp_handle_fd(p->seg.fd), mp_handle_fd(p->wake), mp_handle_fd(p->bell),
                        mp_handle_fd(mp__arena_fd(p->arena)), mp_handle_fd(answer[1])};
    mp_process *s = NULL;
    const mp_process_opts with = {.name = t->name,
                                  .daemon = true,
                                  .start = o->start,
                                  .context = o->context,
                                  .arg_size = size,
                                  .handles = h,
                                  .n_handles = FDS,
                                  .error = o->error};
    int r = mp_process_start(&s, mp__supervise_pool, (void *)(uintptr_t)t, &with);
    close(answer[1]);
    if (r == 0)
        r = hear(p, answer[0], t->codes);
    close(answer[0]);
    if (r == 0) {
        p->supervisor = fcntl(mp_process_sentinel(s), F_DUPFD_CLOEXEC, 0);
        r = p->supervisor < 0 ? -errno : 0;
    }
    if (r < 0 && s) {
        mp_process_kill(s);
        (void)!mp_process_join(s, MP_FOREVER);
    }
    mp_process_free(s);
    return r;
}

static int check_init(const mp_pool_opts *o)
{
    struct mp__function_ref ref;
    const char *name;
    mp__any_fn *init = (mp__any_fn *)o->init;
    if (o->init_arg && !o->init_arg_size)
        return MP_EINVAL;
    return !init || mp__forkserver_has(init) ? 0 : mp__function_refer(init, &ref, &name);
}

int mp__distant_start(mp_pool *p, const mp_pool_opts *o, int inner)
{
    size_t size;
    int r = check_init(o);
    if (r < 0) {
        if (o->error)
            *o->error = strdup(r == MP_EINVAL
                                   ? "a pointer means nothing in the workers: tell init_arg_size"
                                   : "init is not registered: put MP_TASK() after its definition");
        return r;
    }
    struct told *t = tell(p, o, inner, &size);
    if (!t)
        return -ENOMEM;
    r = -EEXIST;
    for (int i = 0; i < TRIES && r == -EEXIST; i++)
        r = try_start(p, o, t, size);
    free(t);
    return r;
}
