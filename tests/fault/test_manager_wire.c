// SPDX-License-Identifier: MIT
//
// What no client of ours would say to a manager: after each of it the daemon lives, and serves
// the next client.
#include "managerraw.h"

#include "wire/calls.h"

#include <errno.h>

// The status of the answer to a message, or 1 when the connection was closed instead.
static int ask_raw(const void *data, size_t size)
{
    unsigned char p[70000];
    uint64_t head;
    int64_t status;
    int fd = greeted();
    say(fd, p, frame(p, 0, data, size));
    ssize_t n = recv(fd, &head, 8, MSG_WAITALL);
    if (n != 8) {
        close(fd);
        return 1;
    }
    size_t len = (size_t)be64toh(head);
    ck_assert_uint_lt(len, sizeof p);
    ck_assert_int_eq(recv(fd, p, len, MSG_WAITALL), (ssize_t)len);
    mp_assert_ok(mp_unpack(p, len, "[_ I _]", &status));
    close(fd);
    return (int)status;
}

// ---- before the greeting is over -----------------------------------------------------

MP_TEST(bad_greetings)
{
    unsigned char p[1024];
    manager_begin(NULL);
    for (int i = 0; i < 200; i++)
        close(manager_socket()); // connect and go
    check_alive();
    refused(manager_socket(), "GET / HTTP/1.1\r\n\r\n", 18);
    refused(manager_socket(), "\0SP\0\0\x20\0\0", 8); // SUB
    refused(manager_socket(), "\0SP\0\0\x10\0\0", 8); // PAIR of somebody else
    refused(manager_socket(), "\0SP\1\0\x30\0\0", 8); // SP, version 1
    greeting(p);
    p[17] = 2; // another version
    refused(manager_socket(), p, 64);
    greeting(p);
    p[23] = 1; // wants a proof
    refused(manager_socket(), p, 64);
    greeting(p);
    p[8] = 0; // a message before OPEN
    refused(manager_socket(), p, 64);
    memset(p, 0xff, sizeof p);
    memcpy(p, hello, 8);
    refused(manager_socket(), p, 513);
    for (size_t n = 1; n < 64; n++) { // cut off anywhere
        int fd = manager_socket();
        say(fd, p, (greeting(p), n));
        close(fd);
    }
    check_alive();
    manager_end();
}

MP_TEST(the_silent_make_room)
{
    int silent[40];
    manager_begin((const char *const[]){"--greeting-time=1", NULL});
    for (int i = 0; i < 40; i++)
        silent[i] = manager_socket();
    check_alive();                                    // though 16 may be greeting
    ck_assert(manager_hangs_up(silent[0], LONG_MS));  // made room
    ck_assert(manager_hangs_up(silent[39], LONG_MS)); // the time was over
    for (int i = 0; i < 40; i++)
        close(silent[i]);
    manager_end();
}

// ---- frames --------------------------------------------------------------------------

MP_TEST(bad_frames)
{
    unsigned char p[64];
    static const uint64_t lengths[] = {(16u << 20) + 1, 1u << 31, UINT64_C(1) << 32,
                                       (UINT64_C(1) << 56) - 1};
    manager_begin(NULL);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put64(p, lengths[i]);
        refused(greeted(), p, 8);
    }
    for (unsigned kind = 2; kind < 256; kind += 50) {
        put64(p, (uint64_t)kind << 56);
        refused(greeted(), p, 8);
    }
    refused(greeted(), p, frame(p, 0, "", 0));  // an empty message
    refused(greeted(), p, frame(p, 1, "", 0));  // END
    refused(greeted(), p, frame(p, 5, "x", 1)); // asks for rings, with something
    int fd = greeted();
    say(fd, p, (put64(p, 100), 8)); // a message that never comes
    check_alive();
    close(fd);
    check_alive();
    manager_end();
}

