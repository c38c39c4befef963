// SPDX-License-Identifier: MIT
//
// What can be asked of a manager: each call of each type, as data. This table is what the
// manager checks a message against, what proxies look a method's name up in, what mpctl prints,
// and its documentation. docs/protocol.md says how a call travels.
//
// A call's number is its interface and its number therein. Types that differ in what they do,
// but not in what can be asked of them, have one interface: a LifoQueue is asked as a Queue is.
// Numbers are never changed, and never used again.
//
// A row: X(interface, name, number, arguments, result, flags, what it does). Arguments and
// results are letters:
//
//   k key: text, bytes or integer      v any value           i integer      u integer, >= 0
//   t truth value                      s text                d number       a array
//   m map                              o object (a reference, as ext)       n nil
//   |  what follows may be left out, or be nil               *  any number of the next letter
//
// A result in brackets is an array of these. An object in a result is an ext of MP__EXT_OBJECT,
// and a reference that the session has from then on. Flags:
//
//   R  reads: a session that may only read may do it
//   W  changes the object: it is told to who watches, and to the log
//   B  may have to wait, as long as the request's timeout says
//   K  the first argument is the key that is changed (for who watches one key)
//   S  the server does it, not the core
//   A  for local clients of the manager's user only, as S without R is
//   P  in the log only: how an object is made again as it was
#ifndef MP_WIRE_CALLS_H
#define MP_WIRE_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- interfaces ----------------------------------------------------------------------

#define MP__INTERFACES(X)                                                                          \
    X(MANAGER, 0)                                                                                  \
    X(LIST, 1)                                                                                     \
    X(DICT, 2)                                                                                     \
    X(SET, 3)                                                                                      \
    X(NAMESPACE, 4)                                                                                \
    X(VALUE, 5)                                                                                    \
    X(ARRAY, 6)                                                                                    \
    X(QUEUE, 7)                                                                                    \
    X(LOCK, 8)                                                                                     \
    X(SEMAPHORE, 9)                                                                                \
    X(CONDITION, 10)                                                                               \
    X(EVENT, 11)                                                                                   \
    X(BARRIER, 12)                                                                                 \
    X(COUNTER, 13)                                                                                 \
    X(POOL, 14)

enum {
#define MP__INTERFACE(name, number) MP__##name = number,
    MP__INTERFACES(MP__INTERFACE)
#undef MP__INTERFACE
        MP__INTERFACE_COUNT,
    MP__CUSTOM = 64, // custom types have this and the following, in the order they were added
    MP__INTERFACE_MAX = 128,
};

// The types, by the name that `create` takes, with what it takes besides.
//
//   X(name, interface, arguments of create, what it is)
#define MP__TYPES(X)                                                                               \
    X(list, LIST, "|a", "A sequence; begins with the elements of an array")                        \
    X(dict, DICT, "|m", "Keys with values, in the order they were set")                            \
    X(set, SET, "|a", "Elements, each once: values without objects, compared as packed")           \
    X(Namespace, NAMESPACE, "|m", "Attributes: names with values")                                 \
    X(Value, VALUE, "|sv",                                                                         \
      "One value; with a type as of Python's array module (i, d, ...) or without")                 \
    X(Array, ARRAY, "sv", "Numbers of one type; as many zeros, or those of an array")              \
    X(Queue, QUEUE, "|u", "First in, first out; at most so many items (0: no bound)")              \
    X(LifoQueue, QUEUE, "|u", "Last in, first out")                                                \
    X(PriorityQueue, QUEUE, "|u", "The lowest priority first, among equals the first in")          \
    X(JoinableQueue, QUEUE, "|u", "Items that a consumer took and did not acknowledge return")     \
    X(Lock, LOCK, "", "One at a time")                                                             \
    X(RLock, LOCK, "", "One at a time, who may acquire it again")                                  \
    X(Semaphore, SEMAPHORE, "|ut",                                                                 \
      "So many at a time (1 if left out); true: those of a session that ends return")              \
    X(BoundedSemaphore, SEMAPHORE, "|u",                                                           \
      "The same, never above what it began with, and those of a session that ends return")         \
    X(Condition, CONDITION, "|o",                                                                  \
      "To wait until something changed; with a lock, or its own RLock")                            \
    X(Event, EVENT, "", "A flag to wait for")                                                      \
    X(Barrier, BARRIER, "u|u", "So many parties wait for each other; timeout in ms for all waits") \
    X(counter, COUNTER, "|i", "An integer of 64 bits")                                             \
    X(Pool, POOL, "|uuu",                                                                          \
      "Runs the tasks of the manager; at most so many at a time (0: as there are workers), time "  \
      "limit of a task in ms, how often one that fails is run again")

