// SPDX-License-Identifier: MIT
//
// The control socket: requests come, and nothing is answered here. When nobody holds its other end
// any more, or nobody used mpproxy for a while, it is time to go; what is under way goes
// on until it is through.
#ifndef MP_PROXY_CONTROL_H
#define MP_PROXY_CONTROL_H

// Says hello, and watches the socket. -errno.
int control_init(int sock);

#endif
