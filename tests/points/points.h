// SPDX-License-Identifier: MIT
//
// Deaths between two instructions. The library is compiled into this program with all its
// kill points (libmp/os/point.h); a test says at which of them a process dies, and looks
// whether those who live go on.
//
// A scenario is an object, a round of everything one does with it, and what must hold
// after a death. At each point of its object 5 victims die (25 with MP_TEST_LONG=1 in the
// environment): half of them while a companion does the same rounds, half alone, after another died
// at some point of the object, so that they are killed while they clear up. Then the companion must
// get on, and what the scenario says must hold. A point where fewer died fails the test, and so
// does one that belongs to no scenario (test_all_points.c).
#ifndef POINTS_H
#define POINTS_H

#include "mptest.h"

struct scenario {
    const char *points;    // names that begin with this: "semaphore."
    void *(*make)(void);   // the object, before the processes
    void (*round)(void *); // what victim and companion do over and over: mptest_require()
    void (*check)(void *); // what holds after the deaths, in the test itself; or NULL
    void (*end)(void *);   // frees the object
    struct scenario *next;
};

void points_register(struct scenario *s);
void points_kill_at_each(const struct scenario *s);

// A test of a scenario: KILL_AT_POINTS(event, .points = "event.", .make = ...)
#define KILL_AT_POINTS(name, ...)                                                                  \
    static struct scenario name##_scenario = {__VA_ARGS__};                                        \
    __attribute__((constructor)) static void name##_enter(void)                                    \
    {                                                                                              \
        points_register(&name##_scenario);                                                         \
    }                                                                                              \
    MP_TEST_TIMEOUT(killed_at_each_point_of_##name, 300)                                           \
    {                                                                                              \
        points_kill_at_each(&name##_scenario);                                                     \
    }

// For tests that are no scenario: kills the first `kills` processes that pass `name` when it
// was passed `countdown` times already. Only processes that called points_mortal(), and
// what they fork from then on, are killed or counted.
void points_arm(const char *name, int countdown, int kills);
int points_disarm(void); // returns how many died
void points_mortal(void);

// In a process that a round forks, so that there is something to clear up: it dies at
// `name` (NULL: nowhere), and neither there nor elsewhere as a victim.
void points_die_at(const char *name);

// All points in the program, each once, sorted: *n of them.
const char *const *points_all(size_t *n);

// Whether a scenario covers it.
bool points_is_covered(const char *name);

#endif
