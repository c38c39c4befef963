// SPDX-License-Identifier: MIT
#include "work/feed.h"

#include <string.h>

#define CHUNK_BYTES  ((size_t)512 << 10) // a chunk that is copied: stays in a core's cache
#define PARTS        16                  // ... but at least so many a worker
#define SLOTS        8                   // of the window, a worker, when there is room
#define FEWEST_SLOTS 2

size_t mp__feed_item_bytes(const struct mp__feed *f)
{
    return (f->in.staged ? f->in.size : 0) + (f->out.staged && !f->in_place ? f->out.size : 0);
}

bool mp__feed_fits(const struct mp__feed *f, size_t items)
{
    size_t bytes = mp__feed_item_bytes(f);
    return bytes == 0 || items <= f->staging / bytes;
}

size_t mp__feed_most(const struct mp__feed *f)
{
    size_t bytes = mp__feed_item_bytes(f);
    if (bytes == 0)
        return SIZE_MAX;
    return bytes < CHUNK_BYTES ? CHUNK_BYTES / bytes : 1;
}

size_t mp__feed_chunk(const struct mp__feed *f, size_t items)
{
    size_t chunk = items / f->workers / PARTS, most = mp__feed_most(f);
    if (chunk > most)
        return most;
    return chunk ? chunk : 1;
}

// Puts the sides where `in_bytes` and `out_bytes` of staging memory lie one behind the
// other; a side that is not staged stays where it is.
static int place(struct mp__feed *f, struct mp__segment *seg, size_t in_bytes, size_t out_bytes)
{
    size_t in_at = f->offset;
    size_t out_at = f->in_place ? in_at : in_at + (in_bytes + 63) / 64 * 64;
    int r = mp__segment_hold(seg, &seg->data, out_at + out_bytes);
    if (r < 0)
        return r;
    f->in_side = (struct mp__side){.base = (uintptr_t)f->in.user, .size = f->in.size};
    f->out_side = (struct mp__side){.base = (uintptr_t)f->out.user, .size = f->out.size};
    if (f->in.staged)
        f->in_side.base = (uintptr_t)seg->data.base + in_at;
    if (f->out.staged)
        f->out_side.base = (uintptr_t)seg->data.base + out_at;
    return 0;
}

int mp__feed_whole(struct mp__feed *f, struct mp__segment *seg, size_t origin, size_t end)
{
    size_t items = end - origin;
    f->window = false;
    int r = place(f, seg, f->in.staged ? items * f->in.size : 0,
                  f->out.staged ? items * f->out.size : 0);
    if (r < 0)
        return r;
    if (f->in.staged)
        f->in_side.base -= origin * f->in.size;
    if (f->out.staged)
        f->out_side.base -= origin * f->out.size;
    return 0;
}

int mp__feed_window(struct mp__feed *f, struct mp__segment *seg, size_t chunk, uint32_t chunks)
{
    size_t slot_bytes, in_bytes, out_bytes;
    if (__builtin_mul_overflow(chunk, mp__feed_item_bytes(f), &slot_bytes))
        return -ENOMEM;
    size_t slots = f->staging / slot_bytes;
    if (slots < (size_t)FEWEST_SLOTS * f->workers)
        slots = (size_t)FEWEST_SLOTS * f->workers;
    if (slot_bytes >= CHUNK_BYTES / 4 && slots > (size_t)SLOTS * f->workers)
        slots = (size_t)SLOTS * f->workers;
    if (slots > chunks)
        slots = chunks;
    size_t in_slot = f->in.staged ? chunk * f->in.size : 0;
    size_t out_slot = f->out.staged ? chunk * f->out.size : 0;
    if (__builtin_mul_overflow(slots, in_slot, &in_bytes) ||
        __builtin_mul_overflow(slots, out_slot, &out_bytes) || in_bytes > SIZE_MAX / 4 ||
        out_bytes > SIZE_MAX / 4)
        return -ENOMEM;
    int r = place(f, seg, in_bytes, out_bytes);
    if (r < 0)
        return r;
    f->window = true;
    if (f->in.staged) {
        f->in_side.slot = in_slot;
        f->in_side.window = (uint32_t)slots;
    }
    if (f->out.staged) {
        f->out_side.slot = out_slot;
        f->out_side.window = (uint32_t)slots;
    }
    return 0;
}

uint32_t mp__feed_slots(const struct mp__feed *f)
{
    return f->in_side.window ? f->in_side.window : f->out_side.window;
}

void mp__feed_in(const struct mp__feed *f, uint32_t chunk, struct mp__range items)
{
    if (!f->in.staged)
        return;
    size_t size = f->in.size;
    memcpy(mp__side_at(&f->in_side, chunk, items.begin), f->in.user + items.begin * size,
           (items.end - items.begin) * size);
}

void mp__feed_out(const struct mp__feed *f, uint32_t chunk, size_t first, struct mp__range items)
{
    if (!f->out.staged || items.begin == items.end)
        return;
    size_t size = f->out.size;
    const char *from = mp__side_at(&f->out_side, chunk, first);
    memcpy(f->out.user + items.begin * size, from + (items.begin - first) * size,
           (items.end - items.begin) * size);
}
