// SPDX-License-Identifier: MIT
//
// What a manager keeps on disk: the same state comes back from the log, from a snapshot, and from
// both; a log that is cut off anywhere gives a beginning of its story; damage elsewhere is
// refused; and what was acknowledged under `always` survives kill -9.
#include "mgr.h"

#include "persist/persist.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct kept {
    struct mgr m;
    struct mp__persist *p;
    char warning[256];
};

static void warned(void *ctx, const char *text)
{
    struct kept *k = ctx;
    snprintf(k->warning, sizeof k->warning, "%s", text);
}

// Opens a directory and loads what is there; what mp__persist_load() returns.
static int start(struct kept *k, const char *dir, enum mp__fsync fsync)
{
    *k = (struct kept){.m.now = 1};
    struct mp__persist_opts po = {.dir = dir, .fsync = fsync, .warn = warned, .ctx = k};
    struct mp__core_opts o = {.hooks = {.ctx = &k->m, .send = mgr__send},
                              .instance = 0x7000000000007};
    mp_assert_ok(mp__persist_open(&k->p, &po));
    mp__persist_hooks(k->p, &o.hooks);
    mp_assert_ok(mp__core_new(&k->m.core, &o));
    return mp__persist_load(k->p, k->m.core);
}

static void stop(struct kept *k)
{
    mp__core_free(k->m.core);
    mp__persist_close(k->p);
}

// A directory that a test made, with its files.
static void clean(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    DIR *d = fdopendir(dup(fd));
    for (struct dirent *e; (e = readdir(d));)
        unlinkat(fd, e->d_name, 0);
    closedir(d);
    close(fd);
    ck_assert_int_eq(rmdir(dir), 0);
}

// All there is as records, to compare: their number, and a sum that knows no order of objects.
struct sum {
    uint64_t count, sum;
};

static int add_record(void *ctx, const void *data, size_t size)
{
    struct sum *s = ctx;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ ((const uint8_t *)data)[i]) * 1099511628211u;
    s->count++;
    s->sum += h;
    return 0;
}

static struct sum sum_of(struct kept *k)
{
    struct sum s = {0};
    mp_assert_ok(mp__core_save(k->m.core, add_record, &s));
    return s;
}

#define CALL(p, o, interface, name, ...)                                                           \
    (void)mgr_ask(p, MP__OP(interface, name), o, 0, __VA_ARGS__)

static uint64_t named(struct mgr_peer *p, const char *name, const char *type)
{
    const void *at;
    size_t n;
    mp_assert_ok(mgr_ask(p, MP__OP(MANAGER, get_or_create), 0, 0, "s s", name, type));
    mp_assert_ok(mgr_value(p, "[O# *]", &at, &n));
    return mgr_object_at(at);
}

