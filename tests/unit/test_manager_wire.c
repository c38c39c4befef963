// SPDX-License-Identifier: MIT
//
// What a hostile or broken client can send, to the core: each of these is an error in an answer,
// or closes the connection, and the next client is served. The numbers are those of the list of
// bad inputs; what is about lengths before messages, silence, and keys is the server's.
#include "mgr.h"

// A message: what mp__core_feed() says. Another client is served afterwards, always.
static int feed(struct mgr *m, struct mgr_peer *p, const void *data, size_t size)
{
    char *copy = malloc(size ? size : 1); // to its last byte, for AddressSanitizer
    if (size)
        memcpy(copy, data, size);
    int r = mp__core_feed(m->core, p->session, copy, size, ++m->now);
    free(copy);
    mgr_check(m);
    struct mgr_peer *next = mgr_peer(m);
    mp_assert_ok(mgr_ask(next, MP__OP(MANAGER, ping), 0, 0, "i", 1));
    mgr_gone(next);
    return r;
}

#define FEED(m, p, bytes) feed(m, p, bytes, sizeof bytes - 1)

MP_TEST(what_cannot_be_answered_closes)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    mp_assert_err(FEED(m, p, ""), MP_EPROTO);                         // 1, 2
    mp_assert_err(FEED(m, p, "\x94\x01\x02\x00"), MP_EPROTO);         // 3: a byte short
    mp_assert_err(FEED(m, p, "\x94\x01\x02\x00\xff\xc0"), MP_EPROTO); // 3, 32: a byte long
    mp_assert_err(FEED(m, p, "\xc1"), MP_EPROTO);                     // 8
    mp_assert_err(FEED(m, p, "\x95\x01\x02\x00\xff\xc1"), MP_EPROTO);
    mp_assert_err(FEED(m, p, "\xdd\xff\xff\xff\xff"), MP_EPROTO); // 9
    mp_assert_err(FEED(m, p, "\x95\x01\x02\x00\xff\xdd\x00\xff\xff\xff"), MP_EPROTO);
    mp_assert_err(FEED(m, p, "\xdf\xff\xff\xff\xff"), MP_EPROTO); // 10
    mp_assert_err(FEED(m, p, "\x95\x01\x02\x00\xff\xdf\xff\xff\xff\xff"), MP_EPROTO);
    mp_assert_err(FEED(m, p, "\x95\x01\x02\x00\xff\xdb\x00\x00\x00\x05half"), MP_EPROTO); // 13
    mp_assert_err(FEED(m, p, "\x81\x01\x02"), MP_EPROTO);                                 // 15
    mp_assert_err(FEED(m, p, "\x07"), MP_EPROTO);
    mp_assert_err(FEED(m, p, "\xa4text"), MP_EPROTO);
    mp_assert_err(FEED(m, p, "\x90"), MP_EPROTO);
    mp_assert_err(FEED(m, p, "\x93\x01\x02\x00"), MP_EPROTO);     // 16
    mp_assert_err(FEED(m, p, "\x94\xff\x02\x00\xff"), MP_EPROTO); // an id that is none
    mp_assert_err(FEED(m, p, "\x94\xa1x\x02\x00\xff"), MP_EPROTO);
    ck_assert_uint_eq(p->sent, 0);
    mgr_gone(p);
    mgr_free(m);
}

MP_TEST(nesting_is_limited)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    static const size_t depths[] = {17, 33, 100000}; // 12
    for (size_t i = 0; i < 3; i++) {
        char *deep = malloc(depths[i] + 6);
        memcpy(deep, "\x95\x01\x02\x00\xff", 5);
        memset(deep + 5, 0x91, depths[i]);
        deep[5 + depths[i]] = 1;
        mp_assert_err(feed(m, p, deep, depths[i] + 6), i == 0 ? 0 : MP_EDEPTH);
        mp_assert_err(mgr_answer(p, 1), i == 0 ? MP_EDEPTH : MGR_WAITS);
        deep[5 + 16] = 1;
        mp_assert_ok(feed(m, p, deep, 6 + 16)); // 16 are allowed
        mp_assert_ok(mgr_answer(p, 1));
        free(deep);
    }
    char bomb[5 + 31 * 5]; // 11
    memcpy(bomb, "\x95\x01\x02\x00\xff", 5);
    for (int i = 0; i < 31; i++)
        memcpy(bomb + 5 + i * 5, "\xdd\x00\x10\x00\x00", 5);
    mp_assert_err(feed(m, p, bomb, sizeof bomb), MP_EPROTO);
    mgr_gone(p);
    mgr_free(m);
}

