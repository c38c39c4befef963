// SPDX-License-Identifier: MIT
//
// Forty things that a client may say and should not, each over a real connection to a daemon, by
// number. After each the daemon lives and serves the next client; where there is a request, it
// is answered, with an error where one is due. (test_manager_wire.c has more of the framing, and
// the unit tests more of each message.)
//
//  1 an empty frame          15 no array at the root      29 a value at a limit, and above
//  2 a length of 0           16 too few, too many args    30 many requests, nothing read
//  3 a byte short, long      17 an op that is none        31 no proof, a wrong one, too early
//  4 longer than allowed     18 another version           32 bytes behind the value
//  5 2^31, 2^32, 2^63, ...   19 an id that waits          33 keys that collide
//  6 half a head, silence    20 cancel of nothing         34 gone after each byte
//  7 a byte now and then     21 a lock that is not held   35 each bit turned
//  8 0xc1                    22 released twice            36 two of one name
//  9 array32 of 2^32 - 1     23 objects that are none     37 shutdown by a stranger
// 10 map32 of 2^32 - 1       24 timeouts that are none    38 a sum that is too large
// 11 a million in a million  25 counts that are none      39 a list in itself
// 12 too deep                26 names that are none       40 one more than may wait
// 13 a text beyond the end   27 indices out of range
// 14 exts                    28 keys that are none
#include "managerraw.h"

#include "urltest.h"
#include "wire/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

enum { CLOSED = 1 };

struct raw {
    int fd;
    unsigned id;
    mp_buf value; // of the last answer
};

static struct raw come(void)
{
    return (struct raw){.fd = greeted()};
}

static void go(struct raw *c)
{
    close(c->fd);
    mp_buf_free(&c->value);
    check_alive();
}

// The status of the next answer, or CLOSED; its value in c->value.
static int answer(struct raw *c)
{
    uint64_t head;
    const void *value;
    size_t n;
    int64_t status;
    if (recv(c->fd, &head, 8, MSG_WAITALL) != 8)
        return CLOSED;
    size_t size = (size_t)(be64toh(head) & (UINT64_MAX >> 8));
    if (be64toh(head) >> 56 != 0) // END
        return CLOSED;
    uint8_t *data = malloc(size);
    ck_assert_int_eq(recv(c->fd, data, size, MSG_WAITALL), (ssize_t)size);
    mp_assert_ok(mp_unpack_with(&(mp_unpack_opts){.ext = true}, NULL, data, size, "[_ I O#]",
                                &status, &value, &n));
    c->value.size = 0;
    mp_assert_ok(mp_pack(&c->value, "b#", value, n)); // wherever the value is, behind a head
    memmove(c->value.data, (char *)c->value.data + c->value.size - n, n);
    c->value.size = n;
    free(data);
    return (int)status;
}

static void send_message(struct raw *c, const void *data, size_t size)
{
    unsigned char head[8];
    put64(head, size);
    say(c->fd, head, 8);
    say(c->fd, data, size);
}

// A whole message, whatever it is.
static int message(struct raw *c, const void *data, size_t size)
{
    send_message(c, data, size);
    return answer(c);
}
#define MESSAGE(c, bytes) message(c, bytes, sizeof bytes - 1)

// A request of `count` things (op, object, timeout, arguments) that the format says.
static void send_request(struct raw *c, size_t count, const char *types, const char *format, ...)
{
    mp_buf b = {0};
    va_list args;
    mp_assert_ok(mp_pack_array(&b, count + 1));
    mp_assert_ok(mp_pack(&b, "u", ++c->id));
    va_start(args, format);
    mp_assert_ok(mp_vpack(&b, types, format, args));
    va_end(args);
    send_message(c, b.data, b.size);
    mp_buf_free(&b);
}
#define SEND(c, count, ...) send_request(c, count, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)
#define ASK(c, count, ...)  (SEND(c, count, __VA_ARGS__), answer(c))

static uint64_t create(struct raw *c, const char *type)
{
    mp_assert_ok(ASK(c, 4, "i i i s", MP__OP(MANAGER, create), 0, 0, type));
    uint64_t n = 0;
    for (size_t i = 2; i < 10; i++)
        n = n << 8 | ((uint8_t *)c->value.data)[i];
    return n;
}

// ---- frames: 1 to 7 ------------------------------------------------------------------

