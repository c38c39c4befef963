// SPDX-License-Identifier: MIT
//
// What the pool asks of arenas: does an array lie in memory that my workers have
// at the same address?
#ifndef MP_SHM_ARENA_H
#define MP_SHM_ARENA_H

#include <mp/arena.h>

// The number of the youngest arena of this process and its ancestors: those up to
// this number are inherited by what is forked now.
uint64_t mp__arena_youngest(void);

// Whether all of [ptr, ptr+size) lies in one arena that still exists here and is
// not younger than `youngest`.
bool mp__arena_shares(const void *ptr, size_t size, uint64_t youngest);

#endif
