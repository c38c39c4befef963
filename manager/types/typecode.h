// SPDX-License-Identifier: MIT
//
// The types of numbers that Value and Array can have, by the letters of Python's array module,
// with the sizes they have here: b B h H i I l L q Q are integers, f and d are not.
#ifndef MP_MANAGER_TYPECODE_H
#define MP_MANAGER_TYPECODE_H

#include "core/type.h"

// Whether it is one.
bool mp__typecode_valid(struct mp__slice text);

// Makes a number what it is as one of that type: MP_EOVERFLOW, MP_ETYPE (a fraction).
int mp__typecode_fit(char code, struct mp__number *n);

#endif