// A session does this and that with an object of each type.
static void work(struct kept *k, unsigned seed, int rounds)
{
    struct mgr_peer *p = mgr_peer(&k->m);
    uint64_t list = named(p, "list", "list"), dict = named(p, "dict", "dict"),
             set = named(p, "set", "set"), queue = named(p, "queue", "Queue"),
             lifo = named(p, "lifo", "LifoQueue"), prio = named(p, "prio", "PriorityQueue"),
             tasks = named(p, "tasks", "JoinableQueue"), counter = named(p, "counter", "counter"),
             space = named(p, "space", "Namespace"), event = named(p, "event", "Event"),
             value = named(p, "value", "Value");
    named(p, "lock", "Lock");
    named(p, "condition", "Condition");
    for (int i = 0; i < rounds; i++) {
        int n = rand_r(&seed) % 100;
        CALL(p, list, LIST, append, "i", n);
        CALL(p, list, LIST, insert, "i s", n, "x");
        if (n % 3 == 0)
            CALL(p, list, LIST, pop, "i", n);
        CALL(p, dict, DICT, set, "i i", n % 20, i);
        CALL(p, dict, DICT, del, "i", (n + 7) % 20);
        if (n % 5 == 0)
            CALL(p, dict, DICT, popitem, "");
        CALL(p, set, SET, add, "i", n);
        if (n % 4 == 0)
            CALL(p, set, SET, pop, "");
        CALL(p, queue, QUEUE, put, "i", n);
        CALL(p, lifo, QUEUE, put, "i", n);
        CALL(p, prio, QUEUE, put, "i i", n, n % 7);
        CALL(p, tasks, QUEUE, put_many, "[ii]", n, i);
        if (n % 2 == 0) {
            CALL(p, queue, QUEUE, get, "");
            CALL(p, lifo, QUEUE, get, "");
            CALL(p, prio, QUEUE, get, "");
            CALL(p, tasks, QUEUE, get, "");
        }
        if (n % 4 == 0)
            CALL(p, tasks, QUEUE, task_done, "");
        CALL(p, counter, COUNTER, add, "i", n);
        CALL(p, space, NAMESPACE, set, "s i", n % 2 ? "a" : "b", i);
        CALL(p, value, VALUE, set, "[i s]", i, "v");
        if (n % 6 == 0) { // a dict in the list, which nobody else has
            uint64_t inner = mgr_create(p, "s {s:i}", "dict", "n", n);
            struct mgr_ref r = mgr_ref(inner);
            CALL(p, list, LIST, append, "O#", r.bytes, sizeof r.bytes);
            CALL(p, inner, DICT, set, "s s", "later", "yes");
        }
        if (n % 9 == 0)
            CALL(p, event, EVENT, set, "");
        CALL(p, 0, MANAGER, batch, "t [U U i]", true, (uint64_t)MP__OP(COUNTER, add), counter, 1);
    }
    mgr_create(p, "s", "list"); // nobody's, in the end
    mgr_gone(p);                // and what it took of `tasks` returns
    mp_assert_ok(mp__persist_commit(k->p, 1));
}

static void same_after_restart(struct kept *k, const char *dir)
{
    struct sum before = sum_of(k), after;
    stop(k);
    mp_assert_ok(start(k, dir, MP__FSYNC_NO));
    ck_assert_str_eq(k->warning, "");
    struct mgr_peer *p = mgr_peer(&k->m); // drops what nobody refers to
    mgr_check(&k->m);
    mgr_gone(p);
    after = sum_of(k);
    ck_assert_uint_eq(before.count, after.count);
    ck_assert_uint_eq(before.sum, after.sum);
}

MP_TEST(log_and_snapshots_give_the_same)
{
    struct kept k;
    mkdir("d", 0700);
    mp_assert_ok(start(&k, "d", MP__FSYNC_NO));
    work(&k, 1, 300);
    same_after_restart(&k, "d"); // the log
    work(&k, 2, 100);
    same_after_restart(&k, "d");
    mp_assert_ok(mp__persist_snapshot(k.p, k.m.core));
    ck_assert_int_lt(mp__persist_log_size(k.p), 100);
    ck_assert_int_ne(access("d/log.0", F_OK), 0);
    same_after_restart(&k, "d"); // the snapshot
    work(&k, 3, 100);
    same_after_restart(&k, "d"); // both
    struct mgr_peer *p = mgr_peer(&k.m);
    uint64_t c = named(p, "counter", "counter");
    mp_assert_ok(mgr_ask(p, MP__OP(COUNTER, add), c, 0, "i", 1));
    mgr_gone(p);
    stop(&k);
    clean("d");
}