#define ERR(p, want, bytes)                                                                        \
    do {                                                                                           \
        mp_assert_ok(FEED((p)->m, p, bytes));                                                      \
        mp_assert_err(mgr_answer(p, 1), want);                                                     \
    } while (0)

MP_TEST(what_is_wrong_is_answered)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m), *other = mgr_peer(m);
    ERR(p, MP_ENOFUNC, "\x94\x01\x00\x00\xff");         // 17: unknown
    ERR(p, MP_ENOFUNC, "\x94\x01\xcd\x7f\xff\x00\xff"); // 17
    ERR(p, MP_ENOFUNC, "\x94\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x00\xff");
    ERR(p, MP_ETYPE, "\x94\x01\xff\x00\xff");          // 17: negative
    ERR(p, MP_ETYPE, "\x94\x01\xa4ping\x00\xff");      // 17: text
    ERR(p, MP_ETYPE, "\x94\x01\x02\xff\xff");          // an object that is none
    ERR(p, MP_EINVAL, "\x94\x01\x05\x00\xff");         // 16: too few
    ERR(p, MP_EINVAL, "\x96\x01\x02\x00\xff\x01\x02"); // 16: too many
    ERR(p, MP_EINVAL, "\x94\x01\x02\x00\xfe");         // 24: -2
    ERR(p, MP_EINVAL, "\x94\x01\x02\x00\xd3\x80\x00\x00\x00\x00\x00\x00\x00"); // INT64_MIN
    ERR(p, MP_ETYPE, "\x94\x01\x02\x00\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00");  // NaN
    ERR(p, MP_ETYPE, "\x94\x01\x02\x00\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00");  // Inf
    ERR(p, 0, "\x94\x01\x02\x00\xcf\x00\x20\x00\x00\x00\x00\x00\x01");         // 2^53 + 1
    ERR(p, 0, "\x94\x01\x02\x00\xc0");
    // 23: random numbers, one of another session, a freed one, one of another type
    uint64_t l = mgr_create(other, "s", "list");
    mp_assert_err(mgr_ask(p, MP__OP(LIST, len), l ^ 0x5555, 0, ""), MP_ESTALE);
    mp_assert_err(mgr_ask(p, MP__OP(LIST, len), UINT64_MAX, 0, ""), MP_ESTALE);
    mp_assert_err(mgr_ask(p, MP__OP(DICT, len), l, 0, ""), MP_ETYPE);
    mp_assert_err(mgr_ask(p, MP__OP(LIST, len), 0, 0, ""), MP_EINVAL);
    mp_assert_ok(mgr_ask(p, MP__OP(LIST, len), l, 0, "")); // numbers are not secret
    mp_assert_err(mgr_ask(p, MP__OP(MANAGER, decref), l, 0, ""), MP_ENOTHELD);
    mp_assert_ok(mgr_ask(other, MP__OP(MANAGER, decref), l, 0, ""));
    mp_assert_err(mgr_ask(p, MP__OP(LIST, len), l, 0, ""), MP_ESTALE);
    mgr_gone(p);
    mgr_gone(other);
    mgr_free(m);
}

// 14: exts of other types, in places where they might be stored or given back.
MP_TEST(exts_are_objects_or_errors)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t l = mgr_create(p, "s", "list"), q = mgr_create(p, "s", "Queue"),
             v = mgr_create(p, "s", "Value");
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {{"\xc7\x00\x01", 3},
               {"\xc9\x00\x00\x00\x00\x05", 6},
               {"\xd6\xff\x00\x00\x00\x00", 6}, // a timestamp
               {"\xd7\x01\x00\x00\x00\x00\x00\x00\x00\x09", 10},
               {"\x91\xd7\x02\x00\x00\x00\x00\x00\x00\x00\x09", 11}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int want = bad[i].bytes[1] == 1 ? MP_ESTALE : MP_EPROTO;
        mp_assert_err(mgr_ask(p, MP__OP(LIST, append), l, 0, "O#", bad[i].bytes, bad[i].size),
                      want);
        mp_assert_err(mgr_ask(p, MP__OP(QUEUE, put), q, 0, "O#", bad[i].bytes, bad[i].size), want);
        mp_assert_err(mgr_ask(p, MP__OP(VALUE, set), v, 0, "O#", bad[i].bytes, bad[i].size), want);
        mp_assert_err(mgr_ask(p, MP__OP(MANAGER, ping), 0, 0, "O#", bad[i].bytes, bad[i].size),
                      want == MP_ESTALE ? 0 : want);
    }
    mgr_gone(p);
    mgr_free(m);
}

