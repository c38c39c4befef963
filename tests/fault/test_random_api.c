// SPDX-License-Identifier: MIT
//
// Random programs: four processes, some of two threads, that hold objects of all kinds and do
// with them what comes to mind, right or wrong, while one after the other is stopped or killed and
// replaced. The test hands on what they send each other, looks for a call that never returns, and
// counts in the end: nothing is lost but what a killed process had just been given, nothing comes
// twice, no two are where only one may be.
//
// MP_TEST_SEED=n is one program again, as far as the scheduler lets; a failure tells its seed.
// MP_TEST_LONG=1: for some minutes.
#include "hostile_own.h"
#include "hostile_pass.h"
#include "hostile_sync.h"

#define HANG_S 40

// ---- a participant ----

typedef void use(void);
static use *const often[] = {use_lock,
                             use_rlock,
                             use_condition,
                             use_rwlock,
                             use_semaphore,
                             use_number,
                             use_event_or_barrier,
                             use_pair,
                             use_array,
                             use_arena,
                             use_counts,
                             use_dict,
                             use_list,
                             use_queue,
                             use_queue,
                             use_queue,
                             use_queue,
                             use_home};
static use *const seldom[] = {use_descriptors, use_long_message, use_pipe,
                              use_freed,       use_named,        use_executor};
static use *const rarely[] = {use_process, use_pool, use_stream};

#define PICK(list) (list)[below(sizeof(list) / sizeof *(list))]

// A sanitizer's memory is not made for forks beside other threads.
static bool may_fork(void)
{
    return alone || !(MPTEST_ASAN || MPTEST_TSAN);
}

static int threads_of(int process)
{
    return process % 2 || MPTEST_TSAN ? THREADS : 1;
}

static int take_part(void *arg)
{
    my_seat = arg;
    uint32_t n = (uint32_t)(my_seat - stage->seat);
    mp_random_init(&my_random, world->seed, n + ((uint64_t)atomic_load(&my_seat->calls) << 8));
    alone = threads_of((int)n / THREADS) == 1;
    while (!atomic_load(&world->over))
        (one_in(300) && may_fork() && n < THREADS ? PICK(rarely)
         : one_in(20)                             ? PICK(seldom)
                                                  : PICK(often))();
    return 0;
}

static int participate(void *arg)
{
    struct seat *first = arg;
    mp_thread *t[THREADS];
    int n = threads_of((int)(first - stage->seat) / THREADS);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 1; i < n; i++)
        must(mp_thread_start(&t[i], take_part, first + i, NULL) == 0);
    take_part(first);
    for (int i = 1; i < n; i++) {
        must(mp_thread_join(t[i], MP_FOREVER) == 0);
        mp_thread_free(t[i]);
    }
    return 0;
}

// ---- the test ----

static struct part {
    pid_t pid;
    mp_process *process; // of some; others are plain forks
    mp_pipe *pipe;
    bool stopped;
} part[CREW];

static uint32_t may_be_lost[PLACES], kills;

static void start(int i)
{
    struct part *p = &part[i];
    struct seat *seat = &stage->seat[i * THREADS];
    for (int k = 0; k < THREADS; k++) {
        atomic_store(&seat[k].call, NULL);
        atomic_store(&seat[k].holds, 0);
    }
    *p = (struct part){.pid = 0};
    if (i % 4 == 3) {
        p->pid = fork();
        must(p->pid >= 0);
        if (p->pid == 0) {
            home = NULL;
            _exit(participate(seat));
        }
        return;
    }
    must(mp_pipe_new(&p->pipe, &home, NULL) == 0);
    mp_pipe *give[] = {home, NULL};
    must(mp_process_start(&p->process, participate, seat, &(mp_process_opts){.give = give}) == 0);
    p->pid = mp_process_pid(p->process);
    mp_pipe_free(home);
    home = NULL;
}

