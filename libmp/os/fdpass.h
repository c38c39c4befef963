// SPDX-License-Identifier: MIT
//
// Descriptors through AF_UNIX sockets, with a few bytes that say what they are.
#ifndef MP_OS_FDPASS_H
#define MP_OS_FDPASS_H

#include <stddef.h>

#define MP__FDPASS_MAX 253 // what the kernel takes in one message

// Sends n descriptors (0 to MP__FDPASS_MAX) with size bytes, at least one: all of it, or
// an error. They stay open here. 0; MP_EAGAIN (the socket does not block and is full),
// MP_EPIPE, MP_EINVAL, -ETOOMANYREFS and others of sendmsg(2). Never SIGPIPE.
int mp__fds_send(int sock, const int *fds, size_t n, const void *data, size_t size);

// Receives up to size bytes and up to *n descriptors, close-on-exec; *n becomes how many
// came. Returns the number of bytes. On error no descriptor is left open: MP_EOF,
// MP_EAGAIN, MP_EPROTO (more of them than *n, or more bytes in a datagram than size),
// -EMFILE (no room for them in this process), MP_EINVAL, others of recvmsg(2).
int mp__fds_recv(int sock, int *fds, size_t *n, void *data, size_t size);

// As mp__fds_recv(), but all of it also stays in the socket, and it does not wait
// (MP_EAGAIN). So nothing is lost when there is no room for a descriptor: on success
// read the same bytes once more, without descriptors, and those told here are the only
// ones.
int mp__fds_peek(int sock, int *fds, size_t *n, void *data, size_t size);
// As mp__fds_recv(), and tells who sent it: the socket must have SO_PASSCRED. MP_EPROTO when
// the kernel did not say.
struct ucred;
int mp__fds_recv_from(int sock, int *fds, size_t *n, void *data, size_t size, struct ucred *from);

#endif