// ---- calls ---------------------------------------------------------------------------

// Object is 0 in all of these that do not say what object they are about.
#define MP__CALLS_MANAGER(X)                                                                       \
    X(MANAGER, hello, 1, "u|s", "[uuu]", "R",                                                      \
      "Version of the protocol, name of the client: version, the manager's instance, session")     \
    X(MANAGER, ping, 2, "|v", "v", "R", "Gives back what it got")                                  \
    X(MANAGER, cancel, 3, "u", "t", "R",                                                           \
      "Ends the request of that id, if it waits: it gets MP_ECANCELED first, then this its "       \
      "answer")                                                                                    \
    X(MANAGER, batch, 4, "|t*a", "a", "R",                                                         \
      "Calls [op, object, args...] in one go, none of which waits: [status, value] of each. With " \
      "true, none is done behind one that failed: MP_ECANCELED")                                   \
    X(MANAGER, create, 5, "s*v", "o", "W",                                                         \
      "A new object of that type; the session has a "                                              \
      "reference")                                                                                 \
    X(MANAGER, open, 6, "s|s", "[osi]", "R",                                                       \
      "The object of that name, and type if told: object, type, interface; and a reference")       \
    X(MANAGER, get_or_create, 7, "ss*v", "[osit]", "W",                                            \
      "The object of that name and type, made if there is none: as open, and whether it was made") \
    X(MANAGER, name, 8, "s", "n", "W", "Gives the object a name: it lives until that is deleted")  \
    X(MANAGER, delete, 9, "s", "t", "W",                                                           \
      "Takes a name away; the object goes with the last "                                          \
      "reference")                                                                                 \
    X(MANAGER, list, 10, "|s", "a", "R", "[name, type, object number] of all with that beginning") \
    X(MANAGER, incref, 11, "|u", "n", "R", "One reference to the object more (or so many)")        \
    X(MANAGER, decref, 12, "|u", "n", "R", "One reference to the object less (or so many)")        \
    X(MANAGER, type, 13, "", "[si]", "R", "The object's type and interface")                       \
    X(MANAGER, methods, 14, "s", "[ia]", "R",                                                      \
      "A type's interface, and [name, op, arguments, result, flags, text] of each call")           \
    X(MANAGER, types, 15, "", "a", "R", "[name, interface, arguments, text] of each type")         \
    X(MANAGER, watch, 16, "|k", "[iav]", "R",                                                      \
      "Stays open: a reply of status 1 for each change of the object (of that key): op, "          \
      "arguments, result; the first is nil, when it has begun. Ends with cancel")                  \
    X(MANAGER, stats, 17, "", "m", "R", "Numbers by name: objects, memory, calls, ...")            \
    X(MANAGER, debug, 18, "", "m", "R", "The object as it is inside: references, waiters, bytes")  \
    X(MANAGER, number_of_objects, 19, "", "u", "R", "As it says")                                  \
    X(MANAGER, locks, 20, "", "a", "R",                                                            \
      "[object number, name, session, owner, token, waiting] of each lock that is held")           \
    X(MANAGER, clients, 21, "", "a", "RS", "A map for each session")                               \
    X(MANAGER, snapshot, 22, "", "v", "S", "Writes everything that has a name to disk")            \
    X(MANAGER, shutdown, 23, "|t", "n", "S", "Ends the manager; with true, without a snapshot")    \
    X(MANAGER, monitor, 24, "", "v", "RS", "Stays open: a reply of status 1 for each call made")   \
    X(MANAGER, metrics, 25, "", "s", "RS", "The numbers as Prometheus reads them")                 \
    X(MANAGER, reload, 26, "", "n", "S", "Reads the configuration again")                          \
    X(MANAGER, load, 27, "sv", "n", "P", "An object of a custom type, from what its save() made")  \
    X(MANAGER, serve_tasks, 28, "ua", "v", "A",                                                    \
      "Stays open: runs tasks of these names, up to so many at a time. A reply of status 1 for "   \
      "each: [ticket, name, arguments as bytes, time limit in ms, retries], or [ticket] when "     \
      "one is not wanted any more; the first is nil, when it has begun. Ends with cancel")         \
    X(MANAGER, task_done, 29, "uiv", "n", "A",                                                     \
      "A task has ended: its ticket, status, and its result as bytes, or the text of its error")

