// SPDX-License-Identifier: MIT
#include "loop/switch.h"

#include <stdint.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

// ---- the change itself ----
//
// exchange(save, to) pushes what a callee preserves, stores the stack pointer in *save,
// loads `to` and pops. A new stack is laid out as if its function had called exchange()
// from `begin`, which calls entry(arg) out of two preserved registers. Backtraces end there.

#if defined(__x86_64__) && !defined(MP__UCONTEXT)

void mp__exchange(void **save, void *to);
void mp__begin(void);

__asm__(".text\n"
        ".p2align 4\n"
        ".hidden mp__exchange\n"
        ".globl mp__exchange\n"
        ".type mp__exchange, @function\n"
        "mp__exchange:\n"
        ".cfi_startproc\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size mp__exchange, .-mp__exchange\n"
        ".p2align 4\n"
        ".hidden mp__begin\n"
        ".globl mp__begin\n"
        ".type mp__begin, @function\n"
        "mp__begin:\n"
        ".cfi_startproc\n"
        ".cfi_undefined rip\n"
        "    movq %r13, %rdi\n"
        "    callq *%r12\n"
        "    ud2\n"
        ".cfi_endproc\n"
        ".size mp__begin, .-mp__begin\n");

static void prepare(struct context *c, void (*entry)(void *), void *arg)
{
    // From the top: begin's address, rbp, rbx, r12, r13, r14, r15, the control words.
    uint64_t *top = (uint64_t *)(((uintptr_t)c->low + c->size) & ~(uintptr_t)15);
    uint64_t *sp = top - 8;
    uint32_t control[2] = {0, 0};
    __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(control[0]), "=m"(control[1]));
    memset(sp, 0, 8 * sizeof *sp);
    memcpy(sp, control, sizeof control);
    sp[3] = (uint64_t)(uintptr_t)arg;   // r13
    sp[4] = (uint64_t)(uintptr_t)entry; // r12
    sp[7] = (uint64_t)(uintptr_t)mp__begin;
    c->sp = sp;
}

#elif defined(__aarch64__) && !defined(MP__UCONTEXT)

void mp__exchange(void **save, void *to);
void mp__begin(void);

__asm__(".text\n"
        ".p2align 4\n"
        ".hidden mp__exchange\n"
        ".globl mp__exchange\n"
        ".type mp__exchange, %function\n"
        "mp__exchange:\n"
        ".cfi_startproc\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size mp__exchange, .-mp__exchange\n"
        ".p2align 4\n"
        ".hidden mp__begin\n"
        ".globl mp__begin\n"
        ".type mp__begin, %function\n"
        "mp__begin:\n"
        ".cfi_startproc\n"
        ".cfi_undefined x30\n"
        "    mov x0, x20\n"
        "    blr x19\n"
        "    brk #1\n"
        ".cfi_endproc\n"
        ".size mp__begin, .-mp__begin\n");

static void prepare(struct context *c, void (*entry)(void *), void *arg)
{
    uint64_t *top = (uint64_t *)(((uintptr_t)c->low + c->size) & ~(uintptr_t)15);
    uint64_t *sp = top - 20;
    memset(sp, 0, 20 * sizeof *sp);
    sp[0] = (uint64_t)(uintptr_t)entry; // x19
    sp[1] = (uint64_t)(uintptr_t)arg;   // x20
    sp[11] = (uint64_t)(uintptr_t)mp__begin;
    c->sp = sp;
}

#else

// makecontext() passes ints only: a pointer goes in two.
static void split_entry(unsigned e1, unsigned e2, unsigned a1, unsigned a2)
{
    void (*entry)(void *) = (void (*)(void *))(uintptr_t)((uint64_t)e1 << 32 | e2);
    entry((void *)(uintptr_t)((uint64_t)a1 << 32 | a2));
}

static void prepare(struct context *c, void (*entry)(void *), void *arg)
{
    uint64_t e = (uint64_t)(uintptr_t)entry, a = (uint64_t)(uintptr_t)arg;
    getcontext(&c->uc);
    c->uc.uc_stack.ss_sp = c->low;
    c->uc.uc_stack.ss_size = c->size;
    c->uc.uc_link = NULL;
    makecontext(&c->uc, (void (*)(void))split_entry, 4, (unsigned)(e >> 32), (unsigned)e,
                (unsigned)(a >> 32), (unsigned)a);
}

#endif

static void exchange(struct context *from, struct context *to)
{
#ifdef MP__UCONTEXT
    swapcontext(&from->uc, &to->uc);
#else
    mp__exchange(&from->sp, to->sp);
#endif
}

// ---- with what sanitizers want to know ----

void mp__context_make(struct context *c, void *low, size_t size, void (*entry)(void *), void *arg)
{
    c->low = low;
    c->size = size;
    c->sanitizer = NULL;
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(low, size); // marks of the task that had it before
#endif
#ifdef WITH_TSAN
    c->sanitizer = __tsan_create_fiber(0);
#endif
    prepare(c, entry, arg);
}

#if defined(WITH_ASAN)

void mp__context_switch(struct context *from, struct context *to, int last)
{
    __sanitizer_start_switch_fiber(last ? NULL : &from->sanitizer, to->low, to->size);
    exchange(from, to);
    __sanitizer_finish_switch_fiber(from->sanitizer, NULL, NULL);
}

void mp__context_begin(struct context *from)
{
    const void *low;
    __sanitizer_finish_switch_fiber(NULL, &low, &from->size);
    from->low = (void *)(uintptr_t)low;
}

#elif defined(WITH_TSAN)

void mp__context_switch(struct context *from, struct context *to, int last)
{
    (void)last;
    from->sanitizer = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->sanitizer, 0);
    exchange(from, to);
}

void mp__context_begin(struct context *from)
{
    (void)from;
}

#else

void mp__context_switch(struct context *from, struct context *to, int last)
{
    (void)last;
    exchange(from, to);
}

void mp__context_begin(struct context *from)
{
    (void)from;
}

#endif

void mp__context_end(struct context *c)
{
#ifdef WITH_TSAN
    __tsan_destroy_fiber(c->sanitizer);
#endif
    c->sanitizer = NULL;
}
