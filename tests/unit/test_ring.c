// SPDX-License-Identifier: MIT
#include "mptest.h"

#include "shm/ring.h"

#include <stdlib.h>

#define CAP 4096

struct both {
    struct mp__ring ring;
    struct mp__ring_tx tx;
    struct mp__ring_rx rx;
    unsigned char data[4 * CAP];
};

static struct both *new_both(void)
{
    struct both *s = aligned_alloc(128, sizeof *s);
    ck_assert_ptr_nonnull(s);
    memset(s, 0, sizeof *s);
    s->ring.cap = CAP;
    s->tx = (struct mp__ring_tx){.ring = &s->ring, .data = s->data, .cap = CAP};
    s->rx = (struct mp__ring_rx){.ring = &s->ring, .data = s->data, .cap = CAP, .max_cap = 4 * CAP};
    return s;
}

MP_TEST(words_of_the_two_sides_share_no_lines)
{
    const size_t at[] = {offsetof(struct mp__ring, head), offsetof(struct mp__ring, tail),
                         offsetof(struct mp__ring, want_data),
                         offsetof(struct mp__ring, want_space), offsetof(struct mp__ring, state)};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            ck_assert_int_ne(at[i] / 128, at[j] / 128);
}

MP_TEST(nothing_is_seen_before_it_is_published)
{
    struct both *s = new_both();
    mp__ring_put(&s->tx, "12345678", 8);
    mp_assert_ok(mp__ring_look_head(&s->rx));
    ck_assert_int_eq(mp__ring_view(&s->rx), 0);
    mp__ring_publish(&s->tx);
    mp_assert_ok(mp__ring_look_head(&s->rx));
    ck_assert_int_eq(mp__ring_view(&s->rx), 8);
    free(s);
}

MP_TEST(space_is_free_only_when_given_back)
{
    struct both *s = new_both();
    char buf[CAP] = "";
    mp__ring_put(&s->tx, buf, CAP);
    mp__ring_publish(&s->tx);
    ck_assert_int_eq(mp__ring_free(&s->tx), 0);
    mp_assert_ok(mp__ring_look_head(&s->rx));
    mp__ring_get(&s->rx, buf, 1000);
    mp_assert_ok(mp__ring_look_tail(&s->tx));
    ck_assert_int_eq(mp__ring_free(&s->tx), 0);
    mp__ring_return(&s->rx);
    mp_assert_ok(mp__ring_look_tail(&s->tx));
    ck_assert_int_eq(mp__ring_free(&s->tx), 1000);
    free(s);
}

// Short ones, copied here, and long ones, with every alignment, and nothing beside them.
MP_TEST(copies_are_exact)
{
    unsigned char from[300], to[320], want[320];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)(i * 7 + 1);
    for (size_t size = 0; size < 200; size++)
        for (size_t at = 0; at < 16; at++) {
            memset(to, 0, sizeof to);
            memset(want, 0, sizeof want);
            memcpy(want + at, from + 15 - at, size);
            mp__copy(to + at, from + 15 - at, size);
            ck_assert_int_eq(memcmp(to, want, sizeof to), 0);
        }
}

// Pieces of all sizes over many rounds: the place wraps, the bytes stay.
MP_TEST(bytes_survive_the_wrap)
{
    struct both *s = new_both();
    unsigned char in[CAP], out[CAP];
    unsigned n = 1;
    for (int round = 0; round < 20000; round++) {
        n = n * 1103515245 + 12345;
        size_t size = (n >> 8) % CAP + 1;
        for (size_t i = 0; i < size; i++)
            in[i] = (unsigned char)(i * 7 + (unsigned)round);
        bool whole = mp__ring_here(&s->tx, size);
        ck_assert(whole == ((s->tx.pos % CAP) + size <= CAP));
        mp__ring_put(&s->tx, in, size);
        mp__ring_publish(&s->tx);
        mp_assert_ok(mp__ring_look_head(&s->rx));
        ck_assert_int_eq(mp__ring_view(&s->rx), size);
        ck_assert((mp__ring_there(&s->rx, size) != NULL) == whole);
        mp__ring_get(&s->rx, out, size);
        ck_assert_int_eq(memcmp(in, out, size), 0);
        mp__ring_return(&s->rx);
        mp_assert_ok(mp__ring_look_tail(&s->tx));
        ck_assert_int_eq(mp__ring_free(&s->tx), CAP);
    }
    free(s);
}

MP_TEST(an_empty_ring_may_grow)
{
    struct both *s = new_both();
    char buf[4 * CAP], out[4 * CAP];
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = (char)(i % 251);
    for (int round = 0; round < 3; round++) {
        size_t cap = (size_t)CAP << round;
        s->tx.cap = cap;
        s->ring.cap = cap;
        mp__ring_put(&s->tx, buf, cap);
        mp__ring_publish(&s->tx);
        ck_assert_int_eq(mp__ring_free(&s->tx), 0);
        mp_assert_ok(mp__ring_look_head(&s->rx));
        ck_assert_int_eq(s->rx.cap, cap);
        mp__ring_get(&s->rx, out, cap);
        ck_assert_int_eq(memcmp(buf, out, cap), 0);
        mp__ring_return(&s->rx);
        mp_assert_ok(mp__ring_look_tail(&s->tx));
    }
    free(s);
}

MP_TEST(nonsense_in_the_shared_words_is_refused_and_changes_nothing)
{
    struct both *s = new_both();
    char buf[CAP] = "";
    mp__ring_put(&s->tx, buf, 1000);
    mp__ring_publish(&s->tx);
    mp_assert_ok(mp__ring_look_head(&s->rx));
    mp__ring_get(&s->rx, buf, 1000);
    mp__ring_return(&s->rx);
    mp_assert_ok(mp__ring_look_tail(&s->tx));
    mp__ring_put(&s->tx, buf, 500);
    mp__ring_publish(&s->tx);

    const uint64_t heads[] = {999, 0, 1000 + CAP + 1, UINT64_MAX};
    for (int i = 0; i < 4; i++) {
        s->ring.head = heads[i];
        mp_assert_err(mp__ring_look_head(&s->rx), MP_EPROTO);
        ck_assert_int_eq(mp__ring_view(&s->rx), 0);
    }
    s->ring.head = 1500;
    const uint64_t caps[] = {0, 8, CAP / 2, CAP + 1, 3 * CAP, 8 * CAP, UINT64_MAX};
    for (int i = 0; i < 7; i++) {
        s->ring.cap = caps[i];
        mp_assert_err(mp__ring_look_head(&s->rx), MP_EPROTO);
        ck_assert_int_eq(mp__ring_view(&s->rx), 0);
    }
    const uint64_t tails[] = {999, 0, 1501, UINT64_MAX};
    for (int i = 0; i < 4; i++) {
        s->ring.tail = tails[i];
        mp_assert_err(mp__ring_look_tail(&s->tx), MP_EPROTO);
        ck_assert_int_eq(mp__ring_free(&s->tx), CAP - 500);
    }
    free(s);
}
