// SPDX-License-Identifier: MIT
//
// A list of the executable segments of all loaded objects, each with a hash of the
// object's name: after a dlclose() another library may lie at the same address.
#include "work/image.h"

#include <link.h>
#include <stdint.h>
#include <stdlib.h>

struct code {
    uintptr_t begin, end;
    uint64_t name; // hash
};

struct mp__image {
    unsigned long long removed; // dlclose()s so far
    size_t n, room;
    struct code code[];
};

static uint64_t hash(const char *s)
{
    uint64_t h = 14695981039346656037u; // FNV-1a
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
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
            image->code[image->n] = (struct code){begin, begin + p->p_memsz, hash(info->dlpi_name)};
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
        dl_iterate_phdr(collect, image);
        if (image->n <= room)
            return image;
        room = image->n + 8;
        free(image);
    }
}

static const struct code *find(const struct mp__image *image, uintptr_t at)
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
    const struct code *then = find(image, (uintptr_t)fn);
    if (!then)
        return false;
    unsigned long long removed = 0;
    dl_iterate_phdr(count_removed, &removed);
    if (removed == image->removed)
        return true;
    struct mp__image *present = mp__image_new();
    const struct code *now = present ? find(present, (uintptr_t)fn) : NULL;
    bool same = now && now->begin == then->begin && now->name == then->name;
    free(present);
    return same;
}
