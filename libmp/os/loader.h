// SPDX-License-Identifier: MIT
//
// The loader (dlopen, dlsym, dladdr, dl_iterate_phdr; backtrace, which loads a library the first
// time) has lists and locks, which a fork copies as another thread of the program leaves them:
// glibc 2.36 does not see to it, and the child hangs, or aborts, at its own first call. Whoever
// calls the loader does it between these two, and no fork comes meanwhile.
#ifndef MP_OS_LOADER_H
#define MP_OS_LOADER_H

void mp__loader_lock(void);
void mp__loader_unlock(void);

#endif
