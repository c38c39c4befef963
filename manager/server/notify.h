// SPDX-License-Identifier: MIT
//
// What systemd is told: that the daemon is ready, ends, and lives.
#ifndef MP_MANAGER_SERVER_NOTIFY_H
#define MP_MANAGER_SERVER_NOTIFY_H

struct server;

// Says it to $NOTIFY_SOCKET; nothing without one.
void notify(const char *state);

// With $WATCHDOG_USEC: from now on the daemon connects to itself, as a client would, and calls
// ping, three times in that time; systemd is told when the answer has come. NULL without it.
struct watchdog;
struct watchdog *watchdog_begin(struct server *s);
void watchdog_end(struct watchdog *w);

#endif
