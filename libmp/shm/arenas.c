// SPDX-License-Identifier: MIT
//
// The arenas that this process has: making and dropping them, and finding the one that an
// address belongs to.
//
// The own arena holds objects for which nobody named another. It is counted, made with
// the first and gone with the last. A forked child finds its parent's in place, and leaves
// it alone: what the child makes goes into an own arena of its own, so that its memory
// goes when the child does.
//
// Where an arena was, there are zeros to read afterwards, and the next one comes to the
// same address. So who uses an object after its end is told that it is none.
//
// Arenas that others made come by name or by descriptor. A process has each only once:
// they are known by their file.
#include "os/fork.h"
#include "os/memfd.h"
#include "os/shmfile.h"
#include "shm/arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_MAX ((size_t)64 << 30)
#define APART_TRIES 8 // to find a place for one; then it becomes smaller
#define APART_LEAST ((size_t)64 << 20)

// The arenas of this process. A fork takes the lock, so that the child finds the
// list whole.
static mp_arena *registry;
static uint64_t youngest;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned departures = 1; // arenas that left; what a thread remembers ends then

// Guarded by registry_lock, too.
static mp_arena *own; // of the process with this fork token
static uint64_t own_of;
static struct {
    void *base;
    size_t size;
} vacated; // where the last one was that went

void mp__arenas_lock(void)
{
    pthread_mutex_lock(&registry_lock);
}

void mp__arenas_unlock(void)
{
    pthread_mutex_unlock(&registry_lock);
}

MP__FORK_HOOKS(MP__HOOKS_ARENAS) static void watch_forks(void)
{
    pthread_atfork(mp__arenas_lock, mp__arenas_unlock, mp__arenas_unlock);
}

static void enter_locked(mp_arena *a)
{
    a->number = ++youngest;
    a->refs = 1;
    a->next = registry;
    registry = a;
}

static void leave_locked(mp_arena *a)
{
    for (mp_arena **at = &registry; *at; at = &(*at)->next) {
        if (*at == a) {
            *at = a->next;
            break;
        }
    }
    if (a == own)
        own = NULL;
    atomic_fetch_add(&departures, 1);
}

uint64_t mp__arena_youngest(void)
{
    mp__arenas_lock();
    uint64_t number = youngest;
    mp__arenas_unlock();
    return number;
}

bool mp__arena_shares(const void *ptr, size_t size, uint64_t up_to)
{
    bool shares = false;
    mp__arenas_lock();
    for (mp_arena *a = registry; a && !shares; a = a->next)
        shares = a->number <= up_to && mp__arena_spans(a, ptr, size);
    mp__arenas_unlock();
    return shares;
}

bool mp__arena_is(const mp_arena *a)
{
    static __thread struct {
        const mp_arena *arena;
        unsigned departures;
    } last __attribute__((tls_model("initial-exec")));
    unsigned now = atomic_load_explicit(&departures, memory_order_relaxed);
    if (last.arena == a && last.departures == now)
        return a;
    mp__arenas_lock();
    const mp_arena *known = registry;
    while (known && known != a)
        known = known->next;
    mp__arenas_unlock();
    if (known) {
        last.arena = known;
        last.departures = now;
    }
    return known;
}

static mp_arena *find(const void *base)
{
    mp__arenas_lock();
    mp_arena *a = registry;
    while (a && a->head != base)
        a = a->next;
    mp__arenas_unlock();
    return a;
}

// What this thread found last, by some bits of the base.
struct memory {
    const void *base;
    mp_arena *arena;
    unsigned departures;
};

mp_arena *mp__arena_at(const void *base)
{
    static __thread struct memory memory[4] __attribute__((tls_model("initial-exec")));
    struct memory *m = &memory[((uintptr_t)base * UINT64_C(0x9e3779b97f4a7c15)) >> 62];
    unsigned now = atomic_load_explicit(&departures, memory_order_relaxed);
    if (m->base != base || m->departures != now || !m->arena)
        *m = (struct memory){base, find(base), now};
    return m->arena;
}

// The default is a lot of address space; a process that may not have that much
// gets a part of what it may have.
static size_t default_max(void)
{
    size_t max = DEFAULT_MAX;
    struct rlimit lim;
    if (getrlimit(RLIMIT_AS, &lim) == 0 && lim.rlim_cur / 4 < max)
        max = lim.rlim_cur / 4;
    if (getrlimit(RLIMIT_FSIZE, &lim) == 0 && lim.rlim_cur / 2 < max)
        max = lim.rlim_cur / 2;
    return max;
}

// Address space of vacated places is given back when it is short.
static void drop_vacated(void)
{
    mp__arenas_lock();
    void *base = vacated.base;
    size_t size = vacated.size;
    vacated.base = NULL;
    mp__arenas_unlock();
    if (base)
        munmap(base, size);
}

