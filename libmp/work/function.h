// SPDX-License-Identifier: MIT
//
// Where a function is, told so that another process can find it: in which build of which
// program or library, how far into it, and under which name it is registered there.
#ifndef MP_WORK_FUNCTION_H
#define MP_WORK_FUNCTION_H

#include <mp/function.h>

typedef void mp__any_fn(void);

struct mp__function_ref {
    uint64_t build; // hash of the build id; of the file's name where there is none
    uint64_t offset;
};

// Describes a registered function. *name is static. MP_ENOFUNC: it is not registered.
int mp__function_refer(mp__any_fn *fn, struct mp__function_ref *ref, const char **name);

// The function here, or NULL and the reason.
mp__any_fn *mp__function_find(const struct mp__function_ref *ref, const char *name,
                              const char **why);

// All that are registered: the first for NULL, then those behind it; NULL at the end. While
// nothing is loaded or unloaded.
const mp_function *mp__function_next(const mp_function *f);

#endif
