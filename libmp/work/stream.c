// SPDX-License-Identifier: MIT
#include "work/stream.h"

#define PIECE ((size_t)256 << 10) // bytes in and out: some 30 us, as long as a wake-up

static struct mp__range all_items(const struct mp__schedule *s)
{
    return (struct mp__range){s->round[0].begin, s->round[s->rounds - 1].end};
}

// Copies the next run of chunks in, if there is room. False: all are, or there is none.
static bool feed_some(struct mp__stream *s)
{
    uint32_t first = s->fed;
    if (first >= s->end || first - s->returned == s->slots)
        return false;
    s->fed = s->end - first < s->run ? s->end : first + s->run;
    struct mp__range r = mp__schedule_range(&s->cursor_in, first);
    r.end = mp__schedule_range(&s->cursor_in, s->fed - 1).end;
    mp__feed_in(s->feed, first, r);
    return true;
}

// Whether a sleeper is needed for it is for the map to say; at the end all shall leave.
static void publish(struct mp__stream *s)
{
    s->published = s->fed;
    atomic_store(&s->ctl->limit, s->fed);
    if (s->fed == s->end)
        mp__feed_workers(s->ctl, INT_MAX);
}

// Copies the next run of chunks out when it is finished, or what is finished of it when its
// last one is: to follow the workers closer would send the line of done[] back and forth.
static bool return_some(struct mp__stream *s)
{
    uint32_t first = s->returned, c = first;
    uint32_t end = s->fed - first < s->run ? s->fed : first + s->run;
    if (first == end || mp__stream_state(s, end - 1) == MP__CHUNK_OPEN)
        return false;
    struct mp__range r = {0, 0};
    enum mp__chunk_state state = MP__CHUNK_OPEN;
    for (; c < end; c++) {
        state = mp__stream_state(s, c);
        if (state != MP__CHUNK_DONE && state != MP__CHUNK_FAILED)
            break;
        struct mp__range one = mp__schedule_range(&s->cursor_out, c);
        if (state == MP__CHUNK_FAILED)
            mp__stream_take_status(s, one);
        r = (struct mp__range){c == first ? one.begin : r.begin, one.end};
    }
    mp__feed_out(s->feed, first, r.begin, r);
    s->returned = c;
    if (c == first && state != MP__CHUNK_OPEN)
        s->returned++; // settled by a death record, or lost
    return s->returned != first;
}

void mp__stream_begin(struct mp__stream *s)
{
    uint32_t chunks = s->schedule->chunks;
    struct mp__range all = all_items(s->schedule);
    s->end = chunks;
    s->fed = s->returned = s->published = 0;
    s->cursor_in = s->cursor_out = s->schedule->round;
    if (s->feed->window) {
        s->slots = mp__feed_slots(s->feed);
        s->stride = s->slots / 8 + 1;
        s->run = 1;
        return;
    }
    size_t pieces = (all.end - all.begin) * mp__feed_item_bytes(s->feed) / PIECE;
    s->slots = chunks;
    s->stride = pieces ? (uint32_t)((chunks - 1) / pieces + 1) : 0;
    s->run = pieces ? s->stride : chunks;
    if (!pieces)
        feed_some(s);
}

bool mp__stream_move(struct mp__stream *s)
{
    bool in, out, moved = false;
    uint32_t copies = s->stride / s->run;
    do {
        in = feed_some(s);
        if (s->fed - s->published >= s->stride || (!in && s->fed != s->published))
            publish(s);
        out = return_some(s);
        moved |= in || out;
    } while ((in || out) && --copies);
    return moved;
}

void mp__stream_take_status(struct mp__stream *s, struct mp__range items)
{
    for (size_t i = items.begin; s->status && i < items.end; i++) {
        s->status[i] = s->noted[i];
        s->noted[i] = 0;
    }
}

void mp__stream_finish(struct mp__stream *s, bool failed)
{
    if (!s->feed->out.staged && !(failed && s->status))
        return;
    s->fed = s->schedule->chunks;
    while (return_some(s))
        ;
}

uint32_t mp__stream_unclaimed(const struct mp__stream *s)
{
    uint64_t next = atomic_load(&s->ctl->next);
    return next < s->published ? s->published - (uint32_t)next : 0;
}
