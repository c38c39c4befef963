// SPDX-License-Identifier: MIT
//
// Programs that belong to libmp: beside it, wherever the tree is now.
#ifndef MP_OS_PROGRAM_H
#define MP_OS_PROGRAM_H

#include <stddef.h>

// Finds the first program of `places`, which ends with NULL; those that are not absolute count
// from the directory of the file that this code is in: libmp.so, or the program it is linked into.
// 0 and path; or -ENOENT, with all that was tried as a list in `tried`.
int mp__program_find(char *path, size_t size, const char *const *places, char *tried,
                     size_t tried_size);

#endif
