// SPDX-License-Identifier: MIT
//
// Consumers and producers killed at random while items flow. With MP_TEST_LONG=1 in the environment
// a million items and 200 kills; else a twentieth.
#include "channel/queue.h"
#include "mptest.h"

#include <errno.h>
#include <mp/arena.h>
#include <mp/queue.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define PRODUCERS 4
#define CONSUMERS 4

static struct board {
    _Atomic uint64_t got[CONSUMERS]; // by each consumer, of all its lives
    _Atomic int deaths;
    _Atomic uint8_t seen[]; // how often item i was got
} * board;
static uint64_t n_items;
static int n_kills;

static void make_board(void)
{
    bool all = getenv("MP_TEST_LONG") != NULL;
    n_items = all ? 1000000 : 50000;
    n_kills = all ? 200 : 10;
    board = mmap(NULL, sizeof *board + n_items, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    ck_assert_ptr_ne(board, MAP_FAILED);
}

// An item is its number over and over; longer and shorter ones.
static size_t write_item(uint64_t *buf, uint64_t number)
{
    size_t words = 2 + number % 30 + (number % 1000 == 0 ? 400 : 0);
    for (size_t i = 0; i < words; i++)
        buf[i] = number;
    return words * 8;
}

static void produce(mp_queue *q, int index)
{
    uint64_t buf[512];
    for (uint64_t i = (uint64_t)index; i < n_items; i += PRODUCERS) {
        // Deaths all the way through: the items shall not be gone before the consumers are.
        while (i * (uint64_t)n_kills > (uint64_t)(atomic_load(&board->deaths) + 1) * n_items)
            usleep(50);
        size_t size = write_item(buf, i);
        mptest_require(mp_queue_put(q, buf, size, MP_FOREVER) == 0);
    }
}

static void check_item(const uint64_t *buf, int64_t size)
{
    uint64_t want[512];
    mptest_require(size >= 16 && buf[0] < n_items);
    mptest_require(write_item(want, buf[0]) == (size_t)size &&
                   memcmp(buf, want, (size_t)size) == 0);
}

static void consume(mp_queue *q, int index, bool ack)
{
    uint64_t buf[512];
    int64_t n;
    while ((n = mp_queue_get(q, buf, sizeof buf, MP_FOREVER)) >= 0) {
        check_item(buf, n);
        atomic_fetch_add(&board->seen[buf[0]], 1);
        atomic_fetch_add(&board->got[index], 1);
        if (ack)
            mptest_require(mp_queue_task_done(q) == 0);
    }
    mptest_require(n == MP_EOF);
}

static pid_t start_consumer(mp_queue *q, int index, bool ack)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        consume(q, index, ack);
        _exit(0);
    }
    return pid;
}

// Kills consumer after consumer and starts another in its place, until the producers are
// done. Returns how many died.
static int kill_consumers(mp_queue *q, pid_t *consumers, pid_t *producers, bool ack)
{
    int deaths = 0, running = PRODUCERS, status;
    while (running || deaths < n_kills) {
        for (int i = 0; i < PRODUCERS; i++) {
            if (producers[i] && waitpid(producers[i], &status, WNOHANG) == producers[i]) {
                ck_assert_int_eq(status, 0);
                producers[i] = 0;
                running--;
            }
        }
        int victim = rand() % CONSUMERS;
        uint64_t before = atomic_load(&board->got[victim]);
        mptest_eventually(atomic_load(&board->got[victim]) > before, 20); // it is at work
        usleep((useconds_t)(rand() % 500));
        if (deaths >= n_kills)
            continue;
        kill(consumers[victim], SIGKILL);
        waitpid(consumers[victim], &status, 0);
        if (WIFEXITED(status)) // it was faster
            ck_assert_int_eq(WEXITSTATUS(status), 0);
        deaths += WIFSIGNALED(status);
        atomic_store(&board->deaths, deaths);
        consumers[victim] = start_consumer(q, victim, ack);
    }
    return deaths;
}

static void flow(bool ack, mp_queue_kind kind)
{
    mp_queue *q;
    pid_t consumers[CONSUMERS], producers[PRODUCERS];
    make_board();
    mp_assert_ok(mp_queue_new(&q, &(mp_queue_opts){.ack = ack, .kind = kind, .max_items = 2000}));
    for (int i = 0; i < CONSUMERS; i++)
        consumers[i] = start_consumer(q, i, ack);
    for (int i = 0; i < PRODUCERS; i++) {
        if ((producers[i] = fork()) == 0) {
            produce(q, i);
            _exit(0);
        }
    }
    int deaths = kill_consumers(q, consumers, producers, ack), status;
    mp_assert_ok(mp_queue_shutdown(q, MP_DRAIN));
    for (int i = 0; i < CONSUMERS; i++) {
        ck_assert_int_eq(waitpid(consumers[i], &status, 0), consumers[i]);
        ck_assert_int_eq(status, 0);
    }
    int lost = 0, twice = 0;
    for (uint64_t i = 0; i < n_items; i++) {
        lost += board->seen[i] == 0;
        twice += board->seen[i] > 1;
    }
    ck_assert_int_eq(deaths, n_kills);
    if (getenv("MP_TEST_LONG"))
        printf("%llu items, %d deaths: %d lost, %d twice\n", (unsigned long long)n_items, deaths,
               lost, twice);
    ck_assert_msg(lost <= (ack ? 0 : deaths), "%d items lost by %d deaths", lost, deaths);
    ck_assert_msg(twice <= (ack ? deaths : 0), "%d items twice after %d deaths", twice, deaths);
    ck_assert_int_eq(mp_queue_size(q), 0);
    if (ack)
        mp_assert_ok(mp_queue_join(q, 0));
    mp_queue_free(q);
}

