// SPDX-License-Identifier: MIT
//
// Three processes run a test:
//
//   runner    the program: Check, its timeouts and its report;
//   keeper    what Check forks: makes the test's directory, stays behind as the reaper
//             of all orphans (so they are seen, and reaped as init would), and looks
//             in the end whether a descendant or a file is left;
//   test      forked by the keeper: runs the body, and compares its own descriptors,
//             threads and children with what they were before.
//
// Keeper and test are two, so that a child that the test forgot and an orphan that
// lost its parent as intended are told apart. Check's messages go through a file that
// both have open, so an assertion may fail in either.
#include "mptest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static struct mptest *first, **last = &first;
static bool forking = true;
static char base_dir[256];
static atomic_int *skipped; // shared by all three
static bool private_shm;
static const struct mptest *running;
static jmp_buf on_skip;

// Options of the sanitizers, weaker than those of the environment. Children that
// crash shall die of the signal, and sizes that cannot be had shall be an error.
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_abort=0:"
           "allocator_may_return_null=1";
}
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_abort=0:"
           "allocator_may_return_null=1";
}

// A list of names, for "what is there that was not before".

struct names {
    char **v;
    size_t n;
};

static void names_add(struct names *s, const char *name)
{
    s->v = realloc(s->v, (s->n + 1) * sizeof *s->v);
    ck_assert_ptr_nonnull(s->v);
    s->v[s->n] = strdup(name);
    ck_assert_ptr_nonnull(s->v[s->n++]);
}

static bool names_has(const struct names *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i], name) == 0)
            return true;
    return false;
}

static void names_free(struct names *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (struct names){0};
}

// What mkdtemp() made of the name of this program's directory.
static const char *tag(void)
{
    return strrchr(base_dir, '-') + 1;
}

// Nothing of Check's in here: it takes memory, and there are tests that have none.
const char *mptest_name(const char *what)
{
    static char names[16][65];
    char name[65];
    size_t i = 0;
    snprintf(name, sizeof name, "%s-%s", what, tag());
    while (i < sizeof names / sizeof *names && *names[i] && strcmp(names[i], name) != 0)
        i++;
    mptest_require(i < sizeof names / sizeof *names);
    return strcpy(names[i], name);
}

static struct names list_dir(const char *path)
{
    struct names s = {0};
    DIR *d = opendir(path);
    if (!d)
        return s;
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            names_add(&s, e->d_name);
    closedir(d);
    return s;
}

// What lies in a /dev/shm that is everybody's is the test's if it has its name.
static struct names list_shm(void)
{
    struct names all = list_dir("/dev/shm"), ours = {0};
    if (private_shm)
        return all;
    for (size_t i = 0; i < all.n; i++)
        if (strstr(all.v[i], tag()))
            names_add(&ours, all.v[i]);
    names_free(&all);
    return ours;
}

static bool has_more_shm(const struct names *before)
{
    struct names now = list_shm();
    bool more = false;
    for (size_t i = 0; i < now.n; i++)
        more |= !names_has(before, now.v[i]);
    names_free(&now);
    return more;
}

// "7 -> pipe:[123]" for each open descriptor. The target is part of it, so that one
// closed and another opened in its place is seen.
static struct names list_fds(void)
{
    struct names s = {0};
    DIR *d = opendir("/proc/self/fd");
    ck_assert_msg(d != NULL, "/proc/self/fd: %s", strerror(errno));
    for (struct dirent *e; (e = readdir(d));) {
        char target[256], line[600];
        if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(d))
            continue;
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        snprintf(line, sizeof line, "%s -> %s", e->d_name, target);
        names_add(&s, line);
    }
    closedir(d);
    return s;
}

// Adds "<what> <name>, " to text for each name of `more` that is not in `less`.
static void describe(char *text, size_t size, const char *what, const struct names *more,
                     const struct names *less)
{
    for (size_t i = 0; i < more->n; i++) {
        size_t len = strlen(text);
        if (!names_has(less, more->v[i]))
            snprintf(text + len, size - len, "%s%s %s", len ? ", " : "", what, more->v[i]);
    }
}