// Waits for its end, and looks what it took along.
static int end_of(int i)
{
    struct part *p = &part[i];
    int code, status;
    if (p->process) {
        must(mp_process_join(p->process, MP_FOREVER) == 0);
        must(mp_process_exitcode(p->process, &code) == 0);
    } else {
        must(waitpid(p->pid, &status, 0) == p->pid);
        code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    mp_process_free(p->process);
    mp_pipe_free(p->pipe);
    for (int k = 0; k < THREADS; k++) {
        uint32_t held = atomic_load(&stage->seat[i * THREADS + k].holds);
        may_be_lost[held & 255] += held >> 8;
    }
    p->pid = 0;
    return code;
}

static void kill_one(int i)
{
    kill(part[i].pid, SIGKILL);
    int code = end_of(i);
    if (code != -SIGKILL)
        hostile_fail("process %d ended with %d", i, code);
    kills++;
    start(i);
}

static void stop_or_go(int i)
{
    part[i].stopped = !part[i].stopped;
    kill(part[i].pid, part[i].stopped ? SIGSTOP : SIGCONT);
}

// What comes from one goes to another, or nowhere.
static void hand_on(int i)
{
    static unsigned char buf[4096];
    mp_handle h[4];
    size_t n = 4;
    int64_t r = mp_pipe_recv_handles(part[i].pipe, buf, sizeof buf, h, &n, 0);
    if (r < 0) {
        must(r == MP_ETIMEDOUT || home_is_lost(r));
        return;
    }
    int to = (int)below(CREW);
    if (part[to].pipe && !part[to].stopped) {
        r = CALL(mp_pipe_send_handles(part[to].pipe, buf, (size_t)r, h, n, 0));
        must(r == 0 || r == MP_ETIMEDOUT || r == MP_EPIPE);
    }
    mp_handle_close(h, n);
}

static void look_at_all(void)
{
    for (int i = 0; i < CREW; i++)
        if (!atomic_load(&world->over) && crew_ended(part[i].pid))
            hostile_fail("process %d ended with %d", i, end_of(i));
    for (int i = 0; i < SEATS - 1; i++) {
        const char *call = atomic_load(&stage->seat[i].call);
        int64_t since = atomic_load(&stage->seat[i].since);
        if (call && mptest_ms() - since > HANG_S * 1000)
            hostile_fail("in process %d (%d): %s does not return", i / THREADS,
                         (int)part[i / THREADS].pid, call);
    }
}

// What is in them can still be taken.
static void end_queues(void)
{
    atomic_store(&world->ending, true);
    for (int i = 0; i < QUEUES; i++)
        EXPECT(mp_queue_shutdown(all.queue[i], MP_DRAIN), 0);
}

static void direct(int64_t ms)
{
    int64_t end = mptest_ms() + ms;
    for (int i = 0; i < CREW; i++)
        start(i);
    while (mptest_ms() < end) {
        if (!atomic_load(&world->ending) && mptest_ms() > end - ms / 8)
            end_queues();
        int i = (int)below(CREW);
        if (one_in(10) && !part[i].stopped)
            kill_one(i);
        else if (part[i].stopped || one_in(40))
            stop_or_go(i);
        for (int k = 0; k < CREW; k++)
            if (part[k].pipe && part[k].pid)
                hand_on(k);
        look_at_all();
        usleep(2000);
    }
    for (int i = 0; i < CREW; i++)
        if (part[i].stopped)
            stop_or_go(i);
}

static void wait_for_all(void)
{
    atomic_store(&world->over, true);
    for (int i = 0; i < CREW; i++) {
        while (!crew_ended(part[i].pid)) {
            look_at_all();
            usleep(1000);
        }
        int code = end_of(i);
        if (code != 0)
            hostile_fail("process %d ended with %d", i, code);
    }
}

static void make_all(void)
{
    const mp_lock_opts in_arena = {NULL, NULL};
    must(mp_arena_new(&all.arena, &(mp_arena_opts){.max = 4 << 20}) == 0);
    must(mp_lock_new(&all.lock, &in_arena) == 0 && mp_rlock_new(&all.rlock, NULL) == 0);
    must(mp_semaphore_new(&all.semaphore, UNITS, &(mp_semaphore_opts){.bound = UNITS}) == 0);
    must(mp_semaphore_new(&all.robust, UNITS,
                          &(mp_semaphore_opts){.bound = UNITS, .robust = true}) == 0);
    must(mp_condition_new(&all.on_lock, &(mp_condition_opts){.lock = all.lock}) == 0);
    must(mp_condition_new(&all.on_rlock, &(mp_condition_opts){.rlock = all.rlock}) == 0);
    must(mp_condition_new(&all.condition, NULL) == 0 && mp_event_new(&all.event, NULL) == 0);
    must(mp_barrier_new(&all.barrier, 2, NULL) == 0 && mp_rwlock_new(&all.rwlock, NULL) == 0);
    must(mp_value_new(&all.number, MP_INT64, NULL, NULL) == 0);
    must(mp_value_new(&all.pair, MP_STRUCT, NULL, &(mp_value_opts){.size = 16}) == 0);
    must(mp_array_new(&all.array, MP_INT32, CELLS, NULL, NULL) == 0);
    must(mp_shm_dict_new(&all.counts, &(mp_shm_dict_opts){.shards = 2}) == 0);
    must(mp_shm_dict_new(&all.dict, &(mp_shm_dict_opts){.shards = 1}) == 0);
    must(mp_shm_list_new(&all.list, NULL) == 0);
    for (int i = 0; i < QUEUES; i++)
        must(mp_queue_new(&all.queue[i], &queue_kinds[i]) == 0);
    for (int i = 0; i < 6; i++) {
        char what[8];
        snprintf(what, sizeof what, "r%d", i);
        strcpy(names[i], mptest_name(what));
    }
}

static void free_all(void)
{
    for (int i = 0; i < QUEUES; i++)
        mp_queue_free(all.queue[i]);
    mp_shm_list_free(all.list);
    mp_shm_dict_free(all.dict), mp_shm_dict_free(all.counts);
    mp_array_free(all.array);
    mp_value_free(all.pair), mp_value_free(all.number);
    mp_rwlock_free(all.rwlock), mp_barrier_free(all.barrier);
    mp_event_free(all.event), mp_condition_free(all.condition);
    mp_condition_free(all.on_rlock), mp_condition_free(all.on_lock);
    mp_semaphore_free(all.robust), mp_semaphore_free(all.semaphore);
    mp_rlock_free(all.rlock), mp_lock_free(all.lock);
    mp_arena_delete(all.arena);
    for (int i = 0; i < 6; i++)
        mp_shm_unlink(names[i]);
}

// ---- is it all there? ----

static void empty_queue(uint8_t where)
{
    mp_queue_item item;
    int64_t r;
    for (;;) {
        r = queue_kinds[where].ack
                ? CALL(mp_queue_get_item(all.queue[where], big, sizeof big, &item, 300))
                : CALL(mp_queue_get(all.queue[where], big, sizeof big, 0));
        if (r == MP_EOF || (queue_kinds[where].ack && r == MP_ETIMEDOUT))
            return;
        must(r >= 8);
        if (queue_kinds[where].ack) {
            item_was(item_check(big, r, where), ACKED);
            EXPECT(mp_queue_ack(all.queue[where], item.tag), 0);
        } else {
            item_came(big, r, where);
        }
    }
}

static void empty_list(void)
{
    int64_t r;
    while ((r = CALL(mp_shm_list_pop(all.list, 0, big, sizeof big))) != MP_EINDEX)
        item_came(big, r, AT_LIST);
}

static int64_t counted(void)
{
    int64_t sum = 0, one;
    for (int i = 0; i < 20; i++) {
        char key[8];
        int n = snprintf(key, sizeof key, "n%d", i);
        if (CALL(mp_shm_dict_get(all.counts, key, (size_t)n, &one, sizeof one)) == 8)
            sum += one;
    }
    return sum;
}

static void check_place(uint8_t where)
{
    if (where == AT_LIST)
        empty_list();
    else
        empty_queue(where);
    uint32_t lost = items_lost(where, where < QUEUES && queue_kinds[where].ack ? ACKED : GOT);
    if (lost > may_be_lost[where])
        hostile_fail("%u items of place %u are lost, and %u may be, after %u kills", lost, where,
                     may_be_lost[where], kills);
}

static void check_all(void)
{
    for (uint8_t where = 0; where < PLACES; where++)
        check_place(where);
    int64_t n = *mp_value_ptr(all.number, int64_t), keys = counted();
    must(n >= atomic_load(&stage->atomic_adds.done) && n <= atomic_load(&stage->atomic_adds.begun));
    must(keys >= atomic_load(&stage->dict_adds.done) &&
         keys <= atomic_load(&stage->dict_adds.begun));
    must(mptest_eventually(mp_semaphore_acquire(all.robust, 100) == 0 &&
                               mp_semaphore_release(all.robust) == 0 &&
                               mp_semaphore_value(all.robust) == UNITS,
                           5000));
}

static void run(uint64_t seed, int64_t ms)
{
    stage = crew_share(sizeof *stage);
    world = &stage->world;
    world->seed = seed;
    my_seat = &stage->seat[SEATS - 1];
    mp_random_init(&my_random, seed, UINT64_MAX);
    memset(may_be_lost, 0, sizeof may_be_lost);
    kills = 0;
    make_all();
    direct(ms);
    wait_for_all();
    check_all();
    free_all();
    munmap(stage, sizeof *stage);
}

MP_TEST_TIMEOUT(random_programs_lose_nothing_and_never_hang, 900)
{
    const char *given = getenv("MP_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)mp__now();
    for (int i = 0; i < crew_times(2, 60); i++)
        run(seed + (uint64_t)i, 2000);
}