// A vacated place for `size` bytes, or NULL.
static void *vacated_place(size_t size)
{
    void *base = NULL;
    mp__arenas_lock();
    if (vacated.base && vacated.size == size) {
        base = vacated.base;
        vacated.base = NULL;
    }
    mp__arenas_unlock();
    return base;
}

static void *map_file(const mp_arena *a, void *at)
{
    void *base =
        mmap(at, a->size, PROT_READ | PROT_WRITE, MAP_SHARED | (at ? MAP_FIXED : 0), a->fd, 0);
    return base == MAP_FAILED ? NULL : base;
}

static int map(mp_arena *a, void *at)
{
    if (at) {
        void *base;
        int r = mp__memfd_map_at(a->fd, a->size, at, &base);
        a->head = base;
        return r;
    }
    a->head = map_file(a, vacated_place(a->size));
    if (!a->head) {
        drop_vacated();
        a->head = map_file(a, NULL);
    }
    if (!a->head)
        return -errno;
    madvise(a->head, a->size, MADV_DONTDUMP); // a dump would make all its pages
    madvise(a->head, MP__ARENA_HEAD, MADV_DODUMP);
    return 0;
}

// Leaves zeros where the arena was, and keeps the place for the next one. It costs
// address space only.
static void vacate(mp_arena *a)
{
    void *base = mmap(a->head, a->size, PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (base == MAP_FAILED) {
        munmap(a->head, a->size);
        return;
    }
    madvise(base, a->size, MADV_DONTDUMP);
    mp__arenas_lock();
    void *old = vacated.base;
    size_t old_size = vacated.size;
    vacated.base = base;
    vacated.size = a->size;
    mp__arenas_unlock();
    if (old)
        munmap(old, old_size);
}

// Notes which file it is.
static int identify(mp_arena *a)
{
    struct stat st;
    if (fstat(a->fd, &st) < 0)
        return -errno;
    a->dev = st.st_dev;
    a->ino = st.st_ino;
    return 0;
}

static void destroy(mp_arena *a)
{
    if (a->head) {
        mp__life_leave(a);
        if (a->in_use) // the thread that still uses it knows nothing but addresses
            munmap((char *)a->head + a->head->held, a->size - a->head->held);
        else
            vacate(a);
    }
    if (a->fd >= 0)
        close(a->fd);
    free(a->handles);
    free(a);
}

// Opens a file for an arena of a->size.
static int make_file(mp_arena *a, const char *name)
{
    a->fd = name ? mp__shmfile_new(a->size) : mp__memfd_new("mp-arena", a->size);
    if (a->fd < 0)
        return a->fd;
    if (name)
        snprintf(a->name, sizeof a->name, "%s", name);
    return mp__memfd_commit(a->fd, 0, MP__ARENA_HEAD);
}

// Makes an arena that the registry does not know yet.
static int make(mp_arena **out, size_t max, const char *name, enum mp__purpose purpose, bool apart)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (name && !mp__shmfile_is_name(name))
        return MP_EINVAL;
    if (max == 0)
        max = default_max();
    if (max >= (size_t)1 << MP__ARENA_BITS)
        return -ENOMEM;
    mp_arena *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->max = max;
    a->size = (MP__ARENA_HEAD + a->max + page - 1) / page * page;
    int r = make_file(a, name);
    if (r == 0)
        r = map(a, apart ? mp__memfd_apart(a->size) : NULL);
    if (r == 0)
        r = mp__arena_init(a, purpose);
    if (r == 0)
        r = identify(a);
    if (r < 0) {
        destroy(a);
        return r;
    }
    *out = a;
    return 0;
}

static void enter(mp_arena *a)
{
    mp__arenas_lock();
    enter_locked(a);
    mp__arenas_unlock();
}

int mp__arena_make(mp_arena **out, size_t max, const char *name, enum mp__purpose purpose)
{
    int r = make(out, max, name, purpose, false);
    if (r == 0)
        enter(*out);
    return r;
}

int mp__arena_make_apart(mp_arena **out)
{
    int r = -EEXIST;
    for (size_t max = default_max(); r == -EEXIST && max >= APART_LEAST; max /= 2)
        for (int i = 0; r == -EEXIST && i < APART_TRIES; i++)
            r = make(out, max, NULL, MP__OF_OBJECT, true);
    if (r == 0)
        enter(*out);
    return r == -EEXIST ? -ENOMEM : r;
}

int mp__arena_publish(mp_arena *a)
{
    return *a->name ? mp__shmfile_publish(a->fd, a->name) : 0;
}

