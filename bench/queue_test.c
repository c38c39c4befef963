// SPDX-License-Identifier: MIT
#include "queue_test.h"

struct tally {
    APART _Atomic uint64_t items;
    uint64_t sum;
};

static struct board {
    struct tally put[QUEUE_PARTIES], got[QUEUE_PARTIES];
    APART _Atomic uint32_t go;
} * board;

static const struct queue_engine *engine;

static void produce(int index, double seconds)
{
    struct tally *t = &board->put[index];
    uint64_t item[QUEUE_ITEM / 8] = {0}, n = 0, sum = 0;
    if (engine->open)
        engine->open(0, index);
    while (!atomic_load(&board->go))
        cpu_relax();
    for (double end = now() + seconds; now() < end;) {
        for (int i = 0; i < 64; i++) {
            item[0] = item[7] = n++ << 8 | (unsigned)index;
            sum += item[0];
            engine->put(item);
        }
    }
    if (engine->flush)
        engine->flush();
    t->sum = sum;
    atomic_store(&t->items, n);
}

__attribute__((noreturn)) static void consume(int index)
{
    struct tally *t = &board->got[index];
    uint64_t item[QUEUE_ITEM / 8], n = 0;
    if (engine->open)
        engine->open(1, index);
    for (;;) {
        engine->get(item);
        if (item[0] != item[7])
            die("an item is damaged");
        t->sum += item[0];
        atomic_store_explicit(&t->items, ++n, memory_order_release);
    }
}

static uint64_t total(struct tally *t, int n, uint64_t *sum)
{
    uint64_t items = 0;
    *sum = 0;
    for (int i = 0; i < n; i++) {
        items += atomic_load(&t[i].items);
        *sum += t[i].sum;
    }
    return items;
}

int queue_test_main(int argc, char **argv, const struct queue_engine *e)
{
    if (argc < 3 || argc > 4)
        die("usage: %s PRODUCERS CONSUMERS [SECONDS]", argv[0]);
    int producers = atoi(argv[1]), consumers = atoi(argv[2]);
    if (producers < 1 || producers > QUEUE_PARTIES || consumers < 1 || consumers > QUEUE_PARTIES)
        die("1 to %d producers and consumers", QUEUE_PARTIES);
    double seconds = seconds_from(argv[3]);
    pid_t pids[2][QUEUE_PARTIES];
    engine = e;
    board = shared(sizeof *board);
    if (e->make)
        e->make(producers, consumers);
    for (int i = 0; i < consumers; i++)
        if ((pids[1][i] = fork_child()) == 0)
            consume(i);
    for (int i = 0; i < producers; i++) {
        if ((pids[0][i] = fork_child()) == 0) {
            produce(i, seconds);
            _exit(0);
        }
    }
    double start = now();
    atomic_store(&board->go, 1);
    for (int i = 0; i < producers; i++)
        join_child(pids[0][i]);
    uint64_t put_sum, got_sum, put = total(board->put, producers, &put_sum);
    while (total(board->got, consumers, &got_sum) < put && now() < start + seconds + 10)
        usleep(100);
    double took = now() - start;
    for (int i = 0; i < consumers; i++) {
        kill(pids[1][i], SIGKILL);
        waitpid(pids[1][i], NULL, 0);
    }
    if (total(board->got, consumers, &got_sum) != put || got_sum != put_sum)
        die("%llu items were put, and others got", (unsigned long long)put);
    char metric[32];
    snprintf(metric, sizeof metric, "%s_%dp%dc", e->metric, producers, consumers);
    report(metric, e->who, (double)put / took, "items/s");
    if (e->unmake)
        e->unmake();
    return 0;
}
