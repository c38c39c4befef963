// SPDX-License-Identifier: MIT
//
// Functions by name, for processes in which a pointer would not hold.
//
//     static int square(void *arg) { ... }
//     MP_TASK(square);
//
// A process that is a fork of this one has the same code at the same addresses, so any function
// can be told by its pointer. A process that was started by spawn (see mp/start.h) is the same
// program once more, at other addresses. It knows the functions that are registered with MP_TASK(),
// each by its name and the build id of the program or library it is in; so it is never another
// function, nor one of another version. You go on passing the pointer: what it is called is looked
// up. A function that is not known there is refused with MP_ENOFUNC, before anything runs.
//
// MP_TASK() stands at file scope after the definition of the function, which may be static, of any
// type. Code in a library that is loaded with dlopen() is registered while it is loaded; a process
// started by spawn has it only if it loads it as well, before or in mp_runtime_init(). Since 0.1.
#ifndef MP_FUNCTION_H
#define MP_FUNCTION_H

#include <mp/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_function {
    const char *name;
    void (*fn)(void);
    struct mp_function *next;
} mp_function;

#define MP_TASK(function)                                                                          \
    static mp_function mp_function_##function = {#function, (void (*)(void))(function), NULL};     \
    __attribute__((constructor)) static void mp_function_enter_##function(void)                    \
    {                                                                                              \
        mp_function_register(&mp_function_##function);                                             \
    }                                                                                              \
    __attribute__((destructor)) static void mp_function_leave_##function(void)                     \
    {                                                                                              \
        mp_function_unregister(&mp_function_##function);                                           \
    }                                                                                              \
    struct mp_function

// What MP_TASK() calls: f stays the caller's, unchanged, until it is unregistered. From any
// thread; they never fail. Since 0.1.
MP_API void mp_function_register(mp_function *f);
MP_API void mp_function_unregister(mp_function *f);

#ifdef __cplusplus
}
#endif
#endif
