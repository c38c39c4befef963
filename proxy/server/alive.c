// SPDX-License-Identifier: MIT
#include "alive.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define ASKED 3 // times before it is given up

// Whether the address that `get` tells of fd is a.
static bool has_address(int fd, int (*get)(int, struct sockaddr *, socklen_t *),
                        const nng_sockaddr *a)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } s;
    socklen_t size = sizeof s;
    if (get(fd, &s.any, &size) < 0)
        return false;
    if (s.any.sa_family == AF_INET && a->s_family == NNG_AF_INET)
        return s.v4.sin_port == a->s_in.sa_port && s.v4.sin_addr.s_addr == a->s_in.sa_addr;
    if (s.any.sa_family == AF_INET6 && a->s_family == NNG_AF_INET6)
        return s.v6.sin6_port == a->s_in6.sa_port &&
               memcmp(&s.v6.sin6_addr, a->s_in6.sa_addr, sizeof s.v6.sin6_addr) == 0;
    return false;
}

// The descriptor with both addresses; -1. A new one is more often among the low ones.
static int find(const nng_sockaddr *here, const nng_sockaddr *there)
{
    struct rlimit l;
    int misses = 0;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return -1;
    for (int fd = 3; (rlim_t)fd < l.rlim_cur && misses < 1000; fd++) {
        int type;
        socklen_t size = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
            misses++;
        else if (has_address(fd, getpeername, there) && has_address(fd, getsockname, here))
            return fd;
        else
            misses = 0;
    }
    return -1;
}

static void set(int fd, int option, int value)
{
    setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

void alive_within(nng_stream *s, int ms)
{
    nng_sockaddr here, there;
    if (nng_stream_get_addr(s, NNG_OPT_LOCADDR, &here) != 0 ||
        nng_stream_get_addr(s, NNG_OPT_REMADDR, &there) != 0 ||
        (here.s_family != NNG_AF_INET && here.s_family != NNG_AF_INET6))
        return;
    int fd = find(&here, &there);
    if (fd < 0)
        return;
    int each = ms / 1000 / (ASKED + 1);
    set(fd, TCP_KEEPIDLE, each > 0 ? each : 1);
    set(fd, TCP_KEEPINTVL, each > 0 ? each : 1);
    set(fd, TCP_KEEPCNT, ASKED);
    set(fd, TCP_USER_TIMEOUT, ms);
}
