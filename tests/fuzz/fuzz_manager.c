// SPDX-License-Identifier: MIT
//
// A fuzzing target: what clients send to a manager, from the pre-scan through the table of calls to
// the methods. The input is a history: a byte that says what happens (whose message follows, after
// its length in two bytes; time passes; a client is gone), and so on. Afterwards every
// invariant of the core must hold, and what it would keep on disk must be loaded again by another.
//
// Object numbers count up from a fixed one, so that the corpus can name them.
#include "core/core.h"
#include "wire/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 4, TIME = 0x10, GONE = 0x20 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

// Each answer is one value, an array of three.
static void answered(void *ctx, void *user, const void *data, size_t size)
{
    const struct mp__wire_limits limits = {.depth = 24, .nodes = SIZE_MAX, .ext = true};
    struct mp__wire_scan scan = {0};
    (void)ctx;
    require(user != NULL);
    require(mp__wire_check(data, size, &limits, &scan) == 0);
    require(scan.used == size && scan.count == 3);
}

static struct mp__core *core(void)
{
    struct mp__core *c;
    struct mp__core_opts o = {.hooks = {.send = answered},
                              .limits = {.objects = 100, .object_bytes = 100000, .bytes = 1000000},
                              .tasks = true,
                              .instance = UINT64_C(0x77) << 40};
    require(mp__core_new(&c, &o) == 0);
    return c;
}

static int replayed(void *ctx, const void *data, size_t size)
{
    int r = mp__core_replay(ctx, data, size);
    require(r == 0);
    return r;
}

static void load_again(struct mp__core *c)
{
    struct mp__session *s;
    struct mp__core *again = core();
    require(mp__core_save(c, replayed, again) == 0);
    require(mp__session_begin(again, &s, again, 0) == 0);
    require(mp__core_check(again) == NULL);
    mp__core_free(again);
}

struct history {
    struct mp__core *core;
    struct mp__session *clients[CLIENTS];
    int64_t now;
};

static void gone(struct history *h, unsigned i)
{
    struct mp__session *s = h->clients[i];
    h->clients[i] = NULL;
    mp__session_end(h->core, s, h->now);
}

static void message(struct history *h, unsigned i, const uint8_t *data, size_t size)
{
    static const unsigned flags[CLIENTS] = {0, 0, MP__SESSION_ADMIN, MP__SESSION_READ_ONLY};
    if (!h->clients[i])
        require(mp__session_begin(h->core, &h->clients[i], h, flags[i]) == 0);
    uint8_t *copy = malloc(size ? size : 1); // to its last byte, for AddressSanitizer
    if (size)
        memcpy(copy, data, size);
    if (mp__core_feed(h->core, h->clients[i], copy, size, h->now) < 0)
        gone(h, i);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history h = {.core = core()};
    const uint8_t *end = data + size;
    while (data < end) {
        uint8_t what = *data++;
        h.now += 1000;
        if (what & TIME) {
            h.now += INT64_C(20000000) * what;
            mp__core_tick(h.core, h.now);
        } else if (what & GONE) {
            gone(&h, what % CLIENTS);
        } else if (end - data >= 2) {
            size_t n = (size_t)(data[0] << 8 | data[1]);
            data += 2;
            n = n < (size_t)(end - data) ? n : (size_t)(end - data);
            message(&h, what % CLIENTS, data, n);
            data += n;
        }
    }
    require(mp__core_check(h.core) == NULL);
    load_again(h.core);
    mp__core_free(h.core);
    return 0;
}