MP_TEST(objects_keep_their_numbers_and_contents)
{
    struct kept k;
    mkdir("d", 0700);
    mp_assert_ok(start(&k, "d", MP__FSYNC_EVERYSEC));
    struct mgr_peer *p = mgr_peer(&k.m);
    uint64_t d = named(p, "d", "dict"), q = named(p, "q", "JoinableQueue"),
             l = named(p, "l", "Lock");
    mp_assert_ok(mgr_ask(p, MP__OP(DICT, set), d, 0, "s s", "key", "a value of some length"));
    mp_assert_ok(mgr_ask(p, MP__OP(QUEUE, put), q, 0, "i", 1));
    mp_assert_ok(mgr_ask(p, MP__OP(QUEUE, put), q, 0, "i", 2));
    mp_assert_ok(mgr_ask(p, MP__OP(QUEUE, get), q, 0, ""));
    mp_assert_ok(mgr_ask(p, MP__OP(LOCK, acquire), l, 0, ""));
    uint64_t unnamed = mgr_create(p, "s", "list");
    mp_assert_ok(mp__persist_commit(k.p, 1));
    stop(&k); // as it is, with a session that has things
    for (size_t i = 0; i < p->count; i++)
        mp_buf_free(&p->replies[i].value);
    mp_buf_free(&p->value);
    mp_buf_free(&p->message);
    free(p);

    mp_assert_ok(start(&k, "d", MP__FSYNC_EVERYSEC));
    p = mgr_peer(&k.m);
    ck_assert_uint_eq(named(p, "d", "dict"), d);
    mp_assert_ok(mgr_ask(p, MP__OP(DICT, get), d, 0, "s", "key"));
    ck_assert(mgr_equals(p, "s", "a value of some length"));
    mp_assert_ok(mgr_ask(p, MP__OP(QUEUE, get), q, 0, "")); // was taken, and not acknowledged
    ck_assert_int_eq(mgr_int(p), 1);
    mp_assert_ok(mgr_ask(p, MP__OP(LOCK, acquire), l, 0, ""));
    mp_assert_err(mgr_ask(p, MP__OP(LIST, len), unnamed, 0, ""), MP_ESTALE);
    ck_assert_uint_gt(mgr_create(p, "s", "list"), 0);
    mgr_gone(p);
    stop(&k);
    clean("d");
}

// What was collected because it was in a ring does not come back from the log.
MP_TEST(rings_do_not_come_back)
{
    struct kept k;
    mkdir("d", 0700);
    mp_assert_ok(start(&k, "d", MP__FSYNC_NO));
    struct mgr_peer *p = mgr_peer(&k.m);
    named(p, "keep", "list");
    for (int i = 0; i < 50; i++) {
        uint64_t l = mgr_create(p, "s", "list");
        struct mgr_ref r = mgr_ref(l);
        mp_assert_ok(mgr_ask(p, MP__OP(LIST, append), l, 0, "O#", r.bytes, sizeof r.bytes));
        mp_assert_ok(mgr_ask(p, MP__OP(MANAGER, decref), l, 0, ""));
    }
    mgr_gone(p);
    mp_assert_ok(mp__persist_commit(k.p, 1));
    stop(&k);
    mp_assert_ok(start(&k, "d", MP__FSYNC_NO));
    p = mgr_peer(&k.m);
    ck_assert_uint_eq(mp__core_stats(k.m.core).objects, 1);
    mgr_gone(p);
    stop(&k);
    clean("d");
}

static void copy_file(const char *from, const char *to, size_t size)
{
    char *bytes = malloc(size + 1);
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_eq(read(in, bytes, size), (ssize_t)size);
    ck_assert_int_eq(write(out, bytes, size), (ssize_t)size);
    close(in);
    close(out);
    free(bytes);
}

static size_t size_of(const char *file)
{
    struct stat st;
    return stat(file, &st) < 0 ? 0 : (size_t)st.st_size;
}

// Cut at every byte: it loads, says so, and goes on; nothing that was before the cut is missing,
// and of a batch there is all or nothing.
MP_TEST_TIMEOUT(log_may_be_cut_anywhere, 60)
{
    struct kept k;
    mkdir("d", 0700);
    mkdir("cut", 0700);
    mp_assert_ok(start(&k, "d", MP__FSYNC_NO));
    struct mgr_peer *p = mgr_peer(&k.m);
    uint64_t c = named(p, "c", "counter");
    size_t ends[20];
    for (int i = 0; i < 20; i++) {
        mp_assert_ok(mgr_ask(p, MP__OP(MANAGER, batch), 0, 0, "n [U U] [U U i]",
                             (uint64_t)MP__OP(COUNTER, add), c, (uint64_t)MP__OP(COUNTER, add), c,
                             1));
        ends[i] = (size_t)mp__persist_log_size(k.p);
    }
    mgr_gone(p);
    mp_assert_ok(mp__persist_commit(k.p, 1));
    stop(&k);
    for (size_t cut = 0, whole = 0, all = size_of("d/log.0"); cut <= all; cut++) {
        whole += whole < 20 && cut >= ends[whole];
        copy_file("d/log.0", "cut/log.0", cut);
        mp_assert_ok(start(&k, "cut", MP__FSYNC_NO));
        p = mgr_peer(&k.m);
        c = named(p, "c", "counter");
        mp_assert_ok(mgr_ask(p, MP__OP(COUNTER, get), c, 0, ""));
        ck_assert_int_eq(mgr_int(p), 2 * (int64_t)whole);
        mgr_gone(p);
        mp_assert_ok(mp__persist_commit(k.p, 1));
        stop(&k);
    }
    clean("d");
    clean("cut");
}

