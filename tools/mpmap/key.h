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

// The command as one line that a shell reads back: newlines and tabs as $'\n' and
// $'\t'. malloc()ed.
char *key_text(char *const argv[]);

// The same for a shell that does not know $'...': in place.
void key_plain(char *text);

#endif
