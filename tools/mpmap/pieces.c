// SPDX-License-Identifier: MIT
#include "pieces.h"
#include "say.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK_MIN = 128 * 1024, // the first, as shared memory is made
    BLOCK_MAX = 1024 * 1024,
    ROOM = 64 * 1024, // less is not worth a read
};

// ---- blocks -----------------------------------------------------------------------------------

static void drop_block(struct pieces *p, struct so_block *b)
{
    if (!b || --b->users > 0)
        return;
    mp_arena_free(p->arena, b->data);
    free(b);
}

// A new block, with what was not given yet at its begin. One that holds no whole record
// doubles, so that a long record is not copied too often.
static int next_block(struct pieces *p)
{
    void *data;
    size_t left = p->have - p->start, cap = p->block ? 2 * p->block->cap : BLOCK_MIN;
    if (cap > BLOCK_MAX)
        cap = BLOCK_MAX;
    if (cap < 2 * left)
        cap = 2 * left;
    int err = mp_arena_alloc(p->arena, &data, cap + 1, 1); // one for the last separator
    if (err)
        return err;
    struct so_block *b = xrealloc(NULL, sizeof *b);
    *b = (struct so_block){.data = data, .cap = cap, .users = 1};
    if (p->block && left)
        memcpy(b->data, p->block->data + p->start, left);
    drop_block(p, p->block);
    p->block = b;
    p->whole -= p->start;
    p->have = left;
    p->start = 0;
    return 0;
}

static int make_room(struct pieces *p)
{
    if (p->block && p->block->users == 1 && p->start == p->have)
        p->start = p->whole = p->have = 0;
    return p->block && p->block->cap - p->have >= ROOM ? 0 : next_block(p);
}

// ---- reading ----------------------------------------------------------------------------------

static bool is_ready(int fd)
{
    struct pollfd f = {.fd = fd, .events = POLLIN};
    return poll(&f, 1, 0) > 0;
}

// What is left at the end: a line without its separator, a fixed record that is short,
// which the function sees by its length, or half a value.
static void end_input(struct pieces *p, int err)
{
    p->ended = true;
    p->err = err;
    if (err || p->whole == p->have)
        return;
    if (p->how->kind == MSGPACK) {
        p->cut_off = true;
        return;
    }
    if (p->how->kind == LINES)
        p->block->data[p->have++] = p->how->separator;
    p->whole = p->have;
}

// The values before the one that is none are done.
static void end_bad(struct pieces *p)
{
    const char *s = p->block->data;
    for (size_t n = 0; n != RECORDS_BAD; p->whole += n == RECORDS_BAD ? 0 : n)
        n = records_next(p->how, s + p->whole, p->have - p->whole);
    end_input(p, -EBADMSG);
}

static int fill(struct pieces *p)
{
    int err = make_room(p);
    if (err)
        return err;
    struct so_block *b = p->block;
    ssize_t n = read(p->in.fd, b->data + p->have, b->cap - p->have);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0) {
        end_input(p, n < 0 ? -errno : 0);
        return 0;
    }
    size_t scanned = p->have;
    p->have += (size_t)n;
    size_t whole = records_cut(p->how, b->data, p->whole, scanned, p->have);
    if (whole == RECORDS_BAD)
        end_bad(p);
    else
        p->whole = whole;
    return 0;
}

// ---- pieces -----------------------------------------------------------------------------------

static void take(struct pieces *p, size_t size, struct piece *out)
{
    size_t end = p->whole;
    if (p->whole - p->start > size)
        end = records_boundary(p->how, p->block->data, p->start, p->start + size, p->whole);
    *out = (struct piece){p->block->data + p->start, end - p->start, p->block};
    p->block->users++;
    p->start = end;
}

int pieces_next(struct pieces *p, size_t size, struct piece *out)
{
    while (!p->ended && p->whole - p->start < size) {
        if (!is_ready(p->in.fd)) {
            if (p->whole == p->start)
                return INPUT_WAIT;
            break;
        }
        int err = fill(p);
        if (err)
            return err;
    }
    if (p->whole == p->start)
        return INPUT_END;
    take(p, size, out);
    return INPUT_ITEM;
}

void pieces_give_back(struct pieces *p, struct piece *piece)
{
    drop_block(p, piece->block);
    piece->block = NULL;
}

void pieces_close(struct pieces *p)
{
    drop_block(p, p->block);
    reader_close(&p->in);
}
