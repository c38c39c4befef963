// SPDX-License-Identifier: MIT
#include "loop/stack.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(WITH_ASAN)
#include <sanitizer/lsan_interface.h>
#define SLOT_SIZE        ((size_t)256 << 10) // its frames are several times as large
#define ROOT(at, size)   __lsan_register_root_region(at, size)
#define UNROOT(at, size) __lsan_unregister_root_region(at, size)
#else
#define SLOT_SIZE        ((size_t)64 << 10)
#define ROOT(at, size)   ((void)0)
#define UNROOT(at, size) ((void)0)
#endif

#define GUARD_SIZE    ((size_t)8 << 10)
#define SLAB_STACKS   64
#define SLAB_SIZE     (SLAB_STACKS * SLOT_SIZE)
#define WARM_MAX      1024
#define PATTERN       0x5af0a55aa50f5aa5
#define GUARD_INSTALL 102 // MADV_GUARD_INSTALL, which Debian 12's headers do not know

struct stack_slab {
    struct stack_slab *next;
    char *memory;
    struct stack stack[SLAB_STACKS];
};

// Guards that split mappings, in this process; half of what the kernel allows.
static atomic_long splits_left = -1;

static void count_splits(void)
{
    long max = 65530, unread = -1;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    if (f) {
        if (fscanf(f, "%ld", &max) != 1)
            max = 65530;
        fclose(f);
    }
    // A guard makes two mappings more.
    atomic_compare_exchange_strong(&splits_left, &unread, max / 4);
}

static void make_guard(struct stack *s, char *at)
{
    s->guarded = madvise(at, GUARD_SIZE, GUARD_INSTALL) == 0;
    if (s->guarded)
        return;
    if (atomic_load(&splits_left) < 0)
        count_splits();
    if (atomic_fetch_sub(&splits_left, 1) > 0 && mprotect(at, GUARD_SIZE, PROT_NONE) == 0)
        s->guarded = s->split = true;
    else
        atomic_fetch_add(&splits_left, 1);
}

static void *map(size_t size)
{
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    madvise(p, size, MADV_NOHUGEPAGE); // one page a task, not one huge page
    ROOT(p, size);
    return p;
}

static void unmap(char *p, size_t size)
{
    UNROOT(p, size);
    munmap(p, size);
}

static uint64_t *pattern_of(const struct stack *s)
{
    return (uint64_t *)(void *)s->low - 1; // the first word that an overflow meets
}

static void make(struct stack *s, char *at, size_t size)
{
    s->low = at + GUARD_SIZE;
    s->size = size - GUARD_SIZE;
    make_guard(s, at);
    s->made = true;
    if (!s->guarded)
        *pattern_of(s) = PATTERN;
}

static bool add_slab(struct stacks *s)
{
    struct stack_slab *slab = calloc(1, sizeof *slab);
    if (!slab)
        return false;
    slab->memory = map(SLAB_SIZE);
    if (!slab->memory) {
        free(slab);
        return false;
    }
    for (int i = SLAB_STACKS - 1; i >= 0; i--) {
        slab->stack[i].low = slab->memory + (size_t)i * SLOT_SIZE; // until it is made
        slab->stack[i].next = s->free;
        s->free = &slab->stack[i];
    }
    slab->next = s->slabs;
    s->slabs = slab;
    return true;
}

// One of another size: mapped by itself.
static struct stack *get_alone(size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    struct stack *s = calloc(1, sizeof *s);
    size = (size + GUARD_SIZE + 4095) & ~(size_t)4095;
    char *p = s ? map(size) : NULL;
    if (!p) {
        free(s);
        return NULL;
    }
    make(s, p, size);
    s->alone = true;
    return s;
}

struct stack *mp__stack_get(struct stacks *s, size_t size)
{
    if (size > SLOT_SIZE - GUARD_SIZE)
        return get_alone(size);
    if (!s->free && !add_slab(s))
        return NULL;
    struct stack *stack = s->free;
    s->free = stack->next;
    if (!stack->made)
        make(stack, stack->low, SLOT_SIZE);
    else if (s->warm)
        s->warm--;
    return stack;
}

static void forget_guard(const struct stack *s)
{
    if (s->split)
        atomic_fetch_add(&splits_left, 1);
}

void mp__stack_put(struct stacks *s, struct stack *stack)
{
    if (stack->alone) {
        forget_guard(stack);
        unmap(stack->low - GUARD_SIZE, stack->size + GUARD_SIZE);
        free(stack);
        return;
    }
    if (s->warm < WARM_MAX)
        s->warm++;
    else
        madvise(stack->low, stack->size, MADV_DONTNEED);
    stack->next = s->free;
    s->free = stack;
}

void mp__stacks_free(struct stacks *s)
{
    while (s->slabs) {
        struct stack_slab *slab = s->slabs;
        s->slabs = slab->next;
        for (int i = 0; i < SLAB_STACKS; i++)
            forget_guard(&slab->stack[i]);
        unmap(slab->memory, SLAB_SIZE);
        free(slab);
    }
    *s = (struct stacks){0};
}

bool mp__stack_is_guard(const struct stack *stack, const void *address)
{
    const char *a = address;
    return a < stack->low && a >= stack->low - GUARD_SIZE;
}

void mp__stack_check(const struct stack *stack)
{
    if (stack->guarded || *pattern_of(stack) == PATTERN)
        return;
    mprotect(stack->low - GUARD_SIZE, GUARD_SIZE, PROT_NONE);
    *(volatile uint64_t *)pattern_of(stack) = 0;
}
