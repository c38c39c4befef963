// SPDX-License-Identifier: MIT
//
// What is between the records of a block: the text of --recend, with that of --recstart after
// it, or with --regexp what matches these; or every so many newlines (-L).
//
// A text is found wherever it is. What a regular expression matches depends on where it is
// looked for, and the lines of a record on where it begins: these are found in turn, one after
// the other, from the beginning of a block.
#ifndef MPMAP_SEPARATOR_H
#define MPMAP_SEPARATOR_H

#include "args.h"

#include <regex.h>

struct separator {
    char *end, *start; // the texts
    size_t end_len, start_len;
    bool in_turn;                    // by separator_match(), else by _first() and _last()
    long lines;                      // of a record, if more than one
    bool regexp, has_end, has_start; // and then it is these:
    regex_t end_re, start_re, whole; // whole: the one followed by the other
};

// 0, or an exit status after a message.
int separator_init(struct separator *s, const struct args *a);
void separator_free(struct separator *s);

// The length of a text, 0 of none: then a block may be cut anywhere.
static inline size_t separator_len(const struct separator *s)
{
    return s->end_len + s->start_len;
}

// Of a text, the first or last end of a record in [from, len): where the next begins; 0 if
// there is none. A record that has only a beginning does not end where it begins.
size_t separator_first(const struct separator *s, const char *text, size_t from, size_t len);
size_t separator_last(const struct separator *s, const char *text, size_t from, size_t len);

// In turn, the first end in [*from, len). *from becomes where to look for the
// next, or, without one, as far as there is none. What reaches up to len may go on behind it,
// and is none, unless there is no more.
size_t separator_match(const struct separator *s, const char *text, size_t *from, size_t len,
                       bool more);

// Takes out of a block what separates its records, and a start at its beginning and an end at its
// end. Returns how long it is then.
size_t separator_remove(const struct separator *s, char *text, size_t len);

#endif
