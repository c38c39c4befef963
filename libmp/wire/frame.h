// SPDX-License-Identifier: MIT
//
// Bytes on the wire: what every peer that speaks SP understands, and what two of libmp add.
// docs/protocol.md says it at length.
//
// SP over tcp, tls and ipc begins with eight bytes each way, 00 'S' 'P' 00, the protocol, 00 00;
// then each message has its length before it, 64 bits, over ipc with a byte 01 before that. Over
// ws a WebSocket message is one of SP's.
//
// Two of libmp know each other by the protocol number 'M' 'P' and then have frames: a kind in
// the first byte, a length in the other seven. So a message looks like SP's.
#ifndef MP_WIRE_FRAME_H
#define MP_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { MP__HELLO = 8, MP__HELLO_COMMON = 4, MP__FRAME = 8 };

#define MP__PROTOCOL_MP 0x4d50

enum mp__frame_kind {
    MP__FRAME_MESSAGE = 0,
    MP__FRAME_END = 1,    // no more messages from this side
    MP__FRAME_OPEN = 2,   // struct mp__open
    MP__FRAME_PROOF = 3,  // 32 bytes: that the sender has the key
    MP__FRAME_REFUSE = 4, // one byte: why
    MP__FRAME_RINGS = 5,  // manager, local: asks for a channel; its sizes, with it as
                          // descriptors, or nothing: not now
};

#define MP__WIRE_VERSION 1

enum { MP__NONCE = 32, MP__PROOF = 32 };
enum { MP__OPEN_KEY = 1 }; // flags: prove that you have the key
enum { MP__REFUSE_VERSION = 1, MP__REFUSE_PROTOCOL = 2, MP__REFUSE_KEY = 3, MP__REFUSE_FULL = 4 };

enum { MP__RINGS = 24 }; // three words: ring_size, ring_max, max_size of the channel

// The first frame each way.
struct mp__open {
    uint16_t version;
    uint16_t protocol; // of SP: what this end is
    uint32_t flags;
    uint64_t max_size; // the longest message it takes
    uint8_t nonce[MP__NONCE];
};
enum { MP__OPEN = 16 + MP__NONCE };

static inline void mp__put_be(uint8_t *p, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

static inline uint64_t mp__get_be(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static inline void mp__put_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    memcpy(p, &v, sizeof v);
}

static inline uint64_t mp__get_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ != __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline void mp__hello_write(uint8_t p[MP__HELLO], uint16_t protocol)
{
    memcpy(p, "\0SP\0", MP__HELLO_COMMON);
    mp__put_be(p + 4, protocol, 2);
    p[6] = p[7] = 0;
}

// The first half of a hello, which all have in common.
static inline bool mp__hello_begins(const uint8_t *p)
{
    return memcmp(p, "\0SP\0", MP__HELLO_COMMON) == 0;
}

// The protocol of a hello, or -1 when it is none.
static inline int mp__hello_read(const uint8_t p[MP__HELLO])
{
    return mp__hello_begins(p) && !p[6] && !p[7] ? (int)mp__get_be(p + 4, 2) : -1;
}

static inline void mp__frame_write(uint8_t p[MP__FRAME], enum mp__frame_kind kind, uint64_t size)
{
    mp__put_be64(p, (uint64_t)kind << 56 | size);
}

static inline int mp__frame_kind(uint64_t head)
{
    return (int)(head >> 56);
}

static inline uint64_t mp__frame_size(uint64_t head)
{
    return head & ((UINT64_C(1) << 56) - 1);
}

static inline void mp__open_write(uint8_t p[MP__OPEN], const struct mp__open *o)
{
    mp__put_be(p, o->version, 2);
    mp__put_be(p + 2, o->protocol, 2);
    mp__put_be(p + 4, o->flags, 4);
    mp__put_be64(p + 8, o->max_size);
    memcpy(p + 16, o->nonce, MP__NONCE);
}

static inline struct mp__open mp__open_read(const uint8_t p[MP__OPEN])
{
    struct mp__open o = {.version = (uint16_t)mp__get_be(p, 2),
                         .protocol = (uint16_t)mp__get_be(p + 2, 2),
                         .flags = (uint32_t)mp__get_be(p + 4, 4),
                         .max_size = mp__get_be64(p + 8)};
    memcpy(o.nonce, p + 16, MP__NONCE);
    return o;
}

// The protocol that may be at the other end of one: PAIR of PAIR, PULL of PUSH, ...; -1.
static inline int mp__sp_peer(int protocol)
{
    static const struct {
        int one, other;
    } pairs[] = {{0x10, 0x10}, {0x50, 0x51}, {0x30, 0x31}, {0x4d51, 0x4d51}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (protocol == pairs[i].one)
            return pairs[i].other;
        if (protocol == pairs[i].other)
            return pairs[i].one;
    }
    return -1;
}

// As it is written in the subprotocol of ws.
static inline const char *mp__sp_name(int protocol)
{
    switch (protocol) {
    case 0x10:
        return "pair";
    case 0x50:
        return "push";
    case 0x51:
        return "pull";
    case 0x30:
        return "req";
    case 0x31:
        return "rep";
    case 0x4d51:
        return "queue"; // of libmp, and nobody else's
    default:
        return NULL;
    }
}

#endif