MP_TEST_TIMEOUT(consumers_killed_lose_one_item_at_most, 300)
{
    flow(false, MP_FIFO);
}

MP_TEST_TIMEOUT(with_acknowledgement_nothing_is_lost, 300)
{
    flow(true, MP_FIFO);
}

MP_TEST_TIMEOUT(nor_from_a_queue_with_priorities, 300)
{
    flow(true, MP_PRIORITY);
}

// What a producer has put is there after its death, and nothing of what it had not.
MP_TEST_TIMEOUT(producers_killed, 120)
{
    for (int round = 0; round < 100; round++) {
        mp_queue *q;
        make_board();
        mp_assert_ok(mp_queue_new(&q, NULL));
        pid_t pid = fork();
        if (pid == 0) {
            uint64_t buf[512];
            for (uint64_t i = 0;; i = (i + 1) % n_items) {
                mptest_require(mp_queue_put(q, buf, write_item(buf, i), MP_FOREVER) == 0);
                atomic_fetch_add(&board->got[0], 1);
            }
        }
        usleep((useconds_t)(rand() % 3000));
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        uint64_t buf[512], put = atomic_load(&board->got[0]), there = 0;
        int64_t n;
        for (; (n = mp_queue_get(q, buf, sizeof buf, 0)) >= 0; there++) {
            ck_assert_uint_eq(buf[0], there % n_items);
            check_item(buf, n);
        }
        mp_assert_err(n, MP_ETIMEDOUT);
        ck_assert_uint_ge(there, put);
        ck_assert_uint_le(there, put + 1);
        munmap(board, sizeof *board + n_items);
        mp_queue_free(q);
    }
}

