// SPDX-License-Identifier: MIT
//
// How the items of a pass are cut into chunks. Workers claim chunk numbers from one
// shared counter; this table turns a number into its items, in any process, so a
// number is all that has to be recorded of a claim.
//
// A schedule is a few rounds; a round is a run of items in chunks of one size (its
// last chunk may be shorter).
#ifndef MP_WORK_SCHEDULE_H
#define MP_WORK_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP__MAX_ROUNDS 64
#define MP__MAX_CHUNKS (1u << 24) // bounds the table of what is done; more items: more passes

struct mp__range {
    size_t begin, end;
};

struct mp__round {
    size_t begin, end; // items
    size_t size;       // items in a chunk
    uint32_t first;    // number of its first chunk
};

struct mp__schedule {
    uint32_t chunks, rounds;
    struct mp__round round[MP__MAX_ROUNDS + 1]; // one more, where the last one ends
};

void mp__schedule_clear(struct mp__schedule *s);

// Appends the items [begin, end) in chunks of `size`. Returns the first item that
// there was no room for: `end` if all went in.
size_t mp__schedule_add(struct mp__schedule *s, size_t begin, size_t end, size_t size);

// Appends [begin, end) in chunks that shrink: each round gives every worker a chunk
// and takes a quarter of what is left. Large chunks first keep the claims few, small
// ones last let all workers end together. None has more than `most` items, unless that would
// make very many. To be used on an empty schedule.
void mp__schedule_guided(struct mp__schedule *s, size_t begin, size_t end, unsigned workers,
                         size_t most);

// The items of a chunk. *cursor is the round where the search begins: the first, or what
// it was at an earlier (lower) chunk.
static inline struct mp__range mp__schedule_range(const struct mp__round **cursor, uint32_t chunk)
{
    const struct mp__round *r = *cursor;
    while (chunk >= r[1].first)
        r++;
    *cursor = r;
    size_t begin = r->begin + (size_t)(chunk - r->first) * r->size;
    return (struct mp__range){begin, r->end - begin > r->size ? begin + r->size : r->end};
}

// The same from anywhere.
struct mp__range mp__schedule_find(const struct mp__schedule *s, uint32_t chunk);

#endif
