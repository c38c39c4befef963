// SPDX-License-Identifier: MIT
//
// Where code lies in this process, and of which build of which program or library it is.
#ifndef MP_WORK_CODE_H
#define MP_WORK_CODE_H

#include <link.h>
#include <stdbool.h>
#include <stdint.h>

// Calls fn for each object that is loaded, until it returns other than 0.
void mp__code_each(int (*fn)(struct dl_phdr_info *, size_t, void *), void *arg);

// Hashes of an object: of its file's name; of its build id, or else of the name.
uint64_t mp__code_name(const struct dl_phdr_info *info);
uint64_t mp__code_build(const struct dl_phdr_info *info);

// In which build of which program or library a function lies, and how far into it: the same
// in every process that has it, wherever. False: in none.
bool mp__code_at(void (*fn)(void), uint64_t *build, uint64_t *offset);

#endif