// One that is stopped holds nobody up for long but those who need what it holds.
MP_TEST(items_of_a_stopped_consumer_go_to_others)
{
    mp_queue *q;
    int ready[2];
    char byte;
    ck_assert_int_eq(pipe(ready), 0);
    mp_assert_ok(mp_queue_new(&q, NULL));
    for (uint32_t i = 0; i < 100; i++)
        mp_assert_ok(mp_queue_put(q, &i, sizeof i, 0));
    pid_t pid = fork();
    if (pid == 0) {
        uint32_t x;
        mptest_require(mp_queue_get(q, &x, sizeof x, 0) == sizeof x); // and more in the hand
        mptest_require(write(ready[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    kill(pid, SIGSTOP);
    uint32_t x, n = 0;
    while (n < 99 && mp_queue_get(q, &x, sizeof x, 15000) == sizeof x)
        n++;
    ck_assert_uint_eq(n, 99);
    mp_assert_err(mp_queue_get(q, &x, sizeof x, 200), MP_ETIMEDOUT);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    mp_queue_free(q);
    close(ready[0]);
    close(ready[1]);
}

// Who is killed while it waits for room takes none with it.
MP_TEST_TIMEOUT(producers_killed_while_they_wait, 100)
{
    static char big[10000];
    static const mp_queue_opts kinds[] = {
        {.max_items = 1, .max_bytes = 100000},
        {.max_items = 1, .max_bytes = 100000, .ack = true},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        mp_queue *q;
        mp_assert_ok(mp_queue_new(&q, &kinds[k]));
        mp_assert_ok(mp_queue_put(q, big, sizeof big, 0));
        for (int i = 0; i < 20; i++) {
            pid_t pid = fork();
            if (pid == 0)
                _exit(mp_queue_put(q, big, sizeof big, MP_FOREVER));
            mptest_eventually(mp__sleepers_any(&q->shared->space_sleepers), 10);
            kill(pid, SIGKILL);
            ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
            mptest_eventually(!mp__sleepers_any(&q->shared->space_sleepers), 10);
        }
        ck_assert_int_eq(mp_queue_get(q, big, sizeof big, 0), sizeof big);
        mp_assert_ok(mp_queue_put(q, big, sizeof big, 0));
        ck_assert_uint_le(atomic_load(&q->shared->blocks), 2 * (sizeof big + 100));
        mp_queue_free(q);
    }
}

// Nobody is left to make room: a put ends when its time is over, and says that it is full.
MP_TEST(a_full_queue_whose_consumer_is_dead)
{
    mp_queue *q;
    uint32_t x = 0, n = 0;
    mp_assert_ok(mp_queue_new(&q, &(mp_queue_opts){.max_items = 10}));
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            mptest_require(mp_queue_get(q, &x, sizeof x, MP_FOREVER) == sizeof x);
    for (; x < 1000; x++)
        mp_assert_ok(mp_queue_put(q, &x, sizeof x, MP_FOREVER));
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    int r;
    while ((r = mp_queue_put(q, &x, sizeof x, 50)) == 0)
        ck_assert_uint_le(++n, 10);
    mp_assert_err(r, MP_ETIMEDOUT);
    mp_queue_free(q);
}

// A producer stopped anywhere, also with the lock: others get on or time out, and nothing that
// comes out is damaged; when it goes on, so does everything.
MP_TEST_TIMEOUT(producers_stopped, 120)
{
    mp_queue *q;
    uint64_t buf[512], got = 0;
    make_board();
    mp_assert_ok(mp_queue_new(&q, &(mp_queue_opts){.max_items = 100}));
    pid_t pid = fork();
    if (pid == 0) {
        for (uint64_t i = 0;; i = (i + 1) % n_items)
            mptest_require(mp_queue_put(q, buf, write_item(buf, i), MP_FOREVER) == 0);
    }
    for (int round = 0; round < 200; round++) {
        usleep((useconds_t)(rand() % 300));
        kill(pid, SIGSTOP);
        size_t size = write_item(buf, 7);
        int r = mp_queue_put(q, buf, size, 1);
        ck_assert_msg(r == 0 || r == MP_ETIMEDOUT, "%s", mp_err_name(r));
        int64_t n;
        while ((n = mp_queue_get(q, buf, sizeof buf, 0)) >= 0) {
            check_item(buf, n);
            got++;
        }
        mp_assert_err(n, MP_ETIMEDOUT);
        kill(pid, SIGCONT);
    }
    ck_assert_uint_gt(got, 0);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    munmap(board, sizeof *board + n_items);
    mp_queue_free(q);
}

// ---- the machine has no more -------------------------------------------------------------

// The k-th of three: without a name, with acknowledgements, with a name.
static mp_queue_opts nth_opts(size_t k)
{
    return (mp_queue_opts){.ack = k == 1, .name = k == 2 ? mptest_name("no-room") : NULL};
}

// Rows 32 and 34 of the fault matrix: memory for shared files ends while items go in. (The limit
// of a file's size is what a full /dev/shm is, without the privilege to make one.)
MP_TEST(no_room_is_an_error_and_what_is_in_it_stays)
{
    static char item[50000], got[50000];
    struct rlimit lim = {1 << 20, 1 << 20};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0); // and no SIGXFSZ, no SIGBUS
    for (size_t k = 0; k < 3; k++) {
        mp_queue *q;
        mp_queue_opts opts = nth_opts(k);
        int r = mp_queue_new(&q, &opts);
        if (r < 0) { // what has a name takes more to begin with
            ck_assert_msg(r == -ENOMEM || r == -EFBIG || r == -ENOSPC, "%s", mp_err_name(r));
            continue;
        }
        for (int round = 0; round < 3; round++) {
            int n = 0;
            for (; memset(item, n + 1, sizeof item), r == 0 && n < 100; n += r == 0)
                r = mp_queue_put(q, item, sizeof item, 0);
            mp_assert_err(r, -ENOMEM);
            ck_assert_int_gt(n, 5);
            for (int i = 0; i < n; i++) {
                ck_assert_int_eq(mp_queue_get(q, got, sizeof got, 0), sizeof got);
                ck_assert(got[0] == i + 1 && got[sizeof got - 1] == i + 1);
                if (opts.ack)
                    mp_assert_ok(mp_queue_task_done(q));
            }
            mp_assert_err(mp_queue_get(q, got, sizeof got, 0), MP_ETIMEDOUT);
            r = 0;
        }
        mp_queue_free(q);
    }
    (void)mp_shm_unlink(nth_opts(2).name);
}

// Row 33.
MP_TEST(no_descriptors_is_an_error_and_leaks_none)
{
    struct rlimit all, few;
    int before = mptest_fd_count(), next = dup(0), failed = 0, made = 0;
    close(next);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
    for (int room = 0; room < 8; room++)
        for (size_t k = 0; k < 3; k++) {
            mp_queue *q;
            mp_queue_opts opts = nth_opts(k);
            few = (struct rlimit){(rlim_t)(next + room), all.rlim_max};
            ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
            int r = mp_queue_new(&q, &opts);
            if (r == 0 && mp_queue_put(q, "x", 1, 0) == 0)
                made++;
            else
                failed += r == -EMFILE;
            ck_assert_msg(r == 0 || (r == -EMFILE && !q), "%s", mp_err_name(r));
            mp_queue_free(q);
            ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
            if (r == 0 && opts.name)
                mp_assert_ok(mp_shm_unlink(opts.name));
            ck_assert_int_eq(mptest_fd_count(), before);
        }
    ck_assert(made > 0 && failed > 0);
}
