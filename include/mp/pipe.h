// SPDX-License-Identifier: MIT
//
// A pipe carries messages between two processes of one machine, through shared
// memory: no system call while both sides are awake, no limit to a message but
// memory, end of data and broken pipe told truthfully however the peer ended.
//
//  1. mp_pipe_new() makes both ends;
//  2. hand an end to a process when it starts (mp_process_opts.give): each end
//     belongs to exactly one process, so nobody keeps it open by accident;
//  3. mp_pipe_send() and mp_pipe_recv() on either side; one thread may send
//     while another receives;
//  4. mp_pipe_close() says that no more comes: the peer reads what is left, then
//     gets MP_EOF; what it sends from then on is MP_EPIPE;
//  5. mp_pipe_free() in the process that holds the end.
//
// Messages also carry open descriptors, pipe ends and shared objects: mp/handle.h.
//
// A plain fork() does not copy an end: in the child every call gives MP_EOWNER,
// and the child holds nothing open. Two peers that both send more than fits and
// never receive wait for each other, as with any pipe.
//
// Between machines, and between programs that do not know each other: mp/url.h. With
// MP_TRANSPORT=nng in the environment mp_pipe_new() makes such pipes, too, to see a program
// run as it would over a wire; its errors are then those of mp_connect() as well.
#ifndef MP_PIPE_H
#define MP_PIPE_H

#include <mp/base.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_pipe mp_pipe;

typedef struct mp_pipe_opts {
    bool oneway;      // a receives only, b sends only; false: both do both
    bool no_spin;     // never spin before sleeping, at the price of latency
    size_t ring_size; // bytes of buffer a direction to begin with; 0 = 64 KiB
    size_t ring_max;  // bytes it may grow to while a stream keeps it full; 0 = 4 MiB
    size_t max_size;  // longest message in bytes; 0 = no limit but memory
} mp_pipe_opts;

// Makes a pipe. *a and *b are its ends, both owned by this process until one is
// given away. With opts->oneway, *a receives and *b sends. Sizes are rounded up
// to a power of two between 4 KiB and 1 GiB. Does not block.
// Errors: MP_EINVAL, -ENOMEM, -EMFILE, -ENFILE, -ENOSPC. Since 0.1.
MP_API MP_NODISCARD int mp_pipe_new(mp_pipe **a, mp_pipe **b, const mp_pipe_opts *opts);

// Sends size bytes as one message; size 0 is a message. A message longer than
// the buffer flows through it in pieces. Blocks while there is no room, up to
// timeout_ms for the first byte; from then on a pause of timeout_ms (but at least
// a second) without progress breaks the pipe for both (MP_EBROKEN), since half a
// message is in it. A peer that died is noticed at the latest 64 KiB and 64
// messages later.
// Errors: MP_EPIPE (the other end is closed or its process is gone), MP_ETIMEDOUT,
// MP_EMSGSIZE (longer than opts->max_size), MP_ESTATE (an end that only
// receives), MP_ECLOSED (this end is closed), MP_EOWNER, MP_EPROTO (the peer damaged
// the buffer; MP_EBROKEN from then on), MP_EBROKEN, MP_EINVAL.
// Since 0.1.
MP_API MP_NODISCARD int mp_pipe_send(mp_pipe *p, const void *data, size_t size, int timeout_ms);

// Receives the next message into buf and returns its size. A message longer than
// cap stays where it is: MP_EMSGSIZE, and mp_pipe_next_size() tells its size.
// Blocks up to timeout_ms for its first byte, then as mp_pipe_send() does.
// Errors: MP_EOF (the other end is closed, and everything it sent was read),
// MP_ETRUNCATED (its process died inside this message; MP_EBROKEN from then on),
// MP_ETIMEDOUT, MP_EMSGSIZE, MP_ETYPE (the message carries handles: it stays, for
// mp_pipe_recv_handles()), MP_ESTATE (an end that only sends), MP_ECLOSED, MP_EOWNER,
// MP_EPROTO (the peer damaged the buffer; MP_EBROKEN from then on), MP_EBROKEN,
// MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int64_t mp_pipe_recv(mp_pipe *p, void *buf, size_t cap, int timeout_ms);

// As mp_pipe_recv(), into memory of its own: *data is the caller's, to be
// released with free(); never NULL on success, also for a message of 0 bytes.
// More errors: -ENOMEM, and then the message stays. Since 0.1.
MP_API MP_NODISCARD int64_t mp_pipe_recv_new(mp_pipe *p, void **data, int timeout_ms);

// Returns the size of the next message without taking it; waits for one as
// mp_pipe_recv() does, with its errors. Since 0.1.
MP_API MP_NODISCARD int64_t mp_pipe_next_size(mp_pipe *p, int timeout_ms);

// Returns 1 when a receive would not block (a message, its beginning, the end
// of data or an error is there), 0 when timeout_ms passed first. Since 0.1.
MP_API MP_NODISCARD int mp_pipe_poll(mp_pipe *p, int timeout_ms);

// Returns a descriptor for poll(2), epoll(7) or a foreign event loop. It is
// readable whenever a receive would not block: level-triggered and truthful, no
// call to re-arm it. In a loop:
//
//   poll(2)   wait for POLLIN; receive with timeout 0 until MP_ETIMEDOUT, or one message
//   epoll(7)  EPOLLIN; with EPOLLET receive until MP_ETIMEDOUT
//   libuv     uv_poll_init() and uv_poll_start() with UV_READABLE; receive until
//             MP_ETIMEDOUT; uv_close() the uv_poll_t before the pipe is freed
//   others    whatever they have for reading from a socket: GLib's g_unix_fd_add() with
//             G_IO_IN, Python's add_reader()
//
// A bell that comes late may make it readable for nothing, once: hence timeout 0. MP_EOF and
// other ends keep it readable: take it out of the loop then. Only calls of this process's
// receiving thread change it, so wait and receive there. There is nothing to wait for to
// send: after MP_ETIMEDOUT with timeout 0, try again later. The descriptor stays the pipe's:
// do not read, close or give it away; it goes when the end is given or sent away. From this
// call on each receive costs a system call or two. Errors: MP_ESTATE (an end that only sends),
// MP_EOWNER, MP_ECLOSED, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_pipe_fd(mp_pipe *p);

// Closes this end: wakes the peer and this end's own blocked calls (MP_ECLOSED).
// What was sent stays readable for the peer. Idempotent, never blocks; NULL is
// fine. Since 0.1.
MP_API void mp_pipe_close(mp_pipe *p);

// Closes and releases the handle. No other thread of this process may use it meanwhile, not even
// to wait: mp_pipe_close() ends its wait, then join it. NULL is fine; in a process that does not
// own the end it only releases memory. Since 0.1.
MP_API void mp_pipe_free(mp_pipe *p);

#ifdef __cplusplus
}
#endif
#endif
