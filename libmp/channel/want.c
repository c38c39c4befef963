// SPDX-License-Identifier: MIT
#include "channel/want.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int mp__want_take(const struct mp__want *w, const void *from, uint64_t size)
{
    void *to = w->buf;
    if (w->discard || (!w->buf && !w->made))
        return 0;
    if (size > w->cap)
        return MP_EMSGSIZE;
    if (w->made && !(to = *w->made = malloc(size ? (size_t)size : 1)))
        return -ENOMEM;
    if (size)
        memcpy(to, from, (size_t)size);
    return 0;
}
