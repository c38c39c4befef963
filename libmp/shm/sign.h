// SPDX-License-Identifier: MIT
//
// The first bytes of an arena's file: what a process reads, by a system call and before it
// maps anything, to see whether it is an arena that it understands. They never change.
#ifndef MP_SHM_SIGN_H
#define MP_SHM_SIGN_H

#include "base/checksum.h"
#include <mp/error.h>

#define MP__ARENA_VERSION 1
#define MP__ARENA_HEAD    4096 // bytes in front of the blocks
#define MP__ARENA_BITS    47   // of address space, at most

// What the arena is for.
enum mp__purpose { MP__OF_USER = 1, MP__OF_OBJECT };

struct mp__sign {
    char magic[8];
    uint32_t machine; // byte order, and sizes of what the C library puts into the memory
    uint32_t version; // of everything that is in the arena
    uint64_t size;    // of the file
    uint64_t max;     // as told to the user
    uint64_t id;      // no other arena has it
    uint64_t purpose;
    uint64_t checksum; // of the bytes before
};

void mp__sign_make(struct mp__sign *s, uint64_t size, uint64_t max, enum mp__purpose purpose);

// Reads the sign of a file. MP_EUNSAFE as mp__shmfile_check(); MP_EFORMAT: not an arena, cut
// off or damaged; MP_EVERSION: of another version or machine.
int mp__sign_read(int fd, struct mp__sign *s);

#endif
