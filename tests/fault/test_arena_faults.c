// SPDX-License-Identifier: MIT
//
// Arenas when the system refuses, and when what lies under a name is not what it should be.
#include "mptest.h"
#include "shm/arena.h"
#include "shm/life.h"
#include "shm/object.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TYPE    MP__EVENT
#define VERSION 3

struct thing {
    struct mp__object object;
    _Atomic uint64_t word;
};

// ---- the system refuses ----

static int new_named(const char *name)
{
    mp_arena *a;
    int r = mp_arena_new(&a, &(mp_arena_opts){.max = 1 << 20, .name = name});
    if (r == 0) {
        mp_arena_delete(a);
        mp_shm_unlink(name);
    }
    return r;
}

// Fault matrix 32. The first touch of memory that is not there would be SIGBUS.
MP_TEST(a_full_dev_shm)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(mptest_name("small"), "/dev/shm", "tmpfs", 0, "size=128k") < 0)
        mp_skip("needs to mount");
    int fds = mptest_fd_count();
    mp_arena *a, *b;
    mp_assert_ok(mp_arena_new(&a, &(mp_arena_opts){.max = 64 << 20, .name = mptest_name("full")}));
    void *p[100];
    int n = 0, r;
    while ((r = mp_arena_alloc(a, &p[n], 8000, 1)) == 0)
        memset(p[n++], 1, 8000);
    ck_assert_int_eq(r, -ENOMEM);
    ck_assert_int_ge(n, 12); // all but the head and a page
    mp_assert_ok(mp_arena_free(a, p[0]));
    mp_assert_ok(mp_arena_alloc(a, &p[0], 8000, 1));
    while ((r = mp_arena_alloc(a, &p[n], 64, 1)) == 0) // the last page, too
        ;
    ck_assert_int_eq(r, -ENOMEM);
    mp_assert_err(mp_arena_new(&b, &(mp_arena_opts){.max = 65536, .name = mptest_name("more")}),
                  -ENOSPC);
    ck_assert_ptr_null(b);
    void *obj;
    mp_assert_err(mp__object_new(&obj, NULL, mptest_name("object"), 0, TYPE, VERSION, 64), -ENOSPC);
    ck_assert_int_eq(mptest_fd_count(), fds + 1);
    mp_arena_delete(a);
    mp_assert_ok(mp_shm_unlink(mptest_name("full")));
    mp_assert_ok(mp__object_new(&obj, NULL, mptest_name("object"), 0, TYPE, VERSION, 64));
    mp__object_free(obj, true);
}

// More than the machine has, bad input 80: told before the kernel kills somebody for it.
MP_TEST(no_memory)
{
    mp_arena *a;
    mp_arena_stats s;
    void *p;
    mp_assert_err(mp_arena_new(&a, &(mp_arena_opts){.max = (size_t)1 << 60}), -ENOMEM);
    int r = mp_arena_new(&a, &(mp_arena_opts){.max = (size_t)1 << 41});
    if (r == -ENOMEM)
        mp_skip("no address space");
    mp_assert_ok(r);
    mp_assert_err(mp_arena_alloc(a, &p, (size_t)1 << 40, 1), -ENOMEM);
    mp_assert_err(mp_arena_alloc(a, &p, (size_t)1 << 32, (size_t)1 << 32), MP_EOVERFLOW);
    mp_assert_err(mp_arena_alloc(a, &p, (size_t)1 << 42, 1), -ENOMEM);
    mp_assert_ok(mp_arena_get_stats(a, &s));
    ck_assert_uint_lt(s.held, 1 << 20);
    mp_assert_ok(mp_arena_alloc(a, &p, 100, 1));
    mp_arena_delete(a);
}

