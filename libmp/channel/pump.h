// SPDX-License-Identifier: MIT
//
// A channel for somebody who must never block: the messages of an end piece by piece, as far
// as they are there, and room as far as there is. mpproxy moves them between channels and the
// wire with it, and knows of nothing but its own small buffers.
//
// Reading:  mp__pump_next() until it gives 1: a message of *size bytes begins;
//           mp__pump_take() until all of it came, then mp__pump_end_message();
//           mp__channel_give_back() before waiting.
// Writing:  mp__pump_begin() until it gives true, mp__pump_put() until all went in;
//           mp__channel_publish() now and then, and before waiting.
// Waiting:  mp__pump_want_data() or mp__pump_want_room(), which look once more after they
//           asked to be rung; then the end's bell, or a byte at its socket.
#ifndef MP_CHANNEL_PUMP_H
#define MP_CHANNEL_PUMP_H

#include "channel/channel.h"

// 1: a message of *size bytes begins. 0: nothing there. MP_EOF, also when the peer died
// after its last message; MP_EBROKEN, MP_EPROTO: broken.
int mp__pump_next(struct mp__channel *c, uint64_t *size);

// Takes up to n bytes of the message that are there into buf. Returns how many, 0 when
// there are none; MP_ETRUNCATED when no more will come, MP_EPROTO.
int64_t mp__pump_take(struct mp__channel *c, void *buf, size_t n);

// Where the next bytes of the message lie, in one piece of *n bytes, at most `most`; NULL
// when there are none. mp__pump_skip() takes them: their place stays untouched until
// mp__channel_give_back().
const void *mp__pump_peek(struct mp__channel *c, size_t most, size_t *n);
void mp__pump_skip(struct mp__channel *c, size_t n);

// All of the message was taken. 0 or MP_EPROTO.
int mp__pump_end_message(struct mp__channel *c);

// True when there was nothing to read on another look: the bell will ring. False: read on.
bool mp__pump_want_data(struct mp__channel *c);

// Begins a message of `size` bytes if there is room for its beginning.
bool mp__pump_begin(struct mp__channel *c, uint64_t size);

// Shows the reader what was put before the present message only, when all of that fits into the
// ring: so he never sees one begin that a bad line may keep from coming. Else all that was put.
void mp__pump_publish_whole(struct mp__channel *c);

// Puts up to n bytes of the message in which `left` bytes, n of them or more, are still to
// come. Returns how many went in; MP_EPROTO when the reader damaged the ring.
int64_t mp__pump_put(struct mp__channel *c, const void *data, size_t n, uint64_t left);

// Room for the message in which `left` bytes are still to come, as up to two pieces of the
// ring; returns their sum. mp__pump_filled() says how much of it was used.
struct mp__piece {
    void *at;
    size_t size;
};
size_t mp__pump_space(struct mp__channel *c, uint64_t left, struct mp__piece p[2]);
void mp__pump_filled(struct mp__channel *c, size_t n, uint64_t left);

// True when there is no room for `n` bytes, nor half a ring, on another look: a byte will
// come through the socket. False: write on.
bool mp__pump_want_room(struct mp__channel *c, size_t n);

// Whether the reader closed or is gone: nothing that is put will be read.
bool mp__pump_unread(struct mp__channel *c);

// Lets the writer at the other end know that nothing more is read: MP_EPIPE. It may go on reading.
void mp__pump_refuse(struct mp__channel *c);

// Takes the bytes out of the socket that told of room.
void mp__pump_hush(struct mp__channel *c);

#endif