#define MP__CALLS_LIST(X)                                                                          \
    X(LIST, append, 1, "v", "n", "W", "Adds a value at the end")                                   \
    X(LIST, extend, 2, "a", "n", "W", "Adds all values of an array at the end")                    \
    X(LIST, insert, 3, "iv", "n", "W", "Puts a value before an index; beyond the end at the end")  \
    X(LIST, get, 4, "i", "v", "R", "The value at an index; -1 is the last one")                    \
    X(LIST, set, 5, "iv", "n", "WK", "Replaces the value at an index")                             \
    X(LIST, del, 6, "i", "n", "W", "Removes the value at an index")                                \
    X(LIST, pop, 7, "|i", "v", "W", "Removes the last value, or that at an index, and gives it")   \
    X(LIST, remove, 8, "v", "n", "W", "Removes the first such value")                              \
    X(LIST, index, 9, "v|ii", "u", "R", "Where the first such value is, from start to stop")       \
    X(LIST, count, 10, "v", "u", "R", "How many such values there are")                            \
    X(LIST, contains, 11, "v", "t", "R", "Whether there is one")                                   \
    X(LIST, len, 12, "", "u", "R", "How many values there are")                                    \
    X(LIST, reverse, 13, "", "n", "W", "Turns the order round")                                    \
    X(LIST, sort, 14, "|t", "n", "W",                                                              \
      "Sorts numbers, or texts, or bytes, stably; with true the other way round")                  \
    X(LIST, clear, 15, "", "n", "W", "Removes all")                                                \
    X(LIST, copy, 16, "", "a", "R", "All values")                                                  \
    X(LIST, slice, 17, "|iii", "a", "R", "Values from start to stop by step, as Python's slices")  \
    X(LIST, set_slice, 18, "iia|i", "n", "W", "Replaces a slice by the values of an array")        \
    X(LIST, del_slice, 19, "|iii", "n", "W", "Removes a slice")                                    \
    X(LIST, reversed, 20, "", "a", "R", "All values, the last first")                              \
    X(LIST, concat, 21, "a", "a", "R", "All values and those of an array (Python's +)")            \
    X(LIST, repeated, 22, "i", "a", "R", "All values so many times (Python's *)")                  \
    X(LIST, repeat, 23, "i", "n", "W", "Makes it itself so many times (Python's *=)")              \
    X(LIST, get_many, 24, "a", "a", "R", "The values at several indices")                          \
    X(LIST, incr, 25, "i|d", "d", "WK", "Adds 1, or a number, to the one at an index: the sum")    \
    X(LIST, compare_and_set, 26, "ivv", "t", "WK",                                                 \
      "Replaces the value at an index by the third if it is the second")

