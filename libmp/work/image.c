// SPDX-License-Identifier: MIT
//
// A list of the executable segments of all loaded objects, each with a hash of the
// object's name: after a dlclose() another library may lie at the same address.
#include "work/image.h"
#include "os/loader.h"
#include "work/function.h"

#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct mp__image {
    unsigned long long removed; // dlclose()s so far
    bool registered_only;
    size_t n, room;
    struct mp__code code[];
};

static void for_each_object(int (*fn)(struct dl_phdr_info *, size_t, void *), void *arg)
{
    mp__loader_lock();
    dl_iterate_phdr(fn, arg);
    mp__loader_unlock();
}

static uint64_t hash_bytes(const void *data, size_t n)
{
    uint64_t h = 14695981039346656037u; // FNV-1a
    for (const unsigned char *p = data; n--; p++)
        h = (h ^ *p) * 1099511628211u;
    return h;
}

static uint64_t hash(const char *s)
{
    return hash_bytes(s, strlen(s));
}

// The build id is a note: name "GNU", type 3. All parts are padded to 4 bytes.
static uint64_t build_of_notes(const char *at, size_t size)
{
    while (size >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)at;
        size_t name = (note->n_namesz + 3u) & ~(size_t)3, desc = (note->n_descsz + 3u) & ~(size_t)3;
        size_t whole = sizeof *note + name + desc;
        if (whole > size)
            break;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
            memcmp(note + 1, "GNU", 4) == 0)
            return hash_bytes((const char *)(note + 1) + name, note->n_descsz);
        at += whole;
        size -= whole;
    }
    return 0;
}

static uint64_t build_of(const struct dl_phdr_info *info)
{
    uint64_t build = 0;
    for (unsigned i = 0; i < info->dlpi_phnum && !build; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type == PT_NOTE)
            build = build_of_notes((const char *)(info->dlpi_addr + h->p_vaddr), h->p_memsz);
    }
    return build ? build : hash(info->dlpi_name);
}

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
                                                      .name = hash(info->dlpi_name),
                                                      .build = build_of(info)};
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
        for_each_object(collect, image);
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
    for_each_object(count_removed, &removed);
    if (removed == image->removed)
        return true;
    struct mp__image *present = mp__image_new();
    const struct mp__code *now = present ? find(present, (uintptr_t)fn) : NULL;
    bool same = now && now->begin == then->begin && now->name == then->name;
    free(present);
    return same;
}

// ---- where a function is, for another process ----

struct place {
    uintptr_t at;
    uint64_t build, offset;
    bool found;
};

static int look_for(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct place *p = arg;
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + h->p_vaddr;
        if (h->p_type == PT_LOAD && p->at >= begin && p->at < begin + h->p_memsz)
            p->found = true;
    }
    if (p->found) {
        p->build = build_of(info);
        p->offset = p->at - info->dlpi_addr;
    }
    return p->found;
}

bool mp__code_at(void (*fn)(void), uint64_t *build, uint64_t *offset)
{
    struct place p = {.at = (uintptr_t)fn};
    for_each_object(look_for, &p);
    *build = p.build;
    *offset = p.offset;
    return p.found;
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