MP_TEST(rings_are_asked_for_once)
{
    unsigned char p[64];
    manager_begin(NULL);
    int fd = greeted();
    say(fd, p, frame(p, 5, "", 0));
    say(fd, p, frame(p, 5, "", 0));
    ck_assert(manager_hangs_up(fd, LONG_MS));
    close(fd);
    check_alive();
    fd = greeted();
    say(fd, p, frame(p, 5, "", 0));
    say(fd, p, frame(p, 0, "\x94\1\2\0\0", 5)); // beside the ring
    ck_assert(manager_hangs_up(fd, LONG_MS));
    close(fd);
    check_alive();
    manager_end();
}

// ---- messages ------------------------------------------------------------------------

MP_TEST(bad_messages)
{
    unsigned char deep[600];
    static const struct {
        const char *data;
        size_t size;
    } closed[] = {
        {"\xc1", 1},
        {"\xdd\xff\xff\xff\xff", 5},
        {"\xdf\xff\xff\xff\xff", 5},
        {"\x94\1\2\0\0\0", 6},         // something behind it
        {"\x94\1\2\0", 4},             // cut off
        {"\xdb\0\0\1\0x", 6},          // a text that is longer than the message
        {"\x81\1\2", 3},               // a map
        {"\1", 1},                     // a number
        {"\x90", 1},                   // an empty array
        {"\x92\1\2", 3},               // too short to be a request
        {"\x94\xa1x\2\0\0", 6},        // the id is a text
        {"\x94\xff\2\0\0", 5},         // ... negative
        {"\x95\1\2\0\0\x81\xc0\1", 8}, // nil as key
    };
    manager_begin(NULL);
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        int status = ask_raw(closed[i].data, closed[i].size);
        ck_assert_msg(status != 0, "case %zu was accepted", i);
        check_alive();
    }
    static const unsigned depths[] = {17, 33, 500};
    for (size_t i = 0; i < 3; i++) {
        memcpy(deep, "\x95\1\2\0\0", 5);
        memset(deep + 5, 0x91, depths[i]);
        deep[5 + depths[i]] = 1;
        ck_assert_int_ne(ask_raw(deep, 6 + depths[i]), 0);
        check_alive();
    }
    for (size_t i = 0; i < 31; i++) // each promises a million elements
        memcpy(deep + 5 * i, "\xdd\0\x10\0\0", 5);
    ck_assert_int_ne(ask_raw(deep, 155), 0);
    check_alive();
    manager_end();
}

MP_TEST(bad_requests_are_answered)
{
    static const struct {
        const char *data;
        size_t size;
        int status;
    } cases[] = {
        {"\x94\1\xcd\xff\xff\0\0", 7, MP_ENOFUNC},      // an op that is none
        {"\x94\1\xcd\2\1\xcd\x12\x34\0", 9, MP_ESTALE}, // an object that is none
        {"\x95\1\5\0\0\xa1x", 7, MP_ENOTFOUND},         // a type that is none
        {"\x96\1\7\0\0\xa4../x\xa4"
         "dict",
         15, MP_EINVAL}, // a name that is none
        {"\x96\1\7\0\0\xa0\xa4"
         "dict",
         11, MP_EINVAL},                      // an empty one
        {"\x97\1\2\0\0\1\2\3", 8, MP_EINVAL}, // more arguments than ping takes
    };
    manager_begin(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = ask_raw(cases[i].data, cases[i].size);
        ck_assert_msg(status == cases[i].status, "case %zu: %s", i, mp_err_name(status));
    }
    check_alive();
    manager_end();
}