#define MP__CALLS_DICT(X)                                                                          \
    X(DICT, get, 1, "k|v", "v", "R", "A key's value; without one the second, or MP_ENOTFOUND")     \
    X(DICT, set, 2, "kv", "n", "WK", "Sets a key's value")                                         \
    X(DICT, del, 3, "k", "n", "WK", "Removes a key")                                               \
    X(DICT, contains, 4, "k", "t", "R", "Whether there is such a key")                             \
    X(DICT, len, 5, "", "u", "R", "How many keys there are")                                       \
    X(DICT, pop, 6, "k|v", "v", "WK", "Removes a key and gives its value; without one the second") \
    X(DICT, popitem, 7, "", "[kv]", "W", "Removes the key that was set last, and gives it")        \
    X(DICT, setdefault, 8, "k|v", "v", "WK", "A key's value, which is set if it had none")         \
    X(DICT, update, 9, "m", "n", "W", "Sets all that a map has")                                   \
    X(DICT, keys, 10, "", "a", "R", "All keys")                                                    \
    X(DICT, values, 11, "", "a", "R", "All values")                                                \
    X(DICT, items, 12, "", "a", "R", "All [key, value]")                                           \
    X(DICT, copy, 13, "", "m", "R", "All of it as a map")                                          \
    X(DICT, clear, 14, "", "n", "W", "Removes all")                                                \
    X(DICT, reversed, 15, "", "a", "R", "All keys, the last first")                                \
    X(DICT, merged, 16, "m", "m", "R", "All of it and of a map (Python's |)")                      \
    X(DICT, fromkeys, 17, "a|v", "m", "R", "A map with these keys, all with that value")           \
    X(DICT, incr, 18, "k|d", "d", "WK",                                                            \
      "Adds 1, or a number, to a key's (0 if there is none): "                                     \
      "the sum")                                                                                   \
    X(DICT, compare_and_set, 19, "kvv", "t", "WK", "Sets the third if the value is the second")    \
    X(DICT, compare_and_del, 20, "kv", "t", "WK", "Removes a key if its value is the second")      \
    X(DICT, get_many, 21, "a", "a", "R", "The values of several keys, nil for what is not there")  \
    X(DICT, del_many, 22, "a", "u", "W", "Removes several keys: how many there were")              \
    X(DICT, scan, 23, "u|u", "[uaa]", "R",                                                         \
      "Some keys and values behind a cursor (0 to begin; 0 comes back at the end): cursor, keys, " \
      "values. A key that is there all the time comes once, whatever happens meanwhile")           \
    X(DICT, exchange, 24, "kv", "v", "WK", "Sets a key's value and gives the one before, or nil")

#define MP__CALLS_SET(X)                                                                           \
    X(SET, add, 1, "v", "t", "WK", "Adds an element: whether it was not there")                    \
    X(SET, discard, 2, "v", "t", "WK", "Removes an element: whether it was there")                 \
    X(SET, remove, 3, "v", "n", "WK", "The same; MP_ENOTFOUND if it was not there")                \
    X(SET, contains, 4, "v", "t", "R", "Whether it is there")                                      \
    X(SET, len, 5, "", "u", "R", "How many there are")                                             \
    X(SET, pop, 6, "", "v", "W", "Removes one, whichever, and gives it")                           \
    X(SET, clear, 7, "", "n", "W", "Removes all")                                                  \
    X(SET, copy, 8, "", "a", "R", "All elements")                                                  \
    X(SET, update, 9, "*a", "n", "W", "Adds all elements of arrays")                               \
    X(SET, difference_update, 10, "*a", "n", "W", "Removes them")                                  \
    X(SET, intersection_update, 11, "*a", "n", "W", "Keeps what is in all of them")                \
    X(SET, symmetric_difference_update, 12, "a", "n", "W", "Keeps what is in one of the two")      \
    X(SET, union, 13, "*a", "a", "R", "What is in it or in one of them")                           \
    X(SET, difference, 14, "*a", "a", "R", "What is in it and in none of them")                    \
    X(SET, intersection, 15, "*a", "a", "R", "What is in it and in all of them")                   \
    X(SET, symmetric_difference, 16, "a", "a", "R", "What is in one of the two only")              \
    X(SET, isdisjoint, 17, "a", "t", "R", "Whether they have nothing in common")                   \
    X(SET, issubset, 18, "a", "t", "R", "Whether all of it is in the array")                       \
    X(SET, issuperset, 19, "a", "t", "R", "Whether all of the array is in it")

#define MP__CALLS_NAMESPACE(X)                                                                     \
    X(NAMESPACE, get, 1, "s", "v", "R", "An attribute's value; MP_ENOTFOUND without one")          \
    X(NAMESPACE, set, 2, "sv", "n", "WK", "Sets an attribute")                                     \
    X(NAMESPACE, del, 3, "s", "n", "WK", "Removes an attribute")                                   \
    X(NAMESPACE, dir, 4, "", "a", "R", "The names of all attributes")                              \
    X(NAMESPACE, copy, 5, "", "m", "R", "All of it as a map")