MP_TEST(lengths)
{
    static const uint64_t lengths[] = {0,               // 1, 2
                                       (16u << 20) + 5, // 4
                                       UINT64_C(1) << 31,
                                       UINT64_C(1) << 32,
                                       UINT64_C(1) << 63,
                                       UINT64_MAX, // 5
                                       UINT64_MAX - 1,
                                       UINT64_C(1) << 55};
    unsigned char p[64];
    manager_begin(NULL);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put64(p, lengths[i]);
        refused(greeted(), p, 8);
        int fd = manager_socket(); // and as SP has it
        say(fd, "\0SP\0\0\x30\0\0", 8);
        p[0] = 1;
        put64(p + 1, lengths[i]);
        refused(fd, p, 9);
    }
    struct raw c = come(); // 3: a byte short, then what follows is no head; a byte long
    say(c.fd, "\0\0\0\0\0\0\0\4\x94\1\2\0\0", 13);
    ck_assert_int_eq(answer(&c), CLOSED);
    go(&c);
    c = come();
    ck_assert_int_eq(MESSAGE(&c, "\x94\1\2\0\0\0"), CLOSED);
    go(&c);
    manager_end();
}

MP_TEST(silence_and_slowness)
{
    unsigned char p[64];
    manager_begin((const char *const[]){"--greeting-time=1", NULL});
    refused(manager_socket(), hello, 5); // 6: half a hello, then nothing
    int fd = manager_socket();
    say(fd, p, greeting(p) - 30); // half of OPEN
    ck_assert(manager_hangs_up(fd, LONG_MS));
    close(fd);
    fd = greeted(); // half a head of a message: it may take its time, and nobody minds
    say(fd, p, 5);
    check_alive();
    int slow = manager_socket(); // 7: the time is for all of the greeting
    size_t n = greeting(p);
    bool cut = false;
    for (size_t i = 0; i < n && !cut; i++) {
        cut = send(slow, p + i, 1, MSG_NOSIGNAL) < 0;
        cut = cut || manager_hangs_up(slow, 100); // what it says meanwhile is dropped
    }
    ck_assert(cut);
    close(slow);
    close(fd);
    check_alive();
    manager_end();
}

// ---- messages: 8 to 20, 32 -------------------------------------------------------------

MP_TEST(messages_that_are_none)
{
    static const struct {
        const char *data;
        size_t size;
    } closed[] = {
        {"\xc1", 1},                              // 8
        {"\x95\1\2\0\0\xc1", 6},                  // 8
        {"\xdd\xff\xff\xff\xff", 5},              // 9
        {"\x95\1\2\0\0\xdd\xff\xff\xff\xff", 10}, // 9
        {"\xdf\xff\xff\xff\xff", 5},              // 10
        {"\x95\1\2\0\0\xdb\0\0\1\0x", 11},        // 13
        {"\xa4text", 5},                          // 15
        {"\x81\1\2", 3},                          // 15
        {"\x93\1\2\0", 4},                        // 16
        {"\x94\1\2\0\0\x94\2\2\0\0", 10},         // 32
    };
    char deep[700];
    manager_begin(NULL);
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        struct raw c = come();
        ck_assert_int_eq(message(&c, closed[i].data, closed[i].size), CLOSED);
        go(&c);
    }
    memcpy(deep, "\x95\1\2\0\0", 5);
    for (size_t i = 0; i < 31; i++) // 11
        memcpy(deep + 5 + 5 * i, "\xdd\0\x10\0\0", 5);
    struct raw c = come();
    ck_assert_int_eq(message(&c, deep, 160), CLOSED);
    go(&c);
    static const size_t depths[] = {17, 33, 600}; // 12
    for (size_t i = 0; i < 3; i++) {
        memset(deep + 5, 0x91, depths[i]);
        deep[5 + depths[i]] = 1;
        c = come();
        int r = message(&c, deep, 6 + depths[i]);
        ck_assert(r == CLOSED || r == MP_EDEPTH);
        go(&c);
    }
    c = come();
    mp_assert_err(MESSAGE(&c, "\x95\1\2\0\0\xc7\0\5"), MP_EPROTO);         // 14: ext8
    mp_assert_err(MESSAGE(&c, "\x95\1\2\0\0\xc9\0\0\0\0\5"), MP_EPROTO);   // ext32
    mp_assert_err(MESSAGE(&c, "\x95\1\2\0\0\xd6\xff\0\0\0\0"), MP_EPROTO); // a time
    mp_assert_err(MESSAGE(&c, "\x94\1\5\0\0"), MP_EINVAL);                 // 16
    mp_assert_err(MESSAGE(&c, "\x96\1\2\0\0\1\2"), MP_EINVAL);             // 16
    mp_assert_err(MESSAGE(&c, "\x94\1\xcd\xff\xff\0\0"), MP_ENOFUNC);      // 17
    mp_assert_err(MESSAGE(&c, "\x94\1\xff\0\0"), MP_ETYPE);                // negative
    mp_assert_err(MESSAGE(&c, "\x94\1\xa4ping\0\0"), MP_ETYPE);            // a text
    mp_assert_err(MESSAGE(&c, "\x95\1\1\0\0\0"), MP_EVERSION);             // 18: 0
    mp_assert_err(MESSAGE(&c, "\x95\1\1\0\0\xcc\xff"), MP_EVERSION);       // 18: 255
    mp_assert_ok(MESSAGE(&c, "\x95\1\3\0\0\7"));                           // 20: unknown
    ck_assert_int_eq(*(uint8_t *)c.value.data, 0xc2);
    c.id = 1000;
    uint64_t q = create(&c, "Queue");
    struct raw other = come();
    other.id = 5000;
    SEND(&other, 3, "i U i", MP__OP(QUEUE, get), q, -1);
    mp_assert_ok(ASK(&c, 4, "i i i i", MP__OP(MANAGER, cancel), 0, 0, 5001)); // 20: foreign
    ck_assert_int_eq(*(uint8_t *)c.value.data, 0xc2);
    mp_assert_ok(ASK(&c, 4, "i i i u", MP__OP(MANAGER, cancel), 0, 0, c.id)); // 20: finished
    ck_assert_int_eq(*(uint8_t *)c.value.data, 0xc2);
    other.id--;
    ck_assert_int_eq(ASK(&other, 3, "i U i", MP__OP(QUEUE, get), q, -1), CLOSED); // 19
    go(&other);
    go(&c);
    manager_end();
}

