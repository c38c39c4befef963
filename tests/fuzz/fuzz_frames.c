// SPDX-License-Identifier: MIT
//
// A fuzzing target: what comes by a manager's socket, from the hello to whole messages. The first
// byte of the input says how long the pieces are in which the rest comes, and how often the
// client is not read from for a while. However it is cut, the same must come out of it.
#include "server/server.h"
#include "wire/buf.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LONGEST = 2000 };

static struct options options = {.max_message = LONGEST, .slow_out = 1 << 20};
static struct server server = {.options = &options};

// What came out of one way of cutting the input.
struct result {
    unsigned messages, rings;
    size_t bytes;
    enum phase phase;
};
static struct result result;
static bool blocked;

static void require(bool holds)
{
    if (!holds)
        abort();
}

// ---- the rest of the server, for socket.c --------------------------------------------

void conn_die(struct conn *c, const char *reason)
{
    require(reason != NULL);
    c->phase = DEAD;
}

void conn_touch(struct conn *c)
{
    (void)c;
}

void conn_frame(struct conn *c, enum mp__frame_kind kind, const void *data, size_t size)
{
    require(c->phase != DEAD && (kind == MP__FRAME_OPEN || kind == MP__FRAME_REFUSE));
    require(data != NULL && size <= MP__OPEN);
}

int conn_greeted(struct conn *c)
{
    require(c->phase < GREETED);
    c->phase = GREETED;
    return 0;
}

bool conn_is_blocked(const struct conn *c)
{
    return blocked || (c->req && c->asked);
}

void conn_offer_rings(struct conn *c)
{
    require(c->phase == GREETED && !c->req);
    result.rings++;
}

void conn_message(struct conn *c, const void *data, size_t size)
{
    static uint8_t copy[LONGEST];
    require(c->phase == GREETED && size <= LONGEST);
    memcpy(copy, data, size); // for the sanitizer
    result.messages++;
    result.bytes += size;
    c->asked = false; // answered at once
    c->answered = true;
}

// ---- feeding -------------------------------------------------------------------------

static void feed(struct conn *c, int fd, const uint8_t *data, size_t size, size_t piece,
                 unsigned block_every)
{
    unsigned n = 0;
    while (size > 0 && c->phase != DEAD) {
        size_t k = piece && piece < size ? piece : size < 4096 ? size : 4096;
        require(send(fd, data, k, 0) == (ssize_t)k);
        data += k;
        size -= k;
        blocked = block_every && ++n % block_every == 0;
        conn_read_socket(c);
        if (blocked && c->phase != DEAD) {
            blocked = false;
            conn_resume(c);
        }
        // Nothing is kept but the beginning of a message.
        require(c->phase == DEAD || c->in.size <= LONGEST + 1 + MP__FRAME + 4 + 4096);
    }
}

static struct result run(const uint8_t *data, size_t size, size_t piece, unsigned block_every)
{
    int sv[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
    struct conn c = {.server = &server, .fd = sv[1], .pidfd = -1};
    result = (struct result){0};
    feed(&c, sv[0], data, size, piece, block_every);
    result.phase = c.phase;
    mp_buf_free(&c.in);
    mp_buf_free(&c.out);
    close(sv[0]);
    close(sv[1]);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct result whole = run(data + 1, size - 1, 0, 0);
    struct result cut = run(data + 1, size - 1, 1 + (data[0] & 0x3f), data[0] >> 6);
    require(whole.messages == cut.messages && whole.bytes == cut.bytes);
    require(whole.rings == cut.rings && whole.phase == cut.phase);
    return 0;
}