MP_TEST(damage_is_refused_and_told)
{
    struct kept k;
    mkdir("d", 0700);
    mp_assert_ok(start(&k, "d", MP__FSYNC_NO));
    work(&k, 1, 20);
    stop(&k);
    size_t all = size_of("d/log.0");
    for (size_t at = 0; at < all - 200; at += 37) {
        char byte;
        int fd = open("d/log.0", O_RDWR);
        ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
        byte ^= 0x10;
        ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
        int r = start(&k, "d", MP__FSYNC_NO);
        // A size that reaches beyond the end looks as if cut off; all else is refused.
        ck_assert_msg(r < 0 || k.warning[0], "byte %zu", at);
        ck_assert(r == 0 || k.warning[0]);
        stop(&k);
        if (size_of("d/log.0") < all) { // was cut
            close(fd);
            break;
        }
        byte ^= 0x10;
        ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
        close(fd);
    }
    clean("d");
}

MP_TEST(directory_is_ones_own)
{
    struct kept k;
    struct mp__persist *other;
    mkdir("d", 0700);
    mp_assert_ok(start(&k, "d", MP__FSYNC_NO));
    mp_assert_err(mp__persist_open(&other, &(struct mp__persist_opts){.dir = "d"}), MP_ESTATE);
    stop(&k);
    mkdir("open", 0700);
    chmod("open", 0777);
    mp_assert_err(mp__persist_open(&other, &(struct mp__persist_opts){.dir = "open"}), MP_EUNSAFE);
    mp_assert_err(mp__persist_open(&other, &(struct mp__persist_opts){.dir = "none"}), -ENOENT);
    mp_assert_err(mp__persist_open(&other, &(struct mp__persist_opts){0}), MP_EINVAL);
    clean("d");
    clean("open");
}

// A manager that adds to a counter, and tells the pipe what was acknowledged, until it is killed.
static _Noreturn void adder(const char *dir, int to, bool snapshots)
{
    struct kept k;
    mptest_require(start(&k, dir, MP__FSYNC_ALWAYS) == 0);
    struct mgr_peer *p = mgr_peer(&k.m);
    uint64_t c = named(p, "c", "counter");
    for (unsigned i = 0;; i++) {
        int r = mgr_ask(p, MP__OP(COUNTER, add), c, 0, "");
        if (r == MGR_WAITS && mp__persist_commit(k.p, 1) == 0) // it was held
            r = mgr_answer(p, p->id);
        mptest_require(r == 0);
        int64_t n = mgr_int(p);
        mptest_require(write(to, &n, sizeof n) == sizeof n);
        if (snapshots && i % 8 == 7)
            mptest_require(mp__persist_snapshot(k.p, k.m.core) == 0);
    }
}

// get_or_create is held, too.
static _Noreturn void prepare(const char *dir)
{
    struct kept k;
    mptest_require(start(&k, dir, MP__FSYNC_NO) == 0);
    struct mgr_peer *p = mgr_peer(&k.m);
    named(p, "c", "counter");
    mptest_require(mp__persist_commit(k.p, 1) == 0);
    mptest_require(mp__persist_snapshot(k.p, k.m.core) == 0);
    _exit(0);
}

static int64_t value_in(const char *dir)
{
    struct kept k;
    mp_assert_ok(start(&k, dir, MP__FSYNC_NO));
    struct mgr_peer *p = mgr_peer(&k.m);
    uint64_t c = named(p, "c", "counter");
    mp_assert_ok(mgr_ask(p, MP__OP(COUNTER, get), c, 0, ""));
    int64_t n = mgr_int(p);
    mgr_gone(p);
    stop(&k);
    return n;
}

