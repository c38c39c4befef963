// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

MP_TEST(memory_is_shared_between_mappings)
{
    void *a, *b;
    int fd = mp__memfd_new("test", 8192);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(mp__memfd_map(fd, 8192, &a), 0);
    ck_assert_int_eq(mp__memfd_map(fd, 8192, &b), 0);
    ck_assert_ptr_ne(a, b);
    strcpy((char *)a + 5000, "hello");
    ck_assert_str_eq((char *)b + 5000, "hello");
    munmap(a, 8192);
    munmap(b, 8192);
    close(fd);
}

MP_TEST(the_size_is_sealed)
{
    int fd = mp__memfd_new("test", 8192);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 4096), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(ftruncate(fd, 16384), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    close(fd);
}

MP_TEST(pages_come_when_committed)
{
    struct stat st;
    int fd = mp__memfd_new("test", 1 << 20);
    ck_assert_int_ge(fd, 0);
    fstat(fd, &st);
    ck_assert_int_eq(st.st_size, 1 << 20);
    ck_assert_int_eq(st.st_blocks, 0);
    ck_assert_int_eq(mp__memfd_commit(fd, 65536, 65536), 0);
    fstat(fd, &st);
    ck_assert_int_eq(st.st_blocks * 512, 65536);
    ck_assert_int_eq(mp__memfd_commit(fd, 65536, 65536), 0); // again is fine
    ck_assert_int_eq(mp__memfd_commit(fd, 0, 0), 0);
    fstat(fd, &st);
    ck_assert_int_eq(st.st_blocks * 512, 65536);
    ck_assert_int_lt(mp__memfd_commit(fd, 1 << 20, 4096), 0); // beyond the end
    close(fd);
}

MP_TEST(file_size_limit_is_an_error_and_no_signal)
{
    struct rlimit l = {65536, 65536};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &l), 0);
    signal(SIGXFSZ, SIG_DFL);
    ck_assert_int_eq(mp__memfd_new("test", 65537), -EFBIG);
    int fd = mp__memfd_new("test", 65536);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(mp__memfd_commit(fd, 0, 65536), 0);
    close(fd);
}

MP_TEST(impossible_sizes_and_no_descriptors)
{
    ck_assert_int_eq(mp__memfd_new("test", SIZE_MAX), -EFBIG);
    struct rlimit old, l;
    getrlimit(RLIMIT_NOFILE, &old);
    l = (struct rlimit){3, old.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &l), 0);
    int fds[3], n = 0;
    while (n < 3 && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        n++;
    ck_assert_int_eq(mp__memfd_new("test", 4096), -EMFILE);
    while (n > 0)
        close(fds[--n]);
    void *p = &l;
    ck_assert_int_eq(mp__memfd_map(-1, 4096, &p), -EBADF);
    ck_assert_ptr_null(p);
    setrlimit(RLIMIT_NOFILE, &old);
}
