// SPDX-License-Identifier: MIT
//
// What the dynamic loader knows of the code of this process, asked for while nobody forks
// (os/loader.h). A build is known by its build id, a note in the file; where there is none, by
// the file's name.
#include "work/code.h"
#include "base/checksum.h"
#include "os/loader.h"

#include <string.h>

void mp__code_each(int (*fn)(struct dl_phdr_info *, size_t, void *), void *arg)
{
    mp__loader_lock();
    dl_iterate_phdr(fn, arg);
    mp__loader_unlock();
}

uint64_t mp__code_name(const struct dl_phdr_info *info)
{
    return mp__checksum(info->dlpi_name, strlen(info->dlpi_name));
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
            return mp__checksum((const char *)(note + 1) + name, note->n_descsz);
        at += whole;
        size -= whole;
    }
    return 0;
}

uint64_t mp__code_build(const struct dl_phdr_info *info)
{
    uint64_t build = 0;
    for (unsigned i = 0; i < info->dlpi_phnum && !build; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type == PT_NOTE)
            build = build_of_notes((const char *)(info->dlpi_addr + h->p_vaddr), h->p_memsz);
    }
    return build ? build : mp__code_name(info);
}

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
        p->build = mp__code_build(info);
        p->offset = p->at - info->dlpi_addr;
    }
    return p->found;
}

bool mp__code_at(void (*fn)(void), uint64_t *build, uint64_t *offset)
{
    struct place p = {.at = (uintptr_t)fn};
    mp__code_each(look_for, &p);
    *build = p.build;
    *offset = p.offset;
    return p.found;
}