#define MP__CALLS_VALUE(X)                                                                         \
    X(VALUE, get, 1, "", "v", "R", "The value")                                                    \
    X(VALUE, set, 2, "v", "n", "W", "Sets it")                                                     \
    X(VALUE, incr, 3, "|d", "d", "W", "Adds 1, or a number, to it: the sum")                       \
    X(VALUE, compare_and_set, 4, "vv", "t", "W", "Sets the second if it is the first")             \
    X(VALUE, exchange, 5, "v", "v", "W", "Sets it and gives the one before")

#define MP__CALLS_ARRAY(X)                                                                         \
    X(ARRAY, get, 1, "i", "d", "R", "The number at an index; -1 is the last")                      \
    X(ARRAY, set, 2, "id", "n", "WK", "Sets it")                                                   \
    X(ARRAY, len, 3, "", "u", "R", "How many there are")                                           \
    X(ARRAY, slice, 4, "|iii", "a", "R", "Numbers from start to stop by step")                     \
    X(ARRAY, set_slice, 5, "iia|i", "n", "W", "Sets a slice to as many numbers")                   \
    X(ARRAY, copy, 6, "", "a", "R", "All of them")                                                 \
    X(ARRAY, incr, 7, "i|d", "d", "WK", "Adds 1, or a number, to one: the sum")                    \
    X(ARRAY, compare_and_set, 8, "idd", "t", "WK", "Sets the third if it is the second")           \
    X(ARRAY, type, 9, "", "s", "R", "The type of the numbers")

#define MP__CALLS_QUEUE(X)                                                                         \
    X(QUEUE, put, 1, "v|i", "n", "WB", "Adds an item; priority (of a PriorityQueue)")              \
    X(QUEUE, put_many, 2, "a", "n", "WB",                                                          \
      "Adds all items of an array, when there is room for all")                                    \
    X(QUEUE, get, 3, "", "v", "WB", "Takes the next item")                                         \
    X(QUEUE, get_many, 4, "u", "a", "WB", "Takes up to so many; waits for one only")               \
    X(QUEUE, take, 5, "", "[uv]", "WB", "JoinableQueue: takes the next item, with its ticket")     \
    X(QUEUE, task_done, 6, "|u", "n", "W",                                                         \
      "JoinableQueue: the item of that ticket, or the one this session took first, is done")       \
    X(QUEUE, give_back, 7, "u", "n", "W", "JoinableQueue: it is not done: another may have it")    \
    X(QUEUE, join, 8, "", "n", "RB", "JoinableQueue: waits until all items are done")              \
    X(QUEUE, qsize, 9, "", "u", "R", "Items that wait to be taken")                                \
    X(QUEUE, empty, 10, "", "t", "R", "Whether there is none")                                     \
    X(QUEUE, full, 11, "", "t", "R", "Whether a put would wait")                                   \
    X(QUEUE, shutdown, 12, "|t", "n", "W",                                                         \
      "No more puts; gets take what is left, then get MP_ECLOSED. With true what is left is gone") \
    X(QUEUE, unfinished, 13, "", "u", "R", "JoinableQueue: items that are not done")               \
    X(QUEUE, restore, 14, "ut", "n", "P", "Last ticket given, whether it is shut down")            \
    X(QUEUE, restore_item, 15, "uiv", "n", "P", "An item, with its ticket and priority")           \
    X(QUEUE, restore_done, 16, "u", "n", "P", "The item of that ticket is done")

// owner tells threads of one session apart, 0 if there is one only.
#define MP__CALLS_LOCK(X)                                                                          \
    X(LOCK, acquire, 1, "|uu", "u", "B",                                                           \
      "owner, lease in ms (0: none): the fencing token. With MP_EOWNERDEAD it is acquired, too, "  \
      "and the one before died, or let its lease run out")                                         \
    X(LOCK, release, 2, "|uu", "n", "", "owner, token (0: not compared): MP_ENOTHELD, MP_EFENCED") \
    X(LOCK, validate, 3, "u", "t", "R", "Whether the lock is held under that token")               \
    X(LOCK, renew, 4, "uu", "n", "", "token, lease in ms from now; MP_EFENCED if it ran out")      \
    X(LOCK, locked, 5, "", "t", "R", "Whether anybody holds it")                                   \
    X(LOCK, holder, 6, "", "v", "R", "[session, owner, token, depth], or nil")

