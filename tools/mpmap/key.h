// SPDX-License-Identifier: MIT
//
// What a job is known by in a joblog: its command with its item, as text, and the
// hash of that.
#ifndef MPMAP_KEY_H
#define MPMAP_KEY_H

#include <stdint.h>

struct key {
    uint64_t a, b;
};

struct key key_of(const char *text);
int key_compare(struct key x, struct key y);

// A command as template_print() has it, as one line: newlines and tabs become $'\n' and
// $'\t'. Takes the text, malloc()ed, and returns such a one.
char *key_line(char *text);

// The same with all control characters as $'\x1b', for the eye: malloc()ed.
char *key_shown(const char *line);

// The way back: in place.
void key_plain(char *text);

#endif