// ---- requests: 21 to 29, 38 to 40 ------------------------------------------------------

MP_TEST(requests_that_make_no_sense)
{
    manager_begin((const char *const[]){"--max-object-waiting=2", "--max-object-bytes=2K", NULL});
    struct raw c = come(), d = come();
    uint64_t l = create(&c, "Lock"), list = create(&c, "list"), dict = create(&c, "dict");
    mp_assert_err(ASK(&c, 3, "i U i", MP__OP(LOCK, release), l, 0), MP_ENOTHELD); // 21
    mp_assert_ok(ASK(&d, 3, "i U i", MP__OP(LOCK, acquire), l, 0));
    mp_assert_err(ASK(&c, 3, "i U i", MP__OP(LOCK, release), l, 0), MP_ENOTHELD); // another's
    mp_assert_ok(ASK(&d, 3, "i U i", MP__OP(LOCK, release), l, 0));
    mp_assert_err(ASK(&d, 3, "i U i", MP__OP(LOCK, release), l, 0), MP_ENOTHELD); // 22: twice
    mp_assert_ok(ASK(&d, 3, "i U i", MP__OP(LOCK, acquire), l, 0));
    go(&d);
    mp_assert_err(ASK(&c, 3, "i U i", MP__OP(LOCK, acquire), l, -1), MP_EOWNERDEAD);
    mp_assert_ok(ASK(&c, 3, "i U i", MP__OP(LOCK, release), l, 0));
    mp_assert_err(ASK(&c, 3, "i U i", MP__OP(LOCK, release), l, 0), MP_ENOTHELD);    // 22
    mp_assert_err(ASK(&c, 3, "i U i", MP__OP(LIST, len), UINT64_MAX, 0), MP_ESTALE); // 23
    mp_assert_err(ASK(&c, 3, "i U i", MP__OP(LIST, len), dict, 0), MP_ETYPE);
    uint64_t freed = create(&c, "list");
    mp_assert_ok(ASK(&c, 3, "i U i", MP__OP(MANAGER, decref), freed, 0));
    mp_assert_err(ASK(&c, 3, "i U i", MP__OP(LIST, len), freed, 0), MP_ESTALE);
    mp_assert_err(ASK(&c, 3, "i U i", MP__OP(LIST, len), list, -2), MP_EINVAL); // 24
    mp_assert_err(ASK(&c, 3, "i U I", MP__OP(LIST, len), list, INT64_MIN), MP_EINVAL);
    mp_assert_err(ASK(&c, 3, "i U d", MP__OP(LIST, len), list, 0.0 / 0.0), MP_ETYPE);
    mp_assert_err(ASK(&c, 3, "i U d", MP__OP(LIST, len), list, 1.0 / 0.0), MP_ETYPE);
    mp_assert_ok(ASK(&c, 3, "i U U", MP__OP(LIST, len), list, UINT64_MAX));
    mp_assert_err(ASK(&c, 5, "i i i s i", MP__OP(MANAGER, create), 0, 0, "Barrier", 0), // 25
                  MP_EINVAL);
    mp_assert_err(ASK(&c, 5, "i i i s i", MP__OP(MANAGER, create), 0, 0, "Semaphore", -1),
                  MP_ETYPE);
    mp_assert_err(
        ASK(&c, 5, "i i i s U", MP__OP(MANAGER, create), 0, 0, "Barrier", UINT64_C(1) << 32),
        MP_EINVAL);
    static const char *const names[] = {
        "",
        "../x",
        "a\x1b[2J",
        "\xff\xfe",
        "a b",
        ("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"
         "ggggg")};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) // 26
        mp_assert_err(ASK(&c, 4, "i U i s", MP__OP(MANAGER, name), list, 0, names[i]), MP_EINVAL);
    mp_assert_err(ASK(&c, 4, "i U i s#", MP__OP(MANAGER, name), list, 0, "a\0b", (size_t)3),
                  MP_EINVAL);
    mp_assert_err(ASK(&c, 4, "i U i i", MP__OP(LIST, get), list, 0, 0), MP_EINDEX); // 27
    mp_assert_err(ASK(&c, 4, "i U i i", MP__OP(LIST, get), list, 0, -1), MP_EINDEX);
    mp_assert_err(ASK(&c, 6, "i U i i i i", MP__OP(LIST, slice), list, 0, 0, 1, 0), MP_EINVAL);
    mp_assert_err(ASK(&c, 5, "i U i n i", MP__OP(DICT, set), dict, 0, 1), MP_ETYPE); // 28
    mp_assert_err(ASK(&c, 5, "i U i [] i", MP__OP(DICT, set), dict, 0, 1), MP_ETYPE);
    mp_assert_err(ASK(&c, 5, "i U i d i", MP__OP(DICT, set), dict, 0, 0.0 / 0.0, 1), MP_ETYPE);
    static const char big[4000];
    mp_assert_err(ASK(&c, 5, "i U i b# i", MP__OP(DICT, set), dict, 0, big, sizeof big, 1),
                  MP_EMSGSIZE);
    mp_assert_ok(ASK(&c, 4, "i U i b#", MP__OP(LIST, append), list, 0, big, (size_t)1000)); // 29
    mp_assert_err(ASK(&c, 4, "i U i b#", MP__OP(LIST, append), list, 0, big, (size_t)1500),
                  MP_EQUOTA);
    uint64_t n = create(&c, "counter"); // 38
    mp_assert_ok(ASK(&c, 4, "i U i I", MP__OP(COUNTER, set), n, 0, INT64_MAX));
    mp_assert_err(ASK(&c, 4, "i U i i", MP__OP(COUNTER, add), n, 0, 1), MP_EOVERFLOW);
    uint8_t self[10] = {0xd7, MP__EXT_OBJECT}; // 39: it may be in itself, and goes all the same
    put64(self + 2, list);
    mp_assert_ok(ASK(&c, 4, "i U i O#", MP__OP(LIST, append), list, 0, self, sizeof self));
    uint64_t q = create(&c, "Queue"); // 40
    SEND(&c, 3, "i U i", MP__OP(QUEUE, get), q, -1);
    SEND(&c, 3, "i U i", MP__OP(QUEUE, get), q, -1);
    mp_assert_err(ASK(&c, 3, "i U i", MP__OP(QUEUE, get), q, -1), MP_EQUOTA);
    go(&c);
    manager_end();
}