// 33.
MP_TEST(no_descriptors)
{
    mp_arena *a;
    void *p;
    mp_assert_ok(mp_arena_new(&a, &(mp_arena_opts){.name = mptest_name("there")}));
    mp_arena_delete(a);
    int fds = mptest_fd_count();
    struct rlimit old, lim;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    lim = old;
    lim.rlim_cur = 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
    while (dup(0) >= 0)
        ;
    mp_assert_err(mp_arena_new(&a, NULL), -EMFILE);
    mp_assert_err(new_named(mptest_name("x")), -EMFILE);
    mp_assert_err(mp_arena_attach(&a, mptest_name("there")), -EMFILE);
    mp_assert_err(mp__object_new(&p, NULL, NULL, 0, TYPE, VERSION, 64), -EMFILE);
    mp_assert_err(mp__object_new(&p, NULL, mptest_name("x"), 0, TYPE, VERSION, 64), -EMFILE);
    mp_assert_err(mp__object_attach(&p, mptest_name("there"), TYPE, VERSION, 64), -EMFILE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    ck_assert_int_eq(mptest_fd_count(), fds);
    mp_assert_ok(mp_shm_unlink(mptest_name("there")));
}

// 34.
MP_TEST(a_limit_for_files)
{
    int fds = mptest_fd_count();
    struct rlimit lim = {64 << 10, 64 << 10};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
    mp_arena *a;
    void *p;
    mp_assert_err(new_named(mptest_name("x")), -EFBIG); // and no SIGXFSZ
    mp_assert_err(mp__object_new(&p, NULL, mptest_name("x"), 1 << 20, TYPE, VERSION, 64), -EFBIG);
    mp_assert_ok(
        mp_arena_new(&a, &(mp_arena_opts){.name = mptest_name("small")})); // the default is less
    mp_assert_err(mp_arena_alloc(a, &p, 64 << 10, 1), -ENOMEM);
    mp_assert_ok(mp_arena_alloc(a, &p, 16 << 10, 1));
    memset(p, 1, 16 << 10);
    mp_arena_delete(a);
    mp_assert_ok(mp_shm_unlink(mptest_name("small")));
    ck_assert_int_eq(mptest_fd_count(), fds);
}

// 35.
MP_TEST(nobody_shrinks_an_arena_without_a_name)
{
    mp_arena *a;
    void *p;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_arena_alloc(a, &p, 100000, 1));
    pid_t pid = fork();
    if (pid == 0)
        _exit(ftruncate(mp__arena_fd(a), 0) < 0 && errno == EPERM ? 0 : 1);
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    memset(p, 1, 100000);
    mp_arena_delete(a);
}

// Killed anywhere while it is made, a name is not there or complete.
MP_TEST_TIMEOUT(killed_while_making_names, 60)
{
    unsigned seed = 5;
    int complete = 0;
    for (int i = 0; i < 150; i++) {
        pid_t pid = fork();
        if (pid == 0)
            for (;;) {
                mp_arena *a;
                mptest_require(mp_arena_new(&a, &(mp_arena_opts){.name = mptest_name("mortal")}) ==
                               0);
                mp_arena_delete(a);
                mptest_require(mp_shm_unlink(mptest_name("mortal")) == 0);
            }
        usleep((unsigned)rand_r(&seed) % 2000);
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        ck_assert_int_eq(WTERMSIG(status), SIGKILL);
        mp_arena *a;
        int r = mp_arena_attach(&a, mptest_name("mortal"));
        if (r == 0) {
            void *p;
            mp_assert_ok(mp_arena_alloc(a, &p, 100, 1));
            mp_arena_delete(a);
            mp_assert_ok(mp_shm_unlink(mptest_name("mortal")));
            complete++;
        } else {
            ck_assert_int_eq(r, MP_ENOTFOUND);
        }
    }
    ck_assert_int_gt(complete, 0);
}

// ---- what lies there is not right: bad input 88 ----

#define COPY (64 << 10) // bytes of a file that are put back each time

// A file of a named object; no process has it mapped.
struct victim {
    int fd;
    char *pristine;
    uint64_t object; // its offset
};

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "/dev/shm/mp-%u-%s", (unsigned)geteuid(), name);
    return path;
}

static struct victim make_victim(void)
{
    struct victim v;
    void *p;
    mp_assert_ok(
        mp__object_new(&p, NULL, mptest_name("victim"), 4096, TYPE, VERSION, sizeof(struct thing)));
    mp_assert_ok(mp__object_publish(p));
    v.object = ((struct mp__object *)p)->offset;
    mp__object_free(p, true);
    v.fd = open(path_of(mptest_name("victim")), O_RDWR | O_CLOEXEC);
    v.pristine = malloc(COPY);
    ck_assert_ptr_nonnull(v.pristine);
    ck_assert_int_eq(pread(v.fd, v.pristine, COPY, 0), COPY);
    return v;
}

static void restore(struct victim v)
{
    ck_assert_int_eq(pwrite(v.fd, v.pristine, COPY, 0), COPY);
}

static void end_victim(struct victim v)
{
    free(v.pristine);
    close(v.fd);
    mp_assert_ok(mp_shm_unlink(mptest_name("victim")));
}