#define MP__CALLS_SEMAPHORE(X)                                                                     \
    X(SEMAPHORE, acquire, 1, "|u", "n", "B", "Takes one, or so many")                              \
    X(SEMAPHORE, release, 2, "|u", "n", "", "Gives one, or so many; MP_EBOUND if it is bounded")   \
    X(SEMAPHORE, get_value, 3, "", "u", "R", "How many are left")

#define MP__CALLS_CONDITION(X)                                                                     \
    X(CONDITION, acquire, 1, "|uu", "u", "B", "As that of its lock")                               \
    X(CONDITION, release, 2, "|uu", "n", "", "As that of its lock")                                \
    X(CONDITION, wait, 3, "|u", "[tu]", "B",                                                       \
      "owner, who holds the lock: gives it up, waits for a notification, acquires it again: "      \
      "whether it was notified (or the time was over, which is not MP_ETIMEDOUT here), and the "   \
      "lock's new token (without a lease). The lock is held again, also when MP_ECANCELED or "     \
      "MP_EOWNERDEAD comes")                                                                       \
    X(CONDITION, notify, 4, "|uu", "u", "", "so many (1), owner: wakes who waits: how many did")   \
    X(CONDITION, notify_all, 5, "|u", "u", "", "owner: wakes all who wait")                        \
    X(CONDITION, waiters, 6, "", "u", "R", "How many wait")

#define MP__CALLS_EVENT(X)                                                                         \
    X(EVENT, set, 1, "", "n", "W", "Sets the flag: all who wait go on")                            \
    X(EVENT, clear, 2, "", "n", "W", "Takes it away")                                              \
    X(EVENT, is_set, 3, "", "t", "R", "Whether it is set")                                         \
    X(EVENT, wait, 4, "", "n", "RB", "Waits until it is")

#define MP__CALLS_BARRIER(X)                                                                       \
    X(BARRIER, wait, 1, "", "u", "B",                                                              \
      "Waits until all parties are there: this one's index, 0 for the first. MP_EBARRIER when it " \
      "is broken: by a timeout, a cancel, the end of a session that waits, or abort")              \
    X(BARRIER, reset, 2, "", "n", "", "Makes it whole and empty: who waits gets MP_EBARRIER")      \
    X(BARRIER, abort, 3, "", "n", "", "Breaks it")                                                 \
    X(BARRIER, parties, 4, "", "u", "R", "How many it waits for")                                  \
    X(BARRIER, n_waiting, 5, "", "u", "R", "How many are there")                                   \
    X(BARRIER, broken, 6, "", "t", "R", "Whether it is broken")

#define MP__CALLS_COUNTER(X)                                                                       \
    X(COUNTER, get, 1, "", "i", "R", "The number")                                                 \
    X(COUNTER, set, 2, "i", "n", "W", "Sets it")                                                   \
    X(COUNTER, add, 3, "|i", "i", "W",                                                             \
      "Adds 1, or a number: the sum; MP_EOVERFLOW changes nothing")                                \
    X(COUNTER, compare_and_set, 4, "ii", "t", "W", "Sets the second if it is the first")           \
    X(COUNTER, exchange, 5, "i", "i", "W", "Sets it and gives the one before")

