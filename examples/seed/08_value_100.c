// SPDX-License-Identifier: MIT
//
// mp_value_new(): a hundred processes add 1 to the same number. Without the lock some would
// read it while others write it, and the result would be less.
#include <mp/mp.h>
#include <stdio.h>

static int add_one(void *arg)
{
    mp_value *value = arg;
    int *number = mp_value_ptr(value, int);
    MP_WITH(mp_value_lock(value)) {
        *number += 1; // or, without the lock: mp_atomic_add(number, 1)
        return 0;
    }
    return 1; // a process died in there: mp_with_error() says so
}

int main(void)
{
    enum { N = 100 };
    mp_process *process[N] = {0};
    mp_value *value;
    int r = mp_value_new(&value, mp_type_of(int), NULL, NULL); // before the processes
    for (int i = 0; r == 0 && i < N; i++)
        r = mp_process_start(&process[i], add_one, value, NULL);
    for (int i = 0; i < N; i++) {
        if (r == 0)
            r = mp_process_join(process[i], MP_FOREVER);
        mp_process_free(process[i]);
    }
    if (r < 0) {
        fprintf(stderr, "value_100: %s\n", mp_strerror(r));
        return 1;
    }
    int result = *mp_value_ptr(value, int);
    printf("Result: %d\n", result);
    mp_value_free(value);
    return result == N ? 0 : 1;
}