// Adds the processes whose parent is this one: "child 12 (name, Z)".
static void describe_children(char *text, size_t size, const char *what)
{
    struct names all = list_dir("/proc");
    for (size_t i = 0; i < all.n; i++) {
        char path[300], line[512] = "", state;
        int ppid;
        snprintf(path, sizeof path, "/proc/%s/stat", all.v[i]);
        FILE *f = atoi(all.v[i]) > 0 ? fopen(path, "re") : NULL;
        if (!f)
            continue;
        char *got = fgets(line, sizeof line, f);
        fclose(f);
        char *open = got ? strchr(line, '(') : NULL, *close = got ? strrchr(line, ')') : NULL;
        if (!open || !close || sscanf(close + 1, " %c %d", &state, &ppid) != 2 || ppid != getpid())
            continue;
        *close = '\0';
        size_t len = strlen(text);
        snprintf(text + len, size - len, "%s%s %s (%s%s)", len ? ", " : "", what, all.v[i],
                 open + 1, state == 'Z' ? ", a zombie" : "");
    }
    names_free(&all);
}

static bool has_child(void)
{
    siginfo_t si;
    return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int thread_count(void)
{
    struct names s = list_dir("/proc/self/task");
    int n = (int)s.n;
    names_free(&s);
    return n;
}

// For what ends by itself: a killed orphan, a thread after join. MPTEST_GRACE_MS has another time,
// for who knows that it will not.
static int grace_ms(void)
{
    const char *ms = getenv("MPTEST_GRACE_MS");
    return ms ? atoi(ms) : 10000;
}

int mptest_fd_count(void)
{
    struct names s = list_fds();
    int n = (int)s.n;
    names_free(&s);
    return n;
}

void mptest_need_fds(int n)
{
    struct rlimit l;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &l), 0);
    if (l.rlim_max < (rlim_t)n)
        mp_skip("so many descriptors may not be open here");
    l.rlim_cur = l.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &l), 0);
}

int64_t mptest_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int mptest_in_child(int (*fn)(void *), void *arg)
{
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        int code = fn(arg);
        fflush(NULL);
        _exit(code);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        ck_assert_int_eq(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

_Noreturn void mp_skip(const char *reason)
{
    fflush(stdout);
    dprintf(1, "SKIP %s:%s: %s\n", program_invocation_short_name, running->check.name, reason);
    atomic_fetch_add(skipped, 1);
    longjmp(on_skip, 1);
}

// False if it was skipped: whenever it noticed that, it tidied up nothing.
static bool run_body(const struct mptest *t)
{
    running = t;
    if (setjmp(on_skip) != 0)
        return false;
    t->body();
    return true;
}

// libmp keeps the way to an mpproxy that it started; where that part is not linked in, there
// is none.
__attribute__((weak)) void mp__proxy_leave(void);

// The same of the forkserver; and a program that is started again by a test (mp/start.h) is a
// process of that test, not another runner.
__attribute__((weak)) void mp__forkserver_leave(void);
__attribute__((weak)) int mp_runtime_init(void);

// The test process.
static _Noreturn void be_test(const struct mptest *t)
{
    char left[4000] = "";
    struct names before = list_fds();
    int threads = thread_count();

    if (!run_body(t))
        exit(0);

    if (mp__proxy_leave)
        mp__proxy_leave();
    if (mp__forkserver_leave)
        mp__forkserver_leave();
    if (has_child())
        describe_children(left, sizeof left, "child");
    // TSan has a thread of its own, which it starts when it likes.
    if (!MPTEST_TSAN && !mptest_eventually(thread_count() <= threads, grace_ms()))
        snprintf(left + strlen(left), sizeof left - strlen(left), "%s%d threads more",
                 *left ? ", " : "", thread_count() - threads);
    struct names after = list_fds();
    describe(left, sizeof left, "open", &after, &before);
    describe(left, sizeof left, "no longer open", &before, &after);
    names_free(&before);
    names_free(&after);
    ck_assert_msg(!*left, "the test leaves: %s", left);
    exit(0);
}

// Waits for the test, and buries the orphans that die meanwhile.
static int await_test(pid_t test)
{
    for (;;) {
        int status;
        pid_t pid = wait(&status);
        if (pid == test)
            return status;
        ck_assert_msg(pid > 0 || errno == EINTR, "wait: %s", strerror(errno));
    }
}

// Ends the keeper as the test ended, so that Check reports that.
static void end_alike(int status)
{
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static bool orphans_gone(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return !has_child();
}

// Its name is short, since that of a socket in it may be 107 bytes long.
static void enter_private_dir(int number, char *dir, size_t size)
{
    snprintf(dir, size, "%s/%d", base_dir, number);
    ck_assert_msg(mkdir(dir, 0700) == 0, "%s: %s", dir, strerror(errno));
    ck_assert_int_eq(setenv("TMPDIR", dir, 1), 0);
    ck_assert_int_eq(chdir(dir), 0);
}

void mptest_run(const struct mptest *t)
{
    if (!forking) {
        (void)run_body(t);
        return;
    }
    char dir[512], left[4000] = "";
    int skips = atomic_load(skipped);
    enter_private_dir(t->number, dir, sizeof dir);
    // Check's own handlers, which a test's children would inherit, kill the whole group.
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); // what crashes on purpose leaves no file
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct names shm = list_shm(), none = {0};

    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        be_test(t);
    end_alike(await_test(pid));

    if (!mptest_eventually(orphans_gone(), grace_ms()))
        describe_children(left, sizeof left, "process");
    (void)mptest_eventually(!has_more_shm(&shm), grace_ms()); // a killed orphan's
    struct names shm_after = list_shm(), files = {0};
    if (atomic_load(skipped) == skips)
        files = list_dir(dir);
    describe(left, sizeof left, "/dev/shm entry", &shm_after, &shm);
    describe(left, sizeof left, "file in TMPDIR", &files, &none);
    names_free(&shm);
    names_free(&shm_after);
    names_free(&files);
    ck_assert_msg(!*left, "the test leaves: %s", left);
}

void mptest_register(struct mptest *t)
{
    static int registered;
    t->number = ++registered;
    *last = t;
    last = &t->next;
}

// The runner.

static bool has_debugger(void)
{
    char line[256];
    int tracer = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "TracerPid: %d", &tracer) == 1)
            break;
    if (f)
        fclose(f);
    return tracer != 0;
}

