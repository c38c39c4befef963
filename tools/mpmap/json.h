// SPDX-License-Identifier: MIT
//
// Writing JSON.
#ifndef MPMAP_JSON_H
#define MPMAP_JSON_H

#include <stddef.h>
#include <stdio.h>

// A string. Bytes that are not UTF-8 become \udc80 to \udcff, as Python's
// surrogateescape has them, so that nothing is lost.
void json_string(FILE *f, const char *s, size_t len);

// The same without the quotes around it, for a part of a string; parts end between
// characters or lose nothing but their look.
void json_text(FILE *f, const char *s, size_t len);

#endif
