// SPDX-License-Identifier: MIT
//
// How the system is, as the kernel tells: of our control group where it has figures of
// its own, else of all.
#ifndef MPMAP_SYSTEM_H
#define MPMAP_SYSTEM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { PRESSURE_CPU, PRESSURE_MEMORY, PRESSURE_IO, PRESSURES };

// What is asked of control groups: GROUP_ANY is the one of version 2, whatever it controls.
enum controller { GROUP_MEMORY, GROUP_CPU, GROUP_ANY, CONTROLLERS };

struct system_group {
    char dir[PATH_MAX];
    size_t top; // dir is the root of its hierarchy up to here
    bool v1;
};

// The control group in which this process was at the first call, or NULL.
const struct system_group *system_group(enum controller c);

// The beginning of a small file, as a text. False: it cannot be read, or is empty.
bool system_read(const char *dir, const char *name, char *text, size_t size);

// Whether `word` is one of a list, with blanks, newlines or commas between.
bool system_has_word(const char *list, const char *word);

// The number behind a word at the beginning of a line of text, or `otherwise`.
long system_number(const char *text, const char *word, long otherwise);

// Threads that run or want to, without us.
long system_runnable(void);

// Bytes that new processes could have.
long system_memory_free(void);

// The share of the last ten seconds, in percent, in which something had to wait for it;
// 0 where the kernel does not tell.
double system_pressure(int which);

#endif