// A conversation, cut off behind each byte, and with each bit turned.
MP_TEST_TIMEOUT(broken_conversations, 60)
{
    unsigned char whole[300], p[300];
    manager_begin(NULL);
    size_t n = greeting(whole);
    n += frame(whole + n, 0, "\x96\1\1\0\0\1\xa1n", 8); // hello
    n += frame(whole + n, 0,
               "\x96\2\7\0\0\xa1"
               "d\xa4"
               "dict",
               12); // get_or_create
    n += frame(whole + n, 0, "\x95\3\xcc\xff\0\0\x93\1\2\3", 10);
    for (size_t i = 1; i < n; i++) {
        int fd = manager_socket();
        say(fd, whole, i);
        close(fd);
    }
    check_alive();
    for (size_t bit = 0; bit < n * 8; bit++) {
        int fd = manager_socket();
        memcpy(p, whole, n);
        p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        say(fd, p, n);
        close(fd);
    }
    check_alive();
    manager_end();
}

// ---- who does not read ---------------------------------------------------------------

// Asks without end and takes nothing: it is not read any more, then cut off; others notice nothing.
MP_TEST_TIMEOUT(who_reads_nothing_is_cut_off, 60)
{
    unsigned char p[64];
    mp_proxy *d;
    mp_buf b = {0};
    static char data[1 << 16];
    manager_begin((const char *const[]){"--slow-time=1", NULL});
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &d, "d", "dict", ""));
    mp_assert_ok(mp_dict_set(d, "k", "b#", (const void *)data, sizeof data));
    mp_assert_ok(mp_pack(&b, "[iiUisi]", 1, 0x201, mp_proxy_number(d), -1, "k", 0));
    b.size--;                            // get takes a key and a default: leave the 0 out,
    ((unsigned char *)b.data)[0] = 0x95; // and say so
    int fd = greeted();
    size_t n = frame(p, 0, b.data, b.size);
    int64_t end = now_ms() + LONG_MS;
    bool cut = false;
    while (!cut && now_ms() < end) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        cut = k < 0 && errno == EPIPE;
        if (k < 0 && !cut)
            poll(NULL, 0, 5);
        if (k >= 0 && (size_t)k < n) // half a frame: what follows makes no sense, which is fine
            cut = manager_hangs_up(fd, LONG_MS);
    }
    ck_assert(cut);
    close(fd);
    check_alive();
    mp_buf_free(&b);
    mp_proxy_free(d);
    mp_manager_free(m);
    manager_end();
}

// A request as a frame: "add" of a counter, whose answer says how many were done before it.
static size_t add_request(unsigned char *p, const mp_proxy *counter)
{
    unsigned char message[40];
    mp_buf b = {.data = message, .capacity = sizeof message, .borrowed = true, .fixed = true};
    mp_assert_ok(mp_pack(&b, "[iiUi]", 1, MP__OP(COUNTER, add), mp_proxy_number(counter), 0));
    return frame(p, 0, message, b.size);
}