int mp_arena_new(mp_arena **out, const mp_arena_opts *opts)
{
    static const mp_arena_opts defaults;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    opts = opts ? opts : &defaults;
    mp_arena *a;
    int r = mp__arena_make(&a, opts->max, opts->name, MP__OF_USER);
    if (r < 0)
        return r;
    r = mp__arena_publish(a);
    if (r < 0) {
        mp__arena_drop(a, false);
        return r;
    }
    *out = a;
    return 0;
}

// ---- the own one ----

static mp_arena *own_locked(void)
{
    return own && mp__fork_is_mine(own_of) ? own : NULL;
}

int mp__arena_own(mp_arena **out)
{
    mp__arenas_lock();
    mp_arena *a = own_locked();
    if (a)
        a->refs++;
    mp__arenas_unlock();
    *out = a;
    if (a)
        return 0;
    mp_arena *mine;
    int r = make(&mine, 0, NULL, MP__OF_OBJECT, false);
    if (r < 0)
        return r;
    mp__arenas_lock();
    a = own_locked();
    if (a) {
        a->refs++; // another thread was first
    } else {
        enter_locked(mine);
        own = a = mine;
        own_of = mp__fork_token();
        mine->own = true;
    }
    mp__arenas_unlock();
    if (a != mine)
        destroy(mine);
    *out = a;
    return 0;
}

// ---- those of others ----

// Finds the arena of the same file, with one reference more.
static mp_arena *find_file_locked(const struct mp__sign *s, const struct stat *st)
{
    for (mp_arena *a = registry; a; a = a->next) {
        if (a->dev == st->st_dev && a->ino == st->st_ino && a->head->sign.id == s->id) {
            a->refs++;
            return a;
        }
    }
    return NULL;
}

// Maps the arena of a file whose sign was read; the registry does not know it yet.
static int map_foreign(int fd, const struct mp__sign *s, void *at, mp_arena **out)
{
    mp_arena *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->fd = fd;
    a->size = s->size;
    a->max = s->max;
    int r = map(a, at);
    if (r == 0)
        r = mp__arena_check(a);
    if (r == 0)
        r = identify(a);
    if (r < 0) {
        a->fd = -1; // the caller's
        destroy(a);
        return r;
    }
    *out = a;
    return 0;
}

// Adopts a descriptor; it is still the caller's to close if a known arena is returned, or an
// error.
static int adopt(int fd, void *at, mp_arena **out)
{
    struct mp__sign s;
    struct stat st;
    int r = mp__sign_read(fd, &s);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return -errno;
    mp__arenas_lock();
    *out = find_file_locked(&s, &st);
    mp__arenas_unlock();
    if (*out)
        return 0;
    mp_arena *a;
    r = map_foreign(fd, &s, at, &a);
    if (r < 0)
        return r;
    mp__arenas_lock();
    *out = find_file_locked(&s, &st); // another thread may have been first
    if (!*out)
        enter_locked(*out = a);
    mp__arenas_unlock();
    if (*out != a) {
        a->fd = -1;
        destroy(a);
    }
    return 0;
}

int mp__arena_adopt_at(int fd, void *at, mp_arena **out)
{
    mp_arena *a = NULL;
    int r = adopt(fd, at, &a);
    if (!a || a->fd != fd)
        close(fd);
    if (a && a->fd != fd)
        mp__life_renew(a);
    *out = a;
    return r;
}

int mp__arena_adopt(int fd, mp_arena **out)
{
    return mp__arena_adopt_at(fd, NULL, out);
}

int mp__arena_open(mp_arena **out, const char *name)
{
    *out = NULL;
    if (!mp__shmfile_is_name(name))
        return MP_EINVAL;
    int fd = mp__shmfile_open(name);
    return fd < 0 ? fd : mp__arena_adopt(fd, out);
}

int mp_arena_attach(mp_arena **out, const char *name)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_arena *a;
    int r = mp__arena_open(&a, name);
    if (!a)
        return r;
    if (a->head->sign.purpose != MP__OF_USER) {
        mp__arena_drop(a, false);
        return MP_ETYPE;
    }
    *out = a;
    return 0;
}

int mp_shm_unlink(const char *name)
{
    return mp__shmfile_is_name(name) ? mp__shmfile_unlink(name) : MP_EINVAL;
}

int mp__arena_fd(const mp_arena *a)
{
    return a->fd;
}

void mp__arena_drop(mp_arena *a, bool in_use)
{
    mp__arenas_lock();
    a->in_use |= in_use;
    bool last = --a->refs == 0;
    if (last)
        leave_locked(a);
    mp__arenas_unlock();
    if (last)
        destroy(a);
}

void mp_arena_delete(mp_arena *a)
{
    if (mp__arena_is(a))
        mp__arena_drop(a, false);
}
