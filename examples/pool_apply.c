// SPDX-License-Identifier: MIT
//
// Single tasks on a pool: a text goes to a worker, a longer one comes back. One is waited for,
// three are futures, and one of those crashes, which costs nobody else anything.
#include <mp/task.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Writes the text twice; cannot stand an empty one.
static int twice(mp_task *task, const void *arg, size_t size, void *ctx)
{
    char both[200];
    (void)ctx;
    if (size == 0)
        abort();
    return mp_task_result(task, both,
                          (size_t)snprintf(both, sizeof both, "%.*s %.*s", (int)size,
                                           (const char *)arg, (int)size, (const char *)arg));
}

int main(void)
{
    static const char *const words[] = {"tick", "", "tock"};
    mp_future *f[3] = {NULL};
    char text[200];
    mp_pool *pool;
    if (mp_pool_new(&pool, &(mp_pool_opts){.workers = 2}) < 0)
        return 1;

    int64_t n = mp_pool_apply(pool, twice, "hello", 5, text, sizeof text, NULL);
    if (n < 0)
        return fprintf(stderr, "apply: %s\n", mp_strerror(n)), 1;
    printf("%.*s\n", (int)n, text);

    for (int i = 0; i < 3; i++)
        if (mp_pool_apply_async(&f[i], pool, twice, words[i], strlen(words[i]), NULL) < 0)
            return 1;
    for (int i = 0; i < 3; i++) {
        n = mp_future_result(f[i], text, sizeof text, 10000);
        if (n < 0)
            printf("%s\n", mp_err_name(n)); // mp_future_error_text() says which signal
        else
            printf("%.*s\n", (int)n, text);
        mp_future_free(f[i]);
    }
    mp_pool_free(pool);
    return 0;
}
