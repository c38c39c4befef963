// SPDX-License-Identifier: MIT
//
// The types of the arguments of mp_pack() and its kin, for checking against the format;
// included by <mp/pack.h>, nothing to use by itself.
//
// A format cannot be checked by the compiler as printf's is. But the compiler knows the
// type of each argument, and a letter for each can travel with the call: so the first run
// of a wrong call ends in MP_EINVAL before anything is read or written through a pointer
// that was none. In C++, which lacks _Generic, nothing travels and nothing is checked.
#ifndef MP_PACK_ARGS_H
#define MP_PACK_ARGS_H

#include <mp/base.h>

#ifdef __cplusplus
#define MP_ARG_TYPES(...) NULL
#else

// One letter: lower case for a value, upper case mostly for what an address points to.
#define MP_ARG(a)                                                                                  \
    _Generic((a),                                                                                  \
        _Bool: 't',                                                                                \
        char: 'i',                                                                                 \
        signed char: 'i',                                                                          \
        unsigned char: 'i',                                                                        \
        short: 'i',                                                                                \
        unsigned short: 'i',                                                                       \
        int: 'i',                                                                                  \
        unsigned: 'u',                                                                             \
        long: sizeof(long) == 8 ? 'I' : 'i',                                                       \
        unsigned long: sizeof(long) == 8 ? 'U' : 'u',                                              \
        long long: 'I',                                                                            \
        unsigned long long: 'U',                                                                   \
        float: 'd',                                                                                \
        double: 'd',                                                                               \
        const char *: 's',                                                                         \
        char *: 'c',                                                                               \
        const void *: 'p',                                                                         \
        void *: 'p',                                                                               \
        _Bool *: 'T',                                                                              \
        int *: 'j',                                                                                \
        unsigned *: 'v',                                                                           \
        long *: sizeof(long) == 8 ? 'J' : 'j',                                                     \
        unsigned long *: sizeof(long) == 8 ? 'V' : 'v',                                            \
        long long *: 'J',                                                                          \
        unsigned long long *: 'V',                                                                 \
        double *: 'D',                                                                             \
        const char **: 'S',                                                                        \
        const void **: 'B',                                                                        \
        const unsigned char **: 'B',                                                               \
        default: 'x')

#define MP_ARGS_1(a)       MP_ARG(a)
#define MP_ARGS_2(a, ...)  MP_ARG(a), MP_ARGS_1(__VA_ARGS__)
#define MP_ARGS_3(a, ...)  MP_ARG(a), MP_ARGS_2(__VA_ARGS__)
#define MP_ARGS_4(a, ...)  MP_ARG(a), MP_ARGS_3(__VA_ARGS__)
#define MP_ARGS_5(a, ...)  MP_ARG(a), MP_ARGS_4(__VA_ARGS__)
#define MP_ARGS_6(a, ...)  MP_ARG(a), MP_ARGS_5(__VA_ARGS__)
#define MP_ARGS_7(a, ...)  MP_ARG(a), MP_ARGS_6(__VA_ARGS__)
#define MP_ARGS_8(a, ...)  MP_ARG(a), MP_ARGS_7(__VA_ARGS__)
#define MP_ARGS_9(a, ...)  MP_ARG(a), MP_ARGS_8(__VA_ARGS__)
#define MP_ARGS_10(a, ...) MP_ARG(a), MP_ARGS_9(__VA_ARGS__)
#define MP_ARGS_11(a, ...) MP_ARG(a), MP_ARGS_10(__VA_ARGS__)
#define MP_ARGS_12(a, ...) MP_ARG(a), MP_ARGS_11(__VA_ARGS__)
#define MP_ARGS_13(a, ...) MP_ARG(a), MP_ARGS_12(__VA_ARGS__)
#define MP_ARGS_14(a, ...) MP_ARG(a), MP_ARGS_13(__VA_ARGS__)
#define MP_ARGS_15(a, ...) MP_ARG(a), MP_ARGS_14(__VA_ARGS__)
#define MP_ARGS_16(a, ...) MP_ARG(a), MP_ARGS_15(__VA_ARGS__)
#define MP_ARGS_17(a, ...) MP_ARG(a), MP_ARGS_16(__VA_ARGS__)
#define MP_ARGS_18(a, ...) MP_ARG(a), MP_ARGS_17(__VA_ARGS__)
#define MP_ARGS_19(a, ...) MP_ARG(a), MP_ARGS_18(__VA_ARGS__)
#define MP_ARGS_20(a, ...) MP_ARG(a), MP_ARGS_19(__VA_ARGS__)
#define MP_ARGS_21(a, ...) MP_ARG(a), MP_ARGS_20(__VA_ARGS__)
#define MP_ARGS_22(a, ...) MP_ARG(a), MP_ARGS_21(__VA_ARGS__)
#define MP_ARGS_23(a, ...) MP_ARG(a), MP_ARGS_22(__VA_ARGS__)
#define MP_ARGS_24(a, ...) MP_ARG(a), MP_ARGS_23(__VA_ARGS__)
#define MP_ARGS_25(a, ...) MP_ARG(a), MP_ARGS_24(__VA_ARGS__)
#define MP_ARGS_26(a, ...) MP_ARG(a), MP_ARGS_25(__VA_ARGS__)
#define MP_ARGS_27(a, ...) MP_ARG(a), MP_ARGS_26(__VA_ARGS__)
#define MP_ARGS_28(a, ...) MP_ARG(a), MP_ARGS_27(__VA_ARGS__)
#define MP_ARGS_29(a, ...) MP_ARG(a), MP_ARGS_28(__VA_ARGS__)
#define MP_ARGS_30(a, ...) MP_ARG(a), MP_ARGS_29(__VA_ARGS__)
#define MP_ARGS_31(a, ...) MP_ARG(a), MP_ARGS_30(__VA_ARGS__)
#define MP_ARGS_32(a, ...) MP_ARG(a), MP_ARGS_31(__VA_ARGS__)
#define MP_ARGS_33(a, ...) MP_ARG(a), MP_ARGS_32(__VA_ARGS__)

#define MP_ARG_PICK(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17,    \
                    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32,     \
                    a33, name, ...)                                                                \
    name

// The letters of the arguments that follow a format, as a string; the format's own is left
// out. Up to 32 of them: more is an error that names MP_ARG_PICK.
#define MP_ARG_TYPES(...)                                                                          \
    (&((const char[]){MP_ARG_PICK(__VA_ARGS__, MP_ARGS_33, MP_ARGS_32, MP_ARGS_31, MP_ARGS_30,     \
                                  MP_ARGS_29, MP_ARGS_28, MP_ARGS_27, MP_ARGS_26, MP_ARGS_25,      \
                                  MP_ARGS_24, MP_ARGS_23, MP_ARGS_22, MP_ARGS_21, MP_ARGS_20,      \
                                  MP_ARGS_19, MP_ARGS_18, MP_ARGS_17, MP_ARGS_16, MP_ARGS_15,      \
                                  MP_ARGS_14, MP_ARGS_13, MP_ARGS_12, MP_ARGS_11, MP_ARGS_10,      \
                                  MP_ARGS_9, MP_ARGS_8, MP_ARGS_7, MP_ARGS_6, MP_ARGS_5,           \
                                  MP_ARGS_4, MP_ARGS_3, MP_ARGS_2, MP_ARGS_1, )(__VA_ARGS__),      \
                      0})[1])

#endif
#endif
