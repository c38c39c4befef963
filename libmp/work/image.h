// SPDX-License-Identifier: MIT
//
// Which code a process had at a certain moment: a function pointer means the same in
// a child only if it points into code that was loaded before the fork.
#ifndef MP_WORK_IMAGE_H
#define MP_WORK_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mp__image;

// An executable segment. Where it begins in its file, and which file that is, is the same in
// all processes.
struct mp__code {
    uintptr_t begin, end, base;
    uint64_t name, build; // hashes
};

// The code of now; NULL without memory. Released with free().
struct mp__image *mp__image_new(void);

// Whether the function lies in it, and what lies there now is still that.
bool mp__image_has(const struct mp__image *image, void (*fn)(void));

// For a pool whose workers were not forked from here (work/distant.c). The caller tells what it
// has (mp__image_codes), the supervisor finds it in its own memory, and says which of it it knows
// (mp__image_translate); the caller forgets the rest (mp__image_keep), and may take
// registered functions only from then on.
const struct mp__code *mp__image_codes(const struct mp__image *image, size_t *n);
void mp__image_keep(struct mp__image *image, const bool *known, bool registered_only);
int mp__image_translate(const struct mp__code *codes, size_t n, bool *known);

// In a forked supervisor, whose caller may be a worker of another pool.
void mp__image_is_the_callers(void);

// In its workers: a place in the caller's code is where here, and the other way round; 0 if
// nowhere. In all other processes it is where it is.
uintptr_t mp__image_move_here(uintptr_t at);
uintptr_t mp__image_move_there(uintptr_t at);

// The same of a function, of any type.
#define mp__image_here(fn) ((__typeof__(fn))mp__image_move_here((uintptr_t)(fn)))

#endif
