// SPDX-License-Identifier: MIT
//
// A map as a future, for those who make the array that it works on.
#ifndef MP_WORK_MAP_ASYNC_H
#define MP_WORK_MAP_ASYNC_H

#include <mp/imap.h>

// What is mapped. `owned` is released with free() when the map is over, also after an error.
struct mp__map_async {
    mp_item_fn *fn;
    const void *in;
    size_t in_size;
    void *to;
    size_t out_size, n;
    void *owned;
};

// As mp_pool_map_async().
int mp__map_async(mp_future **out, mp_pool *pool, const struct mp__map_async *what,
                  const mp_map_async_opts *o);

#endif
