// SPDX-License-Identifier: MIT
//
// Reading memory that another process may be writing at the same time: what is read may be
// a mixture, or belong to something else by now, and whoever reads it finds that out
// afterwards and throws it away (shm_dict_read.c, shm_list.c). So these read words, each
// once and whole; they are left out of ThreadSanitizer, which would report what is meant.
#ifndef MP_SHM_RACING_H
#define MP_SHM_RACING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MP__RACING __attribute__((no_sanitize("thread")))

MP__RACING static inline uint64_t mp__racing_word(const uint64_t *w)
{
    return __atomic_load_n(w, __ATOMIC_RELAXED);
}

// Copies n bytes that begin with a word.
MP__RACING static inline void mp__racing_copy(void *to, const uint64_t *from, size_t n)
{
    unsigned char *out = to;
    for (; n >= 8; n -= 8, out += 8) {
        uint64_t w = mp__racing_word(from++);
        memcpy(out, &w, 8);
    }
    uint64_t w = n ? mp__racing_word(from) : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = ((unsigned char *)&w)[i];
}

// Whether n bytes that begin with a word are these.
MP__RACING static inline bool mp__racing_equal(const uint64_t *words, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (; n >= 8; n -= 8, b += 8) {
        uint64_t w;
        memcpy(&w, b, 8);
        if (mp__racing_word(words++) != w)
            return false;
    }
    uint64_t w = n ? mp__racing_word(words) : 0;
    for (size_t i = 0; i < n; i++)
        if (b[i] != ((unsigned char *)&w)[i])
            return false;
    return true;
}

// What lets a reader find out. The writer turns the version after it has unlinked a block,
// before anybody may write to that block again; who reads the same version before and
// after has read nothing that was written later.
static inline uint64_t mp__version_of(const _Atomic uint64_t *version)
{
    return atomic_load_explicit(version, memory_order_acquire);
}

static inline bool mp__version_is(const _Atomic uint64_t *version, uint64_t seen)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(version, memory_order_relaxed) == seen;
}

static inline void mp__version_turn(_Atomic uint64_t *version)
{
    uint64_t v = atomic_load_explicit(version, memory_order_relaxed);
    atomic_store_explicit(version, v + 1, memory_order_release);
    atomic_thread_fence(memory_order_release);
}

#endif
