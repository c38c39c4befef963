// SPDX-License-Identifier: MIT
#include "points.h"
#include "os/point.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define TRIES      120 // to get the deaths that are wanted at a point
#define ROUNDS     2000
#define GET_ON     20 // rounds of the companion after a death ...
#define MAX_POINTS 256

// Shared by all processes of the program.
static struct board {
    _Atomic int countdown, kills, deaths;
    _Atomic bool stop;
    _Atomic uint64_t companion_rounds;
    char name[64];
} * board;

static bool mortal;
static int deaths_wanted = 5, get_on_ms = 10000;
static const char *broken; // what MP__BROKEN() is true for
static const char *die_at; // see points_die_at()
static struct scenario *scenarios;

__attribute__((constructor)) static void make_board(void)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        abort();
    broken = getenv("MP_BREAK");
    if (getenv("MP_TEST_LONG") || broken)
        deaths_wanted = 25;
    if (broken)
        get_on_ms = 1500; // it is expected not to
}

void mp__point(const char *name)
{
    if (die_at && strcmp(name, die_at) == 0)
        kill(getpid(), SIGKILL);
    if (!mortal || atomic_load(&board->kills) <= 0 || strcmp(name, board->name) != 0)
        return;
    if (atomic_fetch_sub(&board->countdown, 1) > 0 || atomic_fetch_sub(&board->kills, 1) <= 0)
        return;
    atomic_fetch_add(&board->deaths, 1);
    kill(getpid(), SIGKILL);
}

bool mp__point_breaks(const char *what)
{
    return broken && strcmp(broken, what) == 0;
}

void points_arm(const char *name, int countdown, int kills)
{
    ck_assert_uint_lt(strlen(name), sizeof board->name);
    atomic_store(&board->kills, 0);
    strcpy(board->name, name);
    atomic_store(&board->deaths, 0);
    atomic_store(&board->countdown, countdown);
    atomic_store(&board->kills, kills);
}

int points_disarm(void)
{
    atomic_store(&board->kills, 0);
    return atomic_load(&board->deaths);
}

void points_mortal(void)
{
    mortal = true;
}

void points_die_at(const char *name)
{
    mortal = false;
    die_at = name;
}

void points_register(struct scenario *s)
{
    s->next = scenarios;
    scenarios = s;
}

static bool belongs(const struct scenario *s, const char *name)
{
    return strncmp(name, s->points, strlen(s->points)) == 0;
}

bool points_is_covered(const char *name)
{
    for (const struct scenario *s = scenarios; s; s = s->next)
        if (belongs(s, name))
            return true;
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *points_all(size_t *n)
{
    extern const char *const __start_mp_points[], *const __stop_mp_points[]; // NOLINT: the linker's
    static const char *all[MAX_POINTS];
    size_t listed = (size_t)(__stop_mp_points - __start_mp_points);
    const char **sorted = malloc(listed * sizeof *sorted);
    ck_assert_ptr_nonnull(sorted);
    memcpy(sorted, __start_mp_points, listed * sizeof *sorted);
    qsort(sorted, listed, sizeof *sorted, by_name);
    *n = 0;
    for (size_t i = 0; i < listed; i++) { // an inlined one is listed more than once
        if (*n == 0 || strcmp(all[*n - 1], sorted[i]) != 0) {
            ck_assert_uint_lt(*n, MAX_POINTS);
            all[(*n)++] = sorted[i];
        }
    }
    free(sorted);
    return all;
}

// ---- a scenario ----

static pid_t start(void (*run)(const struct scenario *, void *), const struct scenario *s,
                   void *object)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        run(s, object);
        _exit(0);
    }
    return pid;
}

static void be_victim(const struct scenario *s, void *object)
{
    points_mortal();
    for (int i = 0; i < ROUNDS && atomic_load(&board->kills) > 0; i++)
        s->round(object);
}

static void be_companion(const struct scenario *s, void *object)
{
    while (!atomic_load(&board->stop)) {
        s->round(object);
        atomic_fetch_add(&board->companion_rounds, 1);
    }
}

// How a process ended: exit code, -signal; one that hangs is killed, and fails the test.
static int end_of(pid_t pid, const char *name, const char *who)
{
    int status;
    pid_t done = 0;
    if (!mptest_eventually((done = waitpid(pid, &status, WNOHANG)) != 0, 2 * get_on_ms)) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        ck_abort_msg("after a death at %s the %s hangs", name, who);
    }
    ck_assert_int_eq(done, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Runs a victim until it dies at `name`. Returns whether it did.
static bool kill_one(const struct scenario *s, void *object, const char *name)
{
    points_arm(name, rand() % (1 << rand() % 4), 1); // some are passed once in a life
    int end = end_of(start(be_victim, s, object), name, "victim");
    bool died = points_disarm() > 0;
    if (end != (died ? -SIGKILL : 0))
        ck_abort_msg("at %s the victim %s, and ended with %d", name, died ? "died" : "lived", end);
    return died;
}

static void must_get_on(const char *name)
{
    uint64_t from = atomic_load(&board->companion_rounds);
    if (!mptest_eventually(atomic_load(&board->companion_rounds) >= from + GET_ON, get_on_ms))
        ck_abort_msg("after a death at %s the living do not get on: %d rounds in %d ms", name,
                     (int)(atomic_load(&board->companion_rounds) - from), get_on_ms);
}

static bool try_point(const struct scenario *s, const char *name, const char *before)
{
    void *object = s->make();
    pid_t companion = 0;
    atomic_store(&board->stop, false);
    if (before)
        kill_one(s, object, before);
    else
        companion = start(be_companion, s, object);
    bool died = kill_one(s, object, name);
    if (!companion)
        companion = start(be_companion, s, object);
    must_get_on(name);
    atomic_store(&board->stop, true);
    int end = end_of(companion, name, "companion");
    if (end != 0)
        ck_abort_msg("after a death at %s the companion ended with %d", name, end);
    if (s->check)
        s->check(object);
    s->end(object);
    return died;
}

void points_kill_at_each(const struct scenario *s)
{
    size_t n, tried = 0;
    const char *const *all = points_all(&n), *mine[MAX_POINTS];
    for (size_t i = 0; i < n; i++)
        if (belongs(s, all[i]))
            mine[tried++] = all[i];
    ck_assert_msg(tried > 0, "no point begins with %s", s->points);
    for (size_t i = 0; i < tried; i++) {
        int deaths = 0;
        for (int t = 0; t < TRIES && deaths < deaths_wanted; t++)
            deaths += try_point(s, mine[i], t % 2 ? mine[(size_t)rand() % tried] : NULL);
        ck_assert_msg(deaths == deaths_wanted, "%s was reached by %d of %d victims", mine[i],
                      deaths, TRIES);
    }
}
