// SPDX-License-Identifier: MIT
//
// The traps here: a control buffer is rounded up, so that one more descriptor than asked
// for may come; when it is too small, or this process has no free descriptor, the kernel
// delivers some and drops the rest; and a stream socket may take only the first bytes,
// with which the descriptors have gone.
#include "os/fdpass.h"

#include <errno.h>
#include <limits.h>
#include <mp/error.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

// Aligned room for the control data.
union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(MP__FDPASS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static int error_of(int err)
{
    if (err == EAGAIN || err == EWOULDBLOCK)
        return MP_EAGAIN;
    return err == EPIPE || err == ECONNRESET ? MP_EPIPE : -err;
}

int mp__fds_send(int sock, const int *fds, size_t n, const void *data, size_t size)
{
    if (size == 0 || !data || n > MP__FDPASS_MAX || (n && !fds))
        return MP_EINVAL;
    union control c;
    struct iovec v = {(void *)(uintptr_t)data, size};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    if (n) {
        memset(&c, 0, sizeof c);
        m.msg_control = &c;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        c.head.cmsg_level = SOL_SOCKET;
        c.head.cmsg_type = SCM_RIGHTS;
        c.head.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&c.head), fds, n * sizeof(int));
    }
    while (v.iov_len) {
        ssize_t sent = sendmsg(sock, &m, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return error_of(errno);
        v.iov_base = (char *)v.iov_base + sent;
        v.iov_len -= (size_t)sent;
        m.msg_control = NULL;
        m.msg_controllen = 0;
    }
    return 0;
}

// Takes all descriptors out of the control data, into `got` with room for
// MP__FDPASS_MAX + 1, and the sender, if he is asked for and told.
static size_t unpack(struct msghdr *m, int *got, struct ucred *from)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (from && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            memcpy(from, CMSG_DATA(c), sizeof *from);
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t more = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(got + n, CMSG_DATA(c), more * sizeof(int));
        n += more;
    }
    return n;
}

static int receive(int sock, int flags, int *fds, size_t *n, void *data, size_t size,
                   struct ucred *from)
{
    if (!n || size == 0 || size > INT_MAX || !data || *n > MP__FDPASS_MAX || (*n && !fds))
        return MP_EINVAL;
    union control c;
    int got[MP__FDPASS_MAX + 1];
    size_t room = *n;
    struct iovec v = {data, size};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c};
    m.msg_controllen = room ? CMSG_SPACE(room * sizeof(int)) : 0;
    if (from)
        m.msg_controllen += CMSG_SPACE(sizeof *from);
    *n = 0;
    ssize_t bytes;
    do
        bytes = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | flags);
    while (bytes < 0 && errno == EINTR);
    if (bytes < 0)
        return error_of(errno);

    size_t came = unpack(&m, got, from);
    int err = 0;
    if (came > room || (m.msg_flags & MSG_TRUNC))
        err = MP_EPROTO;
    else if (m.msg_flags & MSG_CTRUNC)
        err = came < room ? -EMFILE : MP_EPROTO;
    else if (bytes == 0)
        err = MP_EOF;
    if (err) {
        for (size_t i = 0; i < came; i++)
            close(got[i]);
        return err;
    }
    for (size_t i = 0; i < came; i++)
        fds[i] = got[i];
    *n = came;
    return (int)bytes;
}

int mp__fds_recv(int sock, int *fds, size_t *n, void *data, size_t size)
{
    return receive(sock, 0, fds, n, data, size, NULL);
}

int mp__fds_peek(int sock, int *fds, size_t *n, void *data, size_t size)
{
    return receive(sock, MSG_PEEK | MSG_DONTWAIT, fds, n, data, size, NULL);
}

int mp__fds_recv_from(int sock, int *fds, size_t *n, void *data, size_t size, struct ucred *from)
{
    *from = (struct ucred){.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
    int r = receive(sock, 0, fds, n, data, size, from);
    if (r < 0 || from->uid != (uid_t)-1)
        return r;
    for (size_t i = 0; i < *n; i++)
        close(fds[i]);
    *n = 0;
    return MP_EPROTO;
}
