// SPDX-License-Identifier: MIT
//
// What may be shown on a terminal, and the status line at its end.
#ifndef MPMAP_TERMINAL_H
#define MPMAP_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

// Whether the descriptor is a terminal on which a line can be drawn anew.
bool has_cursor(int fd);

// Whether it is one that shows colors, and the user wants them.
bool may_color(int fd);

// Whether this process has a terminal that it can be controlled from.
bool has_terminal(void);

// Draws the status line, with its controls, on standard error, with other lines above it: rows
// in all.
void bar_show(const char *text, size_t len, int rows);

// Takes it off, if there is one: something else is to be written.
void bar_hide(void);

#endif