// ---- many, colliding, cut, turned: 30, 33; 34 and 35 are in test_manager_wire.c ---------

MP_TEST_TIMEOUT(many_requests_and_keys, 120)
{
    manager_begin(NULL);
    struct raw c = come();
    uint64_t dict = create(&c, "dict");
    for (int i = 0; i < 2000; i++) // 33: all the same in their low half
        mp_assert_ok(ASK(&c, 5, "i U i I i", MP__OP(DICT, set), dict, 0, (int64_t)i << 32, i));
    mp_assert_ok(ASK(&c, 3, "i U i", MP__OP(DICT, len), dict, 0));
    fcntl(c.fd, F_SETFL, O_NONBLOCK); // 30: until it is not read from any more
    mp_buf b = {0};
    unsigned char head[8];
    mp_assert_ok(mp_pack(&b, "[iiUi]", 1, MP__OP(DICT, copy), dict, 0));
    put64(head, b.size);
    size_t sent = 0;
    struct pollfd p = {.fd = c.fd, .events = POLLOUT};
    while (sent < 1000000 && poll(&p, 1, 300) == 1 && !(p.revents & POLLERR)) {
        if (send(c.fd, head, 8, MSG_NOSIGNAL) != 8 ||
            send(c.fd, b.data, b.size, MSG_NOSIGNAL) != (ssize_t)b.size)
            break;
        sent++;
    }
    ck_assert_uint_lt(sent, 1000000);
    check_alive();
    mp_buf_free(&b);
    go(&c);
    manager_end();
}

