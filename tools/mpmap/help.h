// SPDX-License-Identifier: MIT
//
// What is printed of the table of options.
#ifndef MPMAP_HELP_H
#define MPMAP_HELP_H

// The summary: one screen. The status to end with.
int help_screen(void);

// `mpmap help TOPIC`: a group of options, or one of the texts made of the table: man,
// bash, zsh, fish. NULL lists the topics. The status to end with.
int help_topic(const char *topic);

#endif
