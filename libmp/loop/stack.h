// SPDX-License-Identifier: MIT
//
// Stacks for tasks: a slot of address space each, of which only touched pages cost memory.
// Slots come in slabs, and a task that ends leaves its stack to the next one, still warm.
//
// Below each stack lies a guard, so an overflow is a fault and not damage elsewhere. Where
// the kernel can (6.13 and later) a guard is a mark in the page table; before that it
// splits the mapping in two, and a process may have 65,530 of those by default. So from
// some 16,000 stacks on older kernels leave the guard out; its place holds a pattern
// then, which is looked at whenever the task stops.
#ifndef MP_LOOP_STACK_H
#define MP_LOOP_STACK_H

#include <stdbool.h>
#include <stddef.h>

struct stack_slab;

struct stack {
    struct stack *next; // in the list of free ones
    char *low;          // of what may be used; the guard is below
    size_t size;
    bool made, guarded;
    bool split; // the guard is a mapping of its own
    bool alone; // not in a slab
};

struct stacks {
    struct stack *free;
    struct stack_slab *slabs;
    size_t warm; // free ones that may have touched pages
};

// A stack of at least `size` bytes; 0: the usual size. NULL without memory.
struct stack *mp__stack_get(struct stacks *s, size_t size);
void mp__stack_put(struct stacks *s, struct stack *stack);

// Gives all slabs back. No stack is in use, but by tasks that never run again.
void mp__stacks_free(struct stacks *s);

// Whether `address` is in the guard of this stack.
bool mp__stack_is_guard(const struct stack *stack, const void *address);

// Faults, as the guard would have, if what has no guard was overrun.
void mp__stack_check(const struct stack *stack);

#endif
