// SPDX-License-Identifier: MIT
//
// Values as people write them: JSON.
#ifndef MPCTL_VALUE_H
#define MPCTL_VALUE_H

#include <mp/pack.h>
#include <stdio.h>

// Puts the value that `text` stands for at the end of b: JSON if it begins as such (a number,
// true, false, null, "...", [...], {...}), else the text itself. MP_EINVAL: JSON that is not.
int value_read(mp_buf *b, const char *text);

// Prints a value as JSON: bytes as text, and what is no text with \u00XX; an object of the
// manager as {"object": NUMBER}.
void value_print(FILE *f, const mp_item *item);

// The same without quotes when it is a text, for tables.
void value_print_plain(FILE *f, const mp_item *item);

#endif