// A /dev/shm of our own where the system lets us, so that what other programs do
// there meanwhile is not taken for a leak.
static void make_private_shm(void)
{
    // In a chroot / is no mount point, but /dev/shm may be.
    if (unshare(CLONE_NEWNS) == 0 && (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ||
                                      mount("none", "/dev/shm", NULL, MS_PRIVATE, NULL) == 0))
        private_shm = mount("mptest", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0;
}

// What the caller happens to have open would be in the way where a test limits descriptors. Those
// of the library are close-on-exec.
static void close_inherited(void)
{
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; d && (e = readdir(d));) {
        int fd = atoi(e->d_name);
        if (fd > 2 && fcntl(fd, F_GETFD) == 0)
            close(fd);
    }
    if (d)
        closedir(d);
}

// An unprivileged user may have no more descriptors under way in sockets than one process may have
// open, in all that he runs together: with the 1024 that are usual, tests side by side fail with
// ETOOMANYREFS.
static void raise_fd_limit(void)
{
    struct rlimit l;
    const rlim_t enough = 20000;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= enough)
        return;
    l.rlim_cur = l.rlim_max < enough ? l.rlim_max : enough;
    setrlimit(RLIMIT_NOFILE, &l);
}

// TMPDIR, unless the names of sockets there would be too long, or a /dev/shm of our own hides it.
static const char *temporary(void)
{
    const char *tmp = getenv("TMPDIR");
    return tmp && *tmp == '/' && strlen(tmp) <= 40 && strncmp(tmp, "/dev/shm", 8) != 0 ? tmp
                                                                                       : "/tmp";
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static SRunner *make_runner(const char *suite)
{
    Suite *s = suite_create(suite);
    for (const struct mptest *t = first; t; t = t->next) {
        TCase *tc = tcase_create(t->check.name);
        tcase_set_timeout(tc, t->timeout_s);
        tcase_add_test(tc, &t->check);
        suite_add_tcase(s, tc);
    }
    SRunner *sr = srunner_create(s);
    if (!getenv("CK_FORK") && has_debugger())
        srunner_set_fork_status(sr, CK_NOFORK);
    forking = srunner_fork_status(sr) == CK_FORK;
    return sr;
}

int main(int argc, char **argv)
{
    if (mp_runtime_init && mp_runtime_init() < 0)
        return 2;
    const char *suite = program_invocation_short_name;
    close_inherited();
    raise_fd_limit();
    snprintf(base_dir, sizeof base_dir, "%s/mptest-XXXXXX", temporary());
    skipped =
        mmap(NULL, sizeof *skipped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (skipped == MAP_FAILED || !mkdtemp(base_dir)) {
        perror(base_dir);
        return 2;
    }
    setenv("CK_TIMEOUT_MULTIPLIER", MPTEST_ASAN || MPTEST_TSAN ? "8" : "3", 0);
    make_private_shm();

    SRunner *sr = make_runner(strncmp(suite, "test_", 5) == 0 ? suite + 5 : suite);
    srunner_run(sr, NULL, argc > 1 ? argv[1] : getenv("CK_RUN_CASE"), CK_ENV);
    int run = srunner_ntests_run(sr), failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    nftw(base_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (run == 0)
        fprintf(stderr, "%s: no such test\n", suite);
    return failed || run == 0 ? 1 : *skipped == run ? 77 : 0;
}