// ---- who is there: 31, 36, 37 ----------------------------------------------------------

MP_TEST(two_of_one_name)
{
    manager_begin(NULL);
    struct raw c = come(), d = come();
    uint64_t first = 0, second = 0;
    mp_assert_ok(ASK(&c, 5, "i i i i s", MP__OP(MANAGER, hello), 0, 0, 1, "me"));
    mp_assert_ok(mp_unpack(c.value.data, c.value.size, "[_ _ U]", &first));
    mp_assert_ok(ASK(&d, 5, "i i i i s", MP__OP(MANAGER, hello), 0, 0, 1, "me"));
    mp_assert_ok(mp_unpack(d.value.data, d.value.size, "[_ _ U]", &second));
    ck_assert_uint_ne(first, second);
    uint64_t l = create(&c, "Lock");
    mp_assert_ok(ASK(&c, 3, "i U i", MP__OP(LOCK, acquire), l, 0));
    mp_assert_err(ASK(&d, 3, "i U i", MP__OP(LOCK, acquire), l, 0), MP_EAGAIN);
    go(&c);
    mp_assert_err(ASK(&d, 3, "i U i", MP__OP(LOCK, acquire), l, -1), MP_ESTALE); // it went along
    go(&d);
    manager_end();
}

static int port_of(const char *file)
{
    char line[500];
    int port = 0;
    FILE *f = fopen(file, "re");
    while (f && !port && fgets(line, sizeof line, f)) {
        const char *at = strstr(line, "url=tcp://127.0.0.1:");
        port = at ? (int)strtol(at + strlen("url=tcp://127.0.0.1:"), NULL, 10) : 0;
    }
    if (f)
        fclose(f);
    return port;
}

static int dial(int port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static void next_remote_client(int port, int expected)
{
    char url[60];
    mp_manager *m;
    mp_url_opts o = {.key_file = "key"};
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    mp_assert_ok(mp_connect_manager(&m, url, &(mp_manager_opts){.url = &o}));
    mp_assert_err(mp_call(mp_manager_self(m), NULL, 0, "shutdown", ""), expected); // 37
    mp_manager_free(m);
}

MP_TEST_TIMEOUT(without_a_proof, 120)
{
    static const unsigned char long_one[513];
    unsigned char p[1024];
    int port = 0, key = open("key", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(key, "0123456789abcdef", 16), 16);
    close(key);
    url_needs_proxy();
    manager_begin((const char *const[]){"--listen=tcp://127.0.0.1:0", "--key-file=key",
                                        "--log-file=log", "--log-level=info", NULL});
    ck_assert(mptest_eventually((port = port_of("log")) > 0, LONG_MS));
    for (int what = 0; what < 5; what++) { // 31
        size_t n = greeting(p);
        p[23] = 1; // OPEN: with a proof
        if (what == 0)
            p[23] = 0; // without one
        else if (what == 1)
            n += frame(p + n, 0, "\x94\1\2\0\0", 5); // a message in its place
        else if (what == 2)
            n += frame(p + n, 3, "a proof that anybody could make.", 32);
        else if (what == 3)
            n += frame(p + n, 3, long_one, sizeof long_one);
        else
            n = 4; // half a hello, and then much
        int fd = dial(port);
        say(fd, p, n);
        if (what == 4) {
            memset(p, 0xff, sizeof p);
            say(fd, p, 513);
        }
        ck_assert(manager_hangs_up(fd, LONG_MS));
        close(fd);
        next_remote_client(port, MP_EDENIED);
    }
    for (int i = 0; i < 3; i++) { // and proofs where none is asked for
        int fd = greeted();
        say(fd, p, frame(p, 3, "a proof that anybody could make.", 32));
        ck_assert(manager_hangs_up(fd, LONG_MS));
        close(fd);
    }
    check_alive();
    manager_end();
    unlink("key");
    unlink("log");
}
