// SPDX-License-Identifier: MIT
//
// mp_array_new(): numbers that all processes see. Each of four processes squares its part of
// an array in place and adds what comes out to a shared sum.
#include <mp/mp.h>
#include <stdio.h>

#define N         1000000
#define PROCESSES 4

static mp_array *numbers; // made before the processes, which inherit the handles
static mp_value *sum;

static int square_part(void *arg)
{
    size_t part = *(size_t *)arg;
    double *x = mp_array_ptr(numbers, double), mine = 0;
    for (size_t i = part * N / PROCESSES; i < (part + 1) * N / PROCESSES; i++) {
        x[i] *= x[i];
        mine += x[i];
    }
    mp_atomic_add(mp_value_ptr(sum, double), mine);
    return 0;
}

static int run(void)
{
    mp_process *process[PROCESSES] = {0};
    size_t part[PROCESSES];
    int r = 0;
    for (size_t i = 0; r == 0 && i < PROCESSES; i++) {
        part[i] = i;
        r = mp_process_start(&process[i], square_part, &part[i], NULL);
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        if (r == 0)
            r = mp_process_join(process[i], MP_FOREVER);
        mp_process_free(process[i]);
    }
    return r;
}

int main(void)
{
    int r = mp_array_new(&numbers, MP_DOUBLE, N, NULL, NULL);
    if (r == 0)
        r = mp_value_new(&sum, MP_DOUBLE, NULL, NULL);
    for (size_t i = 0; r == 0 && i < N; i++)
        r = mp_array_set_double(numbers, i, (double)(i % 10));
    if (r == 0)
        r = run();
    double result = 0;
    if (r == 0)
        r = mp_value_get_double(sum, &result);
    if (r < 0)
        fprintf(stderr, "array_sum: %s\n", mp_strerror(r));
    else
        printf("The sum of %d squares is %.0f.\n", N, result);
    mp_array_free(numbers);
    mp_value_free(sum);
    return result == N / 10 * 285.0 ? 0 : 1; // 0 + 1 + 4 + ... + 81 = 285
}
