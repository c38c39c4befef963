// SPDX-License-Identifier: MIT
//
// mp_shm_list_new(): children append what they found; the parent reads the whole list when
// they are done. What one appends is there, however it ended.
#include <mp/mp.h>
#include <stdio.h>
#include <stdlib.h>

#define CHILDREN 4

struct job {
    mp_shm_list *results;
    int number;
};

static int work(void *arg)
{
    const struct job *job = arg;
    char text[40];
    int n = snprintf(text, sizeof text, "child %d: %d", job->number, job->number * job->number);
    return mp_shm_list_append(job->results, text, (size_t)n) < 0;
}

int main(void)
{
    mp_shm_list *results;
    mp_process *child[CHILDREN] = {NULL};
    int r = mp_shm_list_new(&results, NULL); // before the children, so that they have it
    if (r < 0) {
        fprintf(stderr, "shm_list_results: %s\n", mp_strerror(r));
        return 1;
    }
    for (int i = 0; r == 0 && i < CHILDREN; i++)
        r = mp_process_start(&child[i], work, &(struct job){results, i}, NULL);
    for (int i = 0; i < CHILDREN && child[i]; i++) {
        if (mp_process_join(child[i], MP_FOREVER) < 0)
            fprintf(stderr, "shm_list_results: a child did not end\n");
        mp_process_free(child[i]);
    }
    mp_shm_list_item *items;
    int64_t n = mp_shm_list_copy(results, &items); // in the order of their coming
    for (int64_t i = 0; i < n; i++)
        printf("%s\n", (const char *)items[i].data);
    free(items);
    mp_shm_list_free(results);
    return n == CHILDREN ? 0 : 1;
}
