// SPDX-License-Identifier: MIT
//
// The dict tests, the same for all contestants in C: 10,000 keys of 16 bytes with values of
// 64, in memory that processes share.
//
//   get1   one process gets random keys
//   get2   two processes do
//   mixed  two processes, and one call in ten sets a value
//   large  one process, 200,000 keys: the caches do not hold them
//
// Every value got is checked: it belongs to its key, and is whole.
#ifndef BENCH_DICT_TEST_H
#define BENCH_DICT_TEST_H

#include "common.h"

#define DICT_KEYS_MAX ((uint64_t)200000)

struct dict_key {
    uint64_t number, other; // other: some function of the number
};

struct dict_value {
    uint64_t number, version[7]; // whole when all versions are the same
};

struct dict_engine {
    const char *who;
    bool sets;           // while others read; else it has no mixed test
    void *(*make)(void); // an empty dict that children inherit
    void (*set)(void *d, const struct dict_key *key, const struct dict_value *value);
    bool (*get)(void *d, const struct dict_key *key, struct dict_value *value);
};

// WHO TEST [SECONDS]. The table ends with a NULL who.
int dict_test_main(int argc, char **argv, const struct dict_engine *engines);

#endif
