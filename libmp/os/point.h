// SPDX-License-Identifier: MIT
//
// Kill points: named places where a test kills the process, to see whether those who
// live go on. They stand between two stores of a protocol, where a death leaves shared
// state half done. In the library they are nothing.
//
// With MP_TEST_POINTS each is listed in the section mp_points of the program, so that a
// test knows all there are and can tell which it never reached, and calls mp__point(),
// which the test defines. (A file may be compiled with an MP__POINT of its own instead.)
//
// Name: folder-free, object first: "semaphore.taken".
//
// MP__BROKEN(what) is false in the library. In the test it is true when MP_BREAK says so: then
// the step that makes a primitive survive is left out, and the tests have to notice.
#ifndef MP_OS_POINT_H
#define MP_OS_POINT_H

#ifdef MP_TEST_POINTS
#include <stdbool.h>
void mp__point(const char *name);
bool mp__point_breaks(const char *what);
#define MP__BROKEN(what) mp__point_breaks(what)
#ifndef MP__POINT
#define MP__POINT(name)                                                                            \
    do {                                                                                           \
        static const char *const mp__point_listed __attribute__((section("mp_points"), used)) =    \
            (name);                                                                                \
        mp__point(mp__point_listed);                                                               \
    } while (0)
#endif
#endif

#ifndef MP__POINT
#define MP__POINT(name) ((void)0)
#endif
#ifndef MP__BROKEN
#define MP__BROKEN(what) 0
#endif

#endif
