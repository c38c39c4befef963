// SPDX-License-Identifier: MIT
//
// The replacement strings: {} and its relatives, as GNU parallel has them.
#ifndef MPMAP_REPLACEMENT_H
#define MPMAP_REPLACEMENT_H

#include <stddef.h>

// What a piece of a command stands for: itself, {} {.} {/} {//} {/.}, {#} or {%}.
enum what { LITERAL, ITEM, NO_EXT, BASE, DIR, BASE_NO_EXT, SEQ, SLOT, WHATS };

// The replacement string at s, ITEM to SLOT, and its length; LITERAL if there is none.
enum what replacement_find(const char *s, size_t *len);

// The part of an item that ITEM to BASE_NO_EXT stand for: its beginning, in the item
// or constant, and its length.
const char *replacement_of(enum what what, const char *item, size_t item_len, size_t *len);

#endif