// 19: the answer to the second could be taken for the first's.
MP_TEST(id_of_a_waiting_request_closes)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t q = mgr_create(p, "s", "Queue");
    ck_assert_int_eq(mgr_ask(p, MP__OP(QUEUE, get), q, -1, ""), MGR_WAITS);
    mp_assert_err(feed(m, p, p->message.data, p->message.size), MP_EINVAL);
    ck_assert_uint_eq(mp__core_stats(m->core).waiting, 1);
    mgr_gone(p);
    ck_assert_uint_eq(mp__core_stats(m->core).waiting, 0);
    mgr_free(m);
}

// 28: keys that are none, and the same key twice: the last one counts.
MP_TEST(keys_that_are_none)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t d = mgr_create(p, "s", "dict");
    static const char *const bad[] = {"\xc0", "\x90", "\x80", "\xc3", "\xcb\x7f\xf8\0\0\0\0\0\0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        mp_assert_err(
            mgr_ask(p, MP__OP(DICT, set), d, 0, "O# i", bad[i], i == 4 ? (size_t)9 : (size_t)1, 1),
            MP_ETYPE);
    char *large = calloc(1, 500 << 10);
    mp_assert_err(mgr_ask(p, MP__OP(DICT, set), d, 0, "s# i", large, (size_t)500 << 10, 1),
                  MP_EMSGSIZE);
    mp_assert_err(
        mgr_ask(p, MP__OP(DICT, update), d, 0, "{s:i s#:i}", "ok", 1, large, (size_t)500 << 10, 1),
        MP_EMSGSIZE);
    free(large);
    mp_assert_ok(mgr_ask(p, MP__OP(DICT, len), d, 0, "")); // all or nothing
    ck_assert_int_eq(mgr_int(p), 0);
    mp_assert_ok(mgr_ask(p, MP__OP(DICT, update), d, 0, "O#", "\x82\xa1k\x01\xa1k\x02", (size_t)7));
    mp_assert_ok(mgr_ask(p, MP__OP(DICT, get), d, 0, "s", "k"));
    ck_assert_int_eq(mgr_int(p), 2);
    mgr_gone(p);
    mgr_free(m);
}

// 33: keys that meet in one place of a table whose hash has no key.
MP_TEST(keys_do_not_collide)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t d = mgr_create(p, "s", "dict");
    for (int i = 0; i < (MPTEST_ASAN ? 10000 : 100000); i++) {
        p->m->now++;
        mp_buf b = {0};
        mp_assert_ok(mp_pack(&b, "[iiUiIi]", 1, MP__OP(DICT, set), d, 0, (int64_t)i << 32, i));
        mp_assert_ok(mp__core_feed(m->core, p->session, b.data, b.size, m->now));
        mp_buf_free(&b);
        mp_assert_ok(mgr_answer(p, 1));
    }
    mp_assert_ok(mgr_ask(p, MP__OP(DICT, len), d, 0, ""));
    ck_assert_int_ge(mgr_int(p), 10000);
    mgr_gone(p);
    mgr_free(m);
}

#define MANY (getenv("MP_TEST_LONG") ? 1000000 : 50000)

// 30: a million requests (in a long run), one behind the other; each has its answer, and nothing is
// kept of them.
MP_TEST_TIMEOUT(many_requests_leave_nothing, 60)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t c = mgr_create(p, "s", "counter");
    mp_buf b = {0};
    mp_assert_ok(mp_pack(&b, "[iiUi]", 1, MP__OP(COUNTER, add), c, 0));
    for (int i = 0; i < MANY; i++) {
        mp_assert_ok(mp__core_feed(m->core, p->session, b.data, b.size, m->now));
        mp_assert_ok(mgr_answer(p, 1));
    }
    ck_assert_int_eq(mgr_int(p), MANY);
    mp_buf_free(&b);
    mgr_gone(p);
    mgr_free(m);
}

// A conversation that has a bit of everything, as messages.
struct conversation {
    mp_buf message[12];
    size_t count;
};