// Attaches, and uses the object if that is possible. `deep`: also what waits for the lock.
static int attach_and_use(bool deep)
{
    void *p;
    int r = mp__object_attach(&p, mptest_name("victim"), TYPE, VERSION, sizeof(struct thing));
    if (r < 0)
        return r;
    struct thing *t = p;
    mp__life life;
    uint64_t part;
    atomic_fetch_add(&t->word, 1);
    if (deep) {
        if (mp__life_mine(t, &life) == 0)
            (void)mp__life_over(t, life + ((uint64_t)1 << 32));
        if (mp__object_alloc(t, 5000, &part) == 0) {
            memset(mp__object_at(t, part), 1, 5000);
            mp__object_release(t, part);
        }
        (void)mp__object_alloc(t, 60, &part);
    }
    mp__object_free(t, true);
    return 0;
}

static void expect(struct victim v, int err)
{
    int fds = mptest_fd_count();
    mp_assert_err(attach_and_use(true), err);
    ck_assert_int_eq(mptest_fd_count(), fds);
    restore(v);
    mp_assert_ok(attach_and_use(true));
    restore(v);
}

static void poke(struct victim v, uint64_t offset, const void *bytes, size_t n)
{
    ck_assert_int_eq(pwrite(v.fd, bytes, n, (off_t)offset), (ssize_t)n);
}

MP_TEST(files_that_are_no_arena)
{
    struct victim v = make_victim();
    unsigned seed = 1;
    char noise[8192];
    for (int i = 0; i < 100; i++) {
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (char)rand_r(&seed);
        poke(v, 0, noise, sizeof noise);
        expect(v, MP_EFORMAT);
    }
    memset(noise, 0, sizeof noise);
    poke(v, 0, noise, sizeof noise);
    expect(v, MP_EFORMAT);
    end_victim(v);
}

MP_TEST(files_that_are_cut_off)
{
    struct victim v = make_victim();
    struct stat st;
    ck_assert_int_eq(fstat(v.fd, &st), 0);
    off_t sizes[] = {0,
                     1,
                     8,
                     15,
                     40,
                     4095,
                     4096,
                     5000,
                     65536,
                     st.st_size - 4096,
                     st.st_size - 1,
                     st.st_size + 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ck_assert_int_eq(ftruncate(v.fd, sizes[i]), 0);
        int fds = mptest_fd_count();
        mp_assert_err(attach_and_use(true), MP_EFORMAT);
        ck_assert_int_eq(mptest_fd_count(), fds);
        ck_assert_int_eq(ftruncate(v.fd, st.st_size), 0);
        restore(v);
        mp_assert_ok(attach_and_use(true));
        restore(v);
    }
    end_victim(v);
}

// Writes a sign with a checksum that is right.
static void poke_sign(struct victim v, struct mp__sign s)
{
    s.checksum = mp__checksum(&s, offsetof(struct mp__sign, checksum));
    poke(v, 0, &s, sizeof s);
}

MP_TEST(other_versions_and_machines)
{
    struct victim v = make_victim();
    struct mp__sign good, s;
    memcpy(&good, v.pristine, sizeof good);
    for (int d = -1; d <= 1; d += 2) {
        s = good;
        s.version += (uint32_t)d;
        poke_sign(v, s);
        expect(v, MP_EVERSION);
    }
    s = good;
    s.machine = __builtin_bswap32(s.machine);
    s.version = __builtin_bswap32(s.version);
    poke_sign(v, s);
    expect(v, MP_EVERSION);
    s = good;
    s.machine ^= 0xc00; // other pointers
    poke_sign(v, s);
    expect(v, MP_EVERSION);
    end_victim(v);
}

MP_TEST(signs_that_lie)
{
    struct victim v = make_victim();
    struct mp__sign good, s;
    memcpy(&good, v.pristine, sizeof good);
    uint64_t sizes[] = {0, 4096, good.size - 4096, good.size + 4096, UINT64_MAX, INT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        s = good;
        s.size = sizes[i];
        poke_sign(v, s);
        expect(v, MP_EFORMAT);
    }
    s = good;
    s.max = good.size;
    poke_sign(v, s);
    expect(v, MP_EFORMAT);
    s = good;
    s.purpose = 77;
    poke_sign(v, s);
    expect(v, MP_EFORMAT);
    s = good;
    s.purpose = MP__OF_USER;
    poke_sign(v, s);
    expect(v, MP_ETYPE);
    s = good;
    s.checksum ^= 1;
    poke(v, 0, &s, sizeof s);
    expect(v, MP_EFORMAT);
    end_victim(v);
}

