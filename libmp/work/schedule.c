// SPDX-License-Identifier: MIT
#include "work/schedule.h"

#define SHARE    4    // a round takes 1/SHARE of what is left
#define FINENESS 1024 // no chunk smaller than 1/FINENESS of a worker's part

void mp__schedule_clear(struct mp__schedule *s)
{
    s->chunks = s->rounds = 0;
    s->round[0].first = 0;
}

size_t mp__schedule_add(struct mp__schedule *s, size_t begin, size_t end, size_t size)
{
    if (begin == end || s->rounds == MP__MAX_ROUNDS || s->chunks == MP__MAX_CHUNKS)
        return begin;
    size_t room = MP__MAX_CHUNKS - s->chunks;
    size_t chunks = (end - begin - 1) / size + 1;
    if (chunks > room) {
        chunks = room;
        end = begin + room * size;
    }
    s->round[s->rounds++] = (struct mp__round){begin, end, size, s->chunks};
    s->chunks += (uint32_t)chunks;
    s->round[s->rounds].first = s->chunks;
    return end;
}

void mp__schedule_guided(struct mp__schedule *s, size_t begin, size_t end, unsigned workers,
                         size_t most)
{
    size_t least = (end - begin) / workers / FINENESS;
    if (least == 0)
        least = 1;
    if (least < most && (end - begin) / workers / SHARE > most)
        begin = mp__schedule_add(s, begin, end - most * workers * SHARE, most);
    while (begin < end && s->rounds < MP__MAX_ROUNDS - 1) {
        size_t size = (end - begin) / workers / SHARE;
        if (size <= least)
            break;
        begin = mp__schedule_add(s, begin, begin + size * workers, size);
    }
    mp__schedule_add(s, begin, end, least);
}

struct mp__range mp__schedule_find(const struct mp__schedule *s, uint32_t chunk)
{
    const struct mp__round *cursor = s->round;
    return mp__schedule_range(&cursor, chunk);
}