static void say(struct conversation *c, mp_buf b)
{
    c->message[c->count++] = b;
}

#define SAY(c, ...)                                                                                \
    do {                                                                                           \
        mp_buf say_b = {0};                                                                        \
        mp_assert_ok(mp_pack(&say_b, __VA_ARGS__));                                                \
        say(c, say_b);                                                                             \
    } while (0)

static void converse(struct conversation *c, uint64_t first_object)
{
    *c = (struct conversation){.count = 0};
    SAY(c, "[iiiiis]", 1, MP__OP(MANAGER, hello), 0, -1, 1, "me");
    SAY(c, "[iiiis{s:i}]", 2, MP__OP(MANAGER, create), 0, -1, "dict", "a", 1);
    SAY(c, "[iiUiss]", 3, MP__OP(DICT, set), first_object, -1, "key", "value");
    SAY(c, "[iiUis]", 4, MP__OP(DICT, get), first_object, -1, "key");
    SAY(c, "[iiiiss]", 5, MP__OP(MANAGER, get_or_create), 0, -1, "q", "JoinableQueue");
    SAY(c, "[iiUi[ii]]", 6, MP__OP(QUEUE, put_many), first_object + 1, -1, 1, 2);
    SAY(c, "[iiUi]", 7, MP__OP(QUEUE, take), first_object + 1, -1);
    SAY(c, "[iiUi]", 8, MP__OP(QUEUE, join), first_object + 1, 5000);
    SAY(c, "[iiUi]", 9, MP__OP(MANAGER, watch), first_object, 0);
    SAY(c, "[iiiin[iUs][iUsi]]", 10, MP__OP(MANAGER, batch), 0, 0, MP__OP(DICT, pop), first_object,
        "key", MP__OP(DICT, incr), first_object, "n", 5);
    SAY(c, "[iiUis]", 11, MP__OP(DICT, set), first_object, -1, "too few");
    SAY(c, "[iiiii]", 12, MP__OP(MANAGER, cancel), 0, 0, 8);
}

static void forget(struct conversation *c)
{
    for (size_t i = 0; i < c->count; i++)
        mp_buf_free(&c->message[i]);
}

static uint64_t first_object(void)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t id = mgr_create(p, "s", "dict");
    mgr_gone(p);
    mgr_free(m);
    return id;
}

// Feeds it until it is refused; then the client is gone.
static void hold(struct mgr *m, const struct conversation *c, size_t messages)
{
    struct mgr_peer *p = mgr_peer(m);
    for (size_t i = 0; i < messages; i++) {
        char *copy = malloc(c->message[i].size + 1);
        memcpy(copy, c->message[i].data, c->message[i].size);
        int r = mp__core_feed(m->core, p->session, copy, c->message[i].size, m->now);
        free(copy);
        mgr_check(m);
        if (r < 0)
            break;
    }
    mgr_gone(p);
}

// 34: gone after each message. (In the middle of one is the server's, who has no whole message.)
MP_TEST(gone_anywhere)
{
    struct conversation c;
    converse(&c, first_object());
    for (size_t n = 0; n <= c.count; n++) {
        struct mgr *m = mgr_new();
        hold(m, &c, n);
        ck_assert_uint_eq(mp__core_stats(m->core).waiting, 0);
        ck_assert_uint_eq(mp__core_stats(m->core).sessions, 0);
        struct mgr_peer *p = mgr_peer(m);
        mp_assert_ok(mgr_ask(p, MP__OP(MANAGER, ping), 0, 0, ""));
        mgr_gone(p);
        mgr_free(m);
    }
    forget(&c);
}

// 35: each bit of all of it turned over.
MP_TEST_TIMEOUT(each_bit_turned, 60)
{
    struct conversation c;
    uint64_t id = first_object();
    size_t cases = 0;
    converse(&c, id);
    for (size_t i = 0; i < c.count; i++)
        for (size_t bit = 0; bit < c.message[i].size * 8; bit++, cases++) {
            struct mgr *m = mgr_new();
            uint8_t *byte = (uint8_t *)c.message[i].data + bit / 8;
            *byte ^= (uint8_t)(1u << bit % 8);
            hold(m, &c, c.count);
            *byte ^= (uint8_t)(1u << bit % 8);
            mgr_free(m);
        }
    ck_assert_uint_gt(cases, 1600);
    forget(&c);
}
