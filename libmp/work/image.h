// SPDX-License-Identifier: MIT
//
// Which code a process had at a certain moment: a function pointer means the same in
// a child only if it points into code that was loaded before the fork.
#ifndef MP_WORK_IMAGE_H
#define MP_WORK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

struct mp__image;

// The code of now; NULL without memory. Released with free().
struct mp__image *mp__image_new(void);

// Whether the function lies in it, and what lies there now is still that.
bool mp__image_has(const struct mp__image *image, void (*fn)(void));

// In which build of which program or library a function lies, and how far into it: the same
// in every process that has it, wherever. False: in none.
bool mp__code_at(void (*fn)(void), uint64_t *build, uint64_t *offset);

#endif