static void kill_adders(bool snapshots)
{
    int64_t last = 0;
    mkdir("d", 0700);
    pid_t pid = fork();
    if (pid == 0)
        prepare("d");
    waitpid(pid, NULL, 0);
    int rounds = getenv("MP_TEST_LONG") ? 1000 : 10;
    for (int round = 0; round < rounds; round++) {
        int ends[2];
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0)
            adder("d", ends[1], snapshots);
        close(ends[1]);
        int64_t n;
        for (int i = 0; i < 1 + round % 7; i++)
            ck_assert_int_eq(read(ends[0], &n, sizeof n), (ssize_t)sizeof n);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        do
            last = n;
        while (read(ends[0], &n, sizeof n) == sizeof n);
        close(ends[0]);
        int64_t now = value_in("d");
        ck_assert_msg(now == last || now == last + 1, "acknowledged %lld, there is %lld",
                      (long long)last, (long long)now);
        last = now;
    }
}

MP_TEST_TIMEOUT(kill_loses_nothing_acknowledged, 900)
{
    kill_adders(false);
    clean("d");
}

MP_TEST_TIMEOUT(kill_inside_snapshots_loses_nothing, 900)
{
    kill_adders(true);
    clean("d");
}

// ---- a disk that is slow, or broken ------------------------------------------------------

static _Atomic int slow = -1;    // a byte from there lets it go on
static _Atomic int broken_errno; // it fails like this

// In place of the C library's, in this program.
int fdatasync(int fd)
{
    char byte;
    if (slow >= 0)
        (void)!read(slow, &byte, 1);
    errno = broken_errno;
    return broken_errno ? -1 : (int)syscall(SYS_fdatasync, fd);
}

// With everysec nobody waits for the disk, and the next sync for the one before it.
MP_TEST(a_slow_disk_stops_nobody)
{
    struct kept k;
    int fds[2];
    int64_t now = INT64_C(10000000000);
    ck_assert_int_eq(mkdir("slow", 0700), 0);
    ck_assert_int_eq(pipe(fds), 0);
    mp_assert_ok(start(&k, "slow", MP__FSYNC_EVERYSEC));
    struct mgr_peer *p = mgr_peer(&k.m);
    uint64_t d = mgr_create(p, "s", "dict");
    slow = fds[0];
    for (int i = 0; i < 5; i++) { // it is at the first one all the time
        mp_assert_ok(mgr_ask(p, MP__OP(DICT, set), d, 0, "i i", i, i));
        mp_assert_ok(mp__persist_commit(k.p, now += 1000000000));
        ck_assert_int_eq(mp__persist_deadline(k.p), now + 1000000000);
    }
    ck_assert_int_eq(write(fds[1], "xx", 2), 2); // the first, and the others together
    ck_assert(mptest_eventually(mp__persist_commit(k.p, now += 1000000000) == 0 &&
                                    mp__persist_deadline(k.p) == INT64_MAX,
                                20000));
    slow = -1;
    broken_errno = EIO;
    mp_assert_ok(mgr_ask(p, MP__OP(DICT, set), d, 0, "i i", 9, 9));
    ck_assert(mptest_eventually(mp__persist_commit(k.p, now += 1000000000) == -EIO, 20000));
    ck_assert_msg(strstr(k.warning, "cannot be synced") != NULL, "%s", k.warning);
    broken_errno = 0;
    mgr_gone(p);
    stop(&k);
    close(fds[0]);
    close(fds[1]);
    mp_buf_free(&k.m.record);
    clean("slow");
}

MP_TEST(snapshot_in_a_child)
{
    struct kept k;
    mkdir("d", 0700);
    mp_assert_ok(start(&k, "d", MP__FSYNC_NO));
    work(&k, 1, 50);
    pid_t pid = mp__persist_snapshot_begin(k.p, k.m.core);
    ck_assert_int_gt(pid, 0);
    mp_assert_err(mp__persist_snapshot(k.p, k.m.core), MP_ESTATE);
    work(&k, 2, 50); // goes into the next log
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    mp_assert_ok(mp__persist_snapshot_end(k.p, true));
    ck_assert_int_ne(access("d/log.0", F_OK), 0);
    same_after_restart(&k, "d");
    work(&k, 3, 20);
    pid = mp__persist_snapshot_begin(k.p, k.m.core); // one that fails
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    mp_assert_ok(mp__persist_snapshot_end(k.p, false));
    work(&k, 4, 20);
    same_after_restart(&k, "d"); // two logs
    stop(&k);
    clean("d");
}
