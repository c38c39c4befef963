// SPDX-License-Identifier: MIT
//
// Numbers of any type, read and written in one atomic access each, and converted without
// saying something false: what does not fit is an error and changes nothing. In between
// they are long double, which holds all integers of 64 bits exactly.
#ifndef MP_SHM_NUMBER_H
#define MP_SHM_NUMBER_H

#include <mp/error.h>
#include <mp/type.h>

// MP_ETYPE for a struct or a long double (no CPU reads that in one), and for a type that is
// none.
int mp__number_load(const void *p, mp_type type, long double *out);

// -ERANGE: not within the type, or not an integer and the type is one. Floating types take
// the nearest number they have.
int mp__number_store(void *p, mp_type type, long double x);

// -ERANGE: not an int64_t.
int mp__number_to_int(long double x, int64_t *out);

#endif