// Sends whole requests until no more fit: how many.
static int64_t fill(int fd, const unsigned char *request, size_t size)
{
    enum { AT_A_TIME = 500 };
    unsigned char *many = malloc(AT_A_TIME * size);
    int64_t n = 0;
    ssize_t k;
    for (size_t i = 0; i < AT_A_TIME; i++)
        memcpy(many + i * size, request, size);
    while ((k = send(fd, many, AT_A_TIME * size, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
        n += k / (ssize_t)size;
    free(many);
    return n;
}

// Clients send as much as their sockets take, while the daemon stands still. One that comes behind
// all of them has its answer when each had its share, of one look at its socket; counted, not
// timed.
MP_TEST(a_flood_does_not_keep_others_out)
{
    enum { FLOODS = 4, SHARE = 64 << 10 };
    unsigned char request[64], answer[64];
    int fds[FLOODS];
    int64_t sent = 0, done = 0;
    mp_proxy *counter;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &counter, "n", "counter", ""));
    size_t size = add_request(request, counter);
    int victim = greeted();
    for (int i = 0; i < FLOODS; i++)
        fds[i] = greeted();
    kill(manager_pid, SIGSTOP);
    for (int i = 0; i < FLOODS; i++)
        sent += fill(fds[i], request, size);
    say(victim, request, size);
    kill(manager_pid, SIGCONT);
    ck_assert_int_ge(recv(victim, answer, sizeof answer, 0), 8 + 4);
    mp_assert_ok(mp_unpack(answer + 8, (size_t)answer[7], "[_ _ I]", &done));
    int64_t fair = FLOODS * (SHARE / (int64_t)size + 1) + 1;
    ck_assert_int_le(done, fair);
    ck_assert_int_gt(sent, fair); // there was more to be done
    for (int i = 0; i < FLOODS; i++)
        close(fds[i]);
    close(victim);
    mp_proxy_free(counter);
    mp_manager_free(m);
    manager_end();
}

// A client that goes through rings.
static mp_manager *with_rings(mp_proxy **counter)
{
    mp_manager *m = manager_connect(NULL);
    mp_manager_info info = {0};
    mp_assert_ok(mp_manager_get(m, counter, "n", "counter", ""));
    for (int i = 0; i < 100000 && !info.rings; i++) { // a slow machine takes longer to burst
        mp_assert_ok(mp_counter_add(*counter, 0, NULL));
        mp_assert_ok(mp_manager_get_info(m, &info));
    }
    ck_assert(info.rings);
    return m;
}

// The same through rings.
MP_TEST(a_flood_through_rings_does_not_keep_others_out)
{
    enum { UNDER_WAY = 240, SHARE = 64 }; // of calls
    int64_t calls[UNDER_WAY], first, done;
    mp_proxy *flood, *victim;
    manager_begin(NULL);
    mp_manager *m = with_rings(&flood), *v = with_rings(&victim);
    mp_assert_ok(mp_counter_add(victim, 0, &first));
    kill(manager_pid, SIGSTOP);
    for (int i = 0; i < UNDER_WAY; i++) {
        calls[i] = mp_call_begin(flood, MP_FOREVER, "add", "");
        ck_assert_int_gt(calls[i], 0);
    }
    int64_t one = mp_call_begin(victim, MP_FOREVER, "add", "");
    ck_assert_int_gt(one, 0);
    kill(manager_pid, SIGCONT);
    mp_assert_ok(mp_call_end(v, NULL, one, "I", &done));
    ck_assert_int_le(done - first, SHARE + 1);
    for (int i = 0; i < UNDER_WAY; i++)
        mp_assert_ok(mp_call_end(m, NULL, calls[i], ""));
    mp_proxy_free(flood);
    mp_proxy_free(victim);
    mp_manager_free(m);
    mp_manager_free(v);
    manager_end();
}

// ---- SP's REQ ------------------------------------------------------------------------

MP_TEST(a_foreign_request_gets_its_answer)
{
    unsigned char p[100];
    manager_begin(NULL);
    int fd = manager_socket();
    say(fd, "\0SP\0\0\x30\0\0", 8);
    ck_assert_int_eq(recv(fd, p, 8, MSG_WAITALL), 8);
    ck_assert_int_eq(memcmp(p, "\0SP\0\0\x31\0\0", 8), 0);
    for (int i = 0; i < 300; i++) {
        memcpy(p, "\1\0\0\0\0\0\0\0\x0a\x80\0\0\0\x95\7\2\0\0\5", 19); // ping with 5, as 7
        p[11] = (unsigned char)(i >> 8);
        p[12] = (unsigned char)i;
        put64(p + 1, 10);
        say(fd, p, 19);
        if (i % 3 == 0)
            say(fd, p, 19); // REQ asks again when it has to wait; there is one answer
        unsigned char got[17];
        ck_assert_int_eq(recv(fd, got, 17, MSG_WAITALL), 17);
        ck_assert_int_eq(memcmp(got, "\1\0\0\0\0\0\0\0\x8", 9), 0);
        ck_assert_int_eq(memcmp(got + 9, p + 9, 4), 0);
        ck_assert_int_eq(memcmp(got + 13, "\x93\7\0\5", 4), 0);
    }
    close(fd);
    check_alive();
    manager_end();
}
