// SPDX-License-Identifier: MIT
//
// mp_connect_manager(): a dict and a lock that several processes share through a manager, which
// is started if there is none. One process is killed while it holds the lock; the next has it at
// once, and is told.
#include <mp/mp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "example-prices"

static void check(int64_t r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", what, mp_strerror(r));
        exit(1);
    }
}

// Each child uses the handles of its parent, in a session of its own.
static void child(mp_proxy *prices, mp_proxy *lock, int number)
{
    int r = mp_remote_lock_acquire(lock, MP_FOREVER, NULL);
    if (r != MP_EOWNERDEAD)
        check(r, "acquire");
    check(mp_dict_incr(prices, "customers", 1, NULL), "incr");
    if (number == 0)
        raise(SIGKILL); // with the lock
    check(mp_remote_lock_release(lock), "release");
}

int main(void)
{
    char why[300] = "";
    mp_manager *m;
    mp_proxy *prices, *lock;
    double tea;
    int64_t customers;
    mp_manager_opts opts = {.start = true, .error = why, .error_size = sizeof why};
    int r = mp_connect_manager(&m, NAME, &opts);
    if (r < 0)
        return fprintf(stderr, "no manager: %s\n", why), 1;
    check(mp_manager_get(m, &prices, "prices", "dict", ""), "dict");
    check(mp_manager_get(m, &lock, "till", "Lock", ""), "Lock");

    check(mp_dict_set(prices, "tea", "d", 3.5), "set");
    check(mp_dict_get(prices, NULL, "tea", "d", &tea), "get");
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) {
            child(prices, lock, i);
            mp_proxy_free(prices);
            mp_proxy_free(lock);
            mp_manager_free(m);
            _exit(0);
        }
        wait(NULL);
    }
    check(mp_dict_get(prices, NULL, "customers", "I", &customers), "get");
    printf("tea is %.2f, %d customers\n", tea, (int)customers);

    // Others may be using a manager; this one was for the example.
    check(mp_call(mp_manager_self(m), NULL, 0, "shutdown", ""), "shutdown");
    mp_proxy_free(prices);
    mp_proxy_free(lock);
    mp_manager_free(m);
    return customers == 3 ? 0 : 1;
}
