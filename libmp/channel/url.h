// SPDX-License-Identifier: MIT
//
// URLs as text: taken apart, checked, and written in one way.
#ifndef MP_CHANNEL_URL_H
#define MP_CHANNEL_URL_H

#include "channel/request.h"

struct mp__url {
    enum mp__transport transport;
    char text[MP__URL_MAX]; // with an absolute path, 0.0.0.0 for *
    char host[MP__NAME_MAX];
    bool local; // only this machine reaches it
};

// Reads `url` for a listener or a connection. 0, or MP_EINVAL with what is wrong in text (a
// sentence without the URL).
int mp__url_read(struct mp__url *u, const char *url, bool listen, char text[MP__TEXT_MAX]);

#endif
