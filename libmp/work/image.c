// SPDX-License-Identifier: MIT
//
// A list of the executable segments of all loaded objects, each with a hash of the
// object's name: after a dlclose() another library may lie at the same address.
#include "work/image.h"
#include "work/code.h"
#include "work/function.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct mp__image {
    unsigned long long removed; // dlclose()s so far
    bool registered_only;
    size_t n, room;
    struct mp__code code[];
};

static int collect(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct mp__image *image = arg;
    (void)size;
    image->removed = info->dlpi_subs;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
            continue;
        if (image->n < image->room) {
            uintptr_t begin = info->dlpi_addr + p->p_vaddr;
            image->code[image->n] = (struct mp__code){.begin = begin,
                                                      .end = begin + p->p_memsz,
                                                      .base = info->dlpi_addr,
                                                      .name = mp__code_name(info),
                                                      .build = mp__code_build(info)};
        }
        image->n++;
    }
    return 0;
}

struct mp__image *mp__image_new(void)
{
    size_t room = 32;
    for (;;) {
        struct mp__image *image = malloc(sizeof *image + room * sizeof image->code[0]);
        if (!image)
            return NULL;
        image->n = 0;
        image->room = room;
        image->registered_only = false;
        mp__code_each(collect, image);
        if (image->n <= room)
            return image;
        room = image->n + 8;
        free(image);
    }
}

static const struct mp__code *find(const struct mp__image *image, uintptr_t at)
{
    for (size_t i = 0; i < image->n; i++)
        if (at >= image->code[i].begin && at < image->code[i].end)
            return &image->code[i];
    return NULL;
}

static int count_removed(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    *(unsigned long long *)arg = info->dlpi_subs;
    return 1;
}

bool mp__image_has(const struct mp__image *image, void (*fn)(void))
{
    const struct mp__code *then = find(image, (uintptr_t)fn);
    struct mp__function_ref ref;
    const char *called;
    if (!then || (image->registered_only && mp__function_refer(fn, &ref, &called) < 0))
        return false;
    unsigned long long removed = 0;
    mp__code_each(count_removed, &removed);
    if (removed == image->removed)
        return true;
    struct mp__image *present = mp__image_new();
    const struct mp__code *now = present ? find(present, (uintptr_t)fn) : NULL;
    bool same = now && now->begin == then->begin && now->name == then->name;
    free(present);
    return same;
}

// ---- between processes that have it elsewhere ----

static struct mp__image *theirs, *ours; // NULL: all is where it is

const struct mp__code *mp__image_codes(const struct mp__image *image, size_t *n)
{
    *n = image->n;
    return image->code;
}

void mp__image_keep(struct mp__image *image, const bool *known, bool registered_only)
{
    image->registered_only = registered_only;
    for (size_t i = 0; i < image->n; i++)
        if (!known[i])
            image->code[i].begin = image->code[i].end = 0;
}

static const struct mp__code *same_code(const struct mp__image *image, const struct mp__code *c)
{
    for (size_t i = 0; i < image->n; i++) {
        const struct mp__code *o = &image->code[i];
        if (o->build == c->build && o->begin - o->base == c->begin - c->base)
            return o;
    }
    return NULL;
}

int mp__image_translate(const struct mp__code *codes, size_t n, bool *known)
{
    theirs = malloc(sizeof *theirs + n * sizeof *codes);
    ours = mp__image_new();
    if (!theirs || !ours)
        return -ENOMEM;
    theirs->n = n;
    memcpy(theirs->code, codes, n * sizeof *codes);
    for (size_t i = 0; i < n; i++)
        known[i] = same_code(ours, &codes[i]) != NULL;
    return 0;
}

void mp__image_is_the_callers(void)
{
    theirs = NULL; // without free(): other threads may have held its lock at the fork
}

static uintptr_t moved(const struct mp__image *from, const struct mp__image *to, uintptr_t at)
{
    const struct mp__code *a = find(from, at), *b = a ? same_code(to, a) : NULL;
    return b ? at - a->base + b->base : 0;
}

uintptr_t mp__image_move_here(uintptr_t at)
{
    return theirs ? moved(theirs, ours, at) : at;
}

uintptr_t mp__image_move_there(uintptr_t at)
{
    return theirs ? moved(ours, theirs, at) : at;
}
