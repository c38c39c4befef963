// SPDX-License-Identifier: MIT
//
// The bytes that a client of a manager says, for tests that say others.
#ifndef MANAGERRAW_H
#define MANAGERRAW_H

#include "managertest.h"

#include <endian.h>

__attribute__((unused)) static const unsigned char hello[8] = "\0SP\0MP\0\0";

__attribute__((unused)) static void put64(unsigned char *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, 8);
}

// A whole greeting: hello and OPEN.
__attribute__((unused)) static size_t greeting(unsigned char *p)
{
    memset(p, 0, 64);
    memcpy(p, hello, 8);
    put64(p + 8, UINT64_C(2) << 56 | 48);
    p[17] = 1;    // version
    p[19] = 0x10; // PAIR
    put64(p + 24, 1 << 20);
    return 64;
}

__attribute__((unused)) static size_t frame(unsigned char *p, unsigned kind, const void *data,
                                            size_t size)
{
    put64(p, (uint64_t)kind << 56 | size);
    memcpy(p + 8, data, size);
    return 8 + size;
}

__attribute__((unused)) static void say(int fd, const void *data, size_t size)
{
    ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
    (void)n; // it may have hung up already
}

// A socket that has greeted.
__attribute__((unused)) static int greeted(void)
{
    unsigned char p[64];
    int fd = manager_socket();
    say(fd, p, greeting(p));
    for (size_t n = 0; n < 64;) {
        ssize_t k = recv(fd, p, 64 - n, 0);
        ck_assert_int_gt(k, 0);
        n += (size_t)k;
    }
    return fd;
}

__attribute__((unused)) static void check_alive(void)
{
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_call(mp_manager_self(m), NULL, 0, "ping", ""));
    mp_manager_free(m);
}

// Says it after `after`: the other side hangs up.
__attribute__((unused)) static void refused(int fd, const void *data, size_t size)
{
    say(fd, data, size);
    ck_assert(manager_hangs_up(fd, LONG_MS));
    close(fd);
    check_alive();
}

#endif