MP_TEST(heads_that_lie)
{
    struct victim v = make_victim();
    const uint64_t bad[] = {0, 1, 4095, (uint64_t)1 << 46, UINT64_MAX, UINT64_MAX - 63};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        poke(v, offsetof(struct mp__arena_head, held), &bad[i], 8);
        expect(v, MP_EFORMAT);
        poke(v, offsetof(struct mp__arena_head, top), &bad[i], 8);
        expect(v, MP_EFORMAT);
        poke(v, offsetof(struct mp__arena_head, root), &bad[i], 8);
        expect(v, MP_EFORMAT);
    }
    uint64_t inside = v.object + 64;
    poke(v, offsetof(struct mp__arena_head, root), &inside, 8);
    expect(v, MP_EFORMAT);
    // Lists that point anywhere: allocation goes on without them.
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t k = 0; k < MP__CLASSES; k++)
            poke(v, offsetof(struct mp__arena_head, free) + 8 * k, &bad[i], 8);
        expect(v, 0);
        for (size_t k = 0; k < MP__PLACES_CHUNKS; k++)
            poke(v, offsetof(struct mp__arena_head, lives.chunk) + 8 * k, &bad[i], 8);
        expect(v, 0);
    }
    end_victim(v);
}

static void poke_object(struct victim v, struct mp__object o)
{
    size_t from = offsetof(struct mp__object, type);
    o.checksum =
        mp__checksum((const char *)&o + from, offsetof(struct mp__object, checksum) - from);
    poke(v, v.object, &o, sizeof o);
}

MP_TEST(objects_that_lie)
{
    struct victim v = make_victim();
    struct mp__object good, o;
    memcpy(&good, v.pristine + v.object, sizeof good);
    static const struct {
        uint16_t type;
        int err;
    } types[] = {
        {0, MP_EFORMAT}, {MP__TYPES, MP_EFORMAT}, {65535, MP_EFORMAT}, {MP__LOCK, MP_ETYPE}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        o = good;
        o.type = types[i].type;
        poke_object(v, o);
        expect(v, types[i].err);
    }
    o = good;
    o.version++;
    poke_object(v, o);
    expect(v, MP_EVERSION);
    const uint64_t offsets[] = {0, good.offset + 64, UINT64_MAX};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        o = good;
        o.offset = offsets[i];
        poke_object(v, o);
        expect(v, MP_EFORMAT);
    }
    const uint64_t sizes[] = {0, sizeof(struct thing) - 1, 100000, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        o = good;
        o.size = sizes[i];
        poke_object(v, o);
        expect(v, MP_EFORMAT);
    }
    o = good;
    o.checksum++;
    poke(v, v.object, &o, sizeof o);
    expect(v, MP_EFORMAT);
    uint32_t freed = MP__OBJECT_FREED;
    poke(v, v.object, &freed, sizeof freed);
    expect(v, MP_ENOTFOUND);
    end_victim(v);
}

// Every byte of the arena's head, of the block's and of the object's, turned over in several
// ways: an error or not, but no crash and nothing left behind.
MP_TEST_TIMEOUT(every_byte_turned_over, 120)
{
    struct victim v = make_victim();
    const unsigned char masks[] = {0x01, 0x80, 0xff};
    size_t lock = offsetof(struct mp__arena_head, lock);
    int fds = mptest_fd_count(), refused = 0, taken = 0;
    for (size_t at = 0; at < v.object + sizeof(struct mp__object); at++) {
        bool in_lock = at >= lock && at < lock + sizeof(struct mp__mutex);
        for (size_t m = 0; m < sizeof masks; m++) {
            unsigned char byte = (unsigned char)v.pristine[at] ^ masks[m];
            poke(v, at, &byte, 1);
            int r = attach_and_use(!in_lock); // a lock that somebody seems to hold is waited for
            ck_assert_int_le(r, 0);
            refused += r < 0;
            taken += r == 0;
            restore(v);
        }
    }
    ck_assert_int_ge(refused, 3 * (int)(offsetof(struct mp__arena_head, root)));
    ck_assert_int_gt(taken, 0);
    ck_assert_int_eq(mptest_fd_count(), fds);
    mp_assert_ok(attach_and_use(true));
    end_victim(v);
}
