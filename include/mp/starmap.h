// SPDX-License-Identifier: MIT
//
// Functions of several arguments over several arrays: Python's starmap(f, zip(a, b)).
//
//     static int hypotenuse(const void *const args[], void *out, void *ctx)
//     {
//         *(double *)out = hypot(*(const double *)args[0], *(const float *)args[1]);
//         return 0;
//     }
//     ...
//     mp_pool_starmap(pool, hypotenuse, (mp_column[]){MP_COLUMN(a), MP_COLUMN(b)}, 2,
//                     out, sizeof *out, n, NULL, NULL);
//
// Each argument is an array of n values of its own type. They are packed into one array of
// tuples, which travels; where the arguments lie in one struct already, mp_pool_map() does
// without that copy.
#ifndef MP_STARMAP_H
#define MP_STARMAP_H

#include <mp/imap.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MP_STAR_MOST 16 // arguments

// One argument of all items: n values of size bytes.
typedef struct mp_column {
    const void *at;
    size_t size;
} mp_column;

// The column of an array, or of a pointer to the first of its values.
#define MP_COLUMN(array) ((mp_column){(array), sizeof *(array)})

// A task on one item: args[k] is its value in column k, aligned as the type needs if that is no
// more than 16. The rest as for mp_item_fn.
typedef int mp_star_fn(const void *const args[], void *out, void *ctx);

// As mp_pool_map(), over n_args columns (1 to MP_STAR_MOST). Errors: those of mp_pool_map();
// MP_EINVAL also for a column without values. Since 0.1.
MP_API MP_NODISCARD int mp_pool_starmap(mp_pool *pool, mp_star_fn *fn, const mp_column *args,
                                        int n_args, void *out, size_t out_size, size_t n, void *ctx,
                                        const mp_map_opts *opts);

// As mp_pool_map_async(); the columns are copied now and need not stay. Since 0.1.
MP_API MP_NODISCARD int mp_pool_starmap_async(mp_future **out, mp_pool *pool, mp_star_fn *fn,
                                              const mp_column *args, int n_args, void *to,
                                              size_t out_size, size_t n,
                                              const mp_map_async_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