// A job is what apply and map begin: one task, or one for each element of an array. It is its
// session's, and its number is good until the result is taken. What fails has its error with a
// text; a task whose worker died has MP_EWORKERDIED, and costs no other.
#define MP__CALLS_POOL(X)                                                                          \
    X(POOL, apply, 1, "s*v", "v", "B", "Runs a task with these arguments, and gives its result")   \
    X(POOL, apply_async, 2, "s*v", "u", "", "Has it run: the number of the job")                   \
    X(POOL, map, 3, "sa", "a", "B",                                                                \
      "Runs a task with each element of an array, and gives all results, or the first error")      \
    X(POOL, map_async, 4, "sa", "u", "", "Has it run: the number of the job")                      \
    X(POOL, starmap, 5, "sa", "a", "B", "As map; each element is the array of the arguments")      \
    X(POOL, starmap_async, 6, "sa", "u", "", "As map_async; likewise")                             \
    X(POOL, imap, 7, "sa", "u", "", "As map_async, for results one by one: see next")              \
    X(POOL, imap_unordered, 8, "sa", "u", "", "The same, in the order in which they end")          \
    X(POOL, next, 9, "u", "v", "B",                                                                \
      "Waits for the next result of imap, and gives it, or its error; MP_EOF behind the last, "    \
      "and the job is forgotten")                                                                  \
    X(POOL, get, 10, "u", "v", "B",                                                                \
      "Waits for a job: its result, those of a map, or the first error; and the job is forgotten") \
    X(POOL, get_each, 11, "u", "a", "B",                                                           \
      "The same: [status, result or text of the error] of each task")                              \
    X(POOL, wait, 12, "u", "n", "RB", "Waits until a job is done")                                 \
    X(POOL, ready, 13, "u", "t", "R", "Whether it is done")                                        \
    X(POOL, successful, 14, "u", "t", "R", "Whether all went well; MP_ESTATE when not done")       \
    X(POOL, cancel, 15, "u", "u", "",                                                              \
      "Ends tasks of a job that have not ended, also those that run: how many")                    \
    X(POOL, forget, 16, "u", "n", "",                                                              \
      "Takes back what no worker has begun; of what runs the results are dropped")                 \
    X(POOL, close, 17, "", "n", "", "No more jobs, from nobody: MP_ECLOSED")                       \
    X(POOL, terminate, 18, "", "n", "", "The same, and everybody's jobs are cancelled")            \
    X(POOL, join, 19, "", "n", "B", "After close: waits until all tasks have ended")               \
    X(POOL, stats, 20, "", "m", "R", "Numbers by name: jobs, waiting, running, done, failed")      \
    X(POOL, tasks, 21, "", "a", "R", "The names of tasks that can be run")

#define MP__CALLS(X)                                                                               \
    MP__CALLS_MANAGER(X)                                                                           \
    MP__CALLS_LIST(X)                                                                              \
    MP__CALLS_DICT(X)                                                                              \
    MP__CALLS_SET(X)                                                                               \
    MP__CALLS_NAMESPACE(X)                                                                         \
    MP__CALLS_VALUE(X)                                                                             \
    MP__CALLS_ARRAY(X)                                                                             \
    MP__CALLS_QUEUE(X)                                                                             \
    MP__CALLS_LOCK(X)                                                                              \
    MP__CALLS_SEMAPHORE(X)                                                                         \
    MP__CALLS_CONDITION(X)                                                                         \
    MP__CALLS_EVENT(X)                                                                             \
    MP__CALLS_BARRIER(X)                                                                           \
    MP__CALLS_COUNTER(X)                                                                           \
    MP__CALLS_POOL(X)

// What travels: MP__OP(DICT, get).
#define MP__OP(interface, name) MP__OP_##interface##_##name

enum mp__op {
#define MP__CALL_OP(interface, name, number, args, result, flags, text)                            \
    MP__OP(interface, name) = MP__##interface << 8 | number,
    MP__CALLS(MP__CALL_OP)
#undef MP__CALL_OP
};

// ---- the table, for programs ---------------------------------------------------------

struct mp__call_info {
    uint16_t op;
    const char *name, *args, *result, *flags, *text;
};

struct mp__type_info {
    const char *name;
    uint8_t interface;
    const char *args, *text;
};

// The table, in the order above, and how many rows it has. Static storage.
const struct mp__call_info *mp__calls(size_t *count);
const struct mp__type_info *mp__types(size_t *count);

// A row; NULL if there is none. The first takes a few loads, the others a search.
const struct mp__call_info *mp__call_by_op(uint64_t op);
const struct mp__call_info *mp__call_by_name(unsigned interface, const char *name, size_t size);
const struct mp__type_info *mp__type_by_name(const char *name, size_t size);

// The name of an interface as it is in MP__INTERFACES(); NULL if it is none.
const char *mp__interface_name(unsigned interface);

static inline unsigned mp__op_interface(uint64_t op)
{
    return (unsigned)(op >> 8);
}

#define MP__MANAGER_VERSION 1

// The ext type of an object's number in a value: eight bytes, big-endian.
#define MP__EXT_OBJECT 1

#endif
