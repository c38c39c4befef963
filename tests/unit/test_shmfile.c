// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "os/shmfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "/dev/shm/mp-%u-%s", (unsigned)geteuid(), name);
    return path;
}

static void make(const char *name)
{
    int fd = mp__shmfile_new(8192);
    mp_assert_ok(fd);
    ck_assert_int_ne(access(path_of(name), F_OK), 0);
    mp_assert_ok(mp__shmfile_publish(fd, name));
    ck_assert_int_eq(access(path_of(name), F_OK), 0);
    close(fd);
}

static void is_refused(const char *name, int err)
{
    int fds = mptest_fd_count();
    mp_assert_err(mp__shmfile_open(name), err);
    ck_assert_int_eq(mptest_fd_count(), fds);
}

MP_TEST(names)
{
    char name[80];
    memset(name, 'x', sizeof name);
    name[64] = '\0';
    ck_assert(mp__shmfile_is_name(name));
    name[64] = 'x';
    name[65] = '\0';
    ck_assert(!mp__shmfile_is_name(name));
    ck_assert(mp__shmfile_is_name("a"));
    ck_assert(mp__shmfile_is_name("-"));
    ck_assert(mp__shmfile_is_name("job.7_b-C"));
    static const char *const bad[] = {NULL,  "",        ".",        "..",  ".a", "a/b", "../x",
                                      "a b", "\x1b[2J", "\xc3\xa4", "a\n", "%s", "*"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!mp__shmfile_is_name(bad[i]), "%s", bad[i]);
}

MP_TEST(a_file_appears_complete_and_private)
{
    umask(0777);
    make(mptest_name("one"));
    struct stat st;
    ck_assert_int_eq(stat(path_of(mptest_name("one")), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
    ck_assert_int_eq(st.st_size, 8192);
    int fd = mp__shmfile_open(mptest_name("one"));
    mp_assert_ok(fd);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    fd = mp__shmfile_new(4096);
    mp_assert_ok(fd);
    mp_assert_err(mp__shmfile_publish(fd, mptest_name("one")), -EEXIST);
    close(fd);
    mp_assert_ok(mp__shmfile_unlink(mptest_name("one")));
    mp_assert_err(mp__shmfile_unlink(mptest_name("one")), MP_ENOTFOUND);
    is_refused(mptest_name("one"), MP_ENOTFOUND);
}

MP_TEST(what_is_open_to_others_is_refused)
{
    make(mptest_name("open"));
    ck_assert_int_eq(chmod(path_of(mptest_name("open")), 0620), 0);
    is_refused(mptest_name("open"), MP_EUNSAFE);
    ck_assert_int_eq(chmod(path_of(mptest_name("open")), 0604), 0);
    is_refused(mptest_name("open"), MP_EUNSAFE);
    ck_assert_int_eq(chmod(path_of(mptest_name("open")), 0600), 0);
    int fd = mp__shmfile_open(mptest_name("open"));
    mp_assert_ok(fd);
    close(fd);
    mp_assert_ok(mp__shmfile_unlink(mptest_name("open")));
}

MP_TEST(what_belongs_to_others_is_refused)
{
    make(mptest_name("theirs"));
    if (chown(path_of(mptest_name("theirs")), 4711, 4711) < 0) {
        mp__shmfile_unlink(mptest_name("theirs"));
        mp_skip("needs root");
    }
    is_refused(mptest_name("theirs"), MP_EUNSAFE);
    mp_assert_ok(mp__shmfile_unlink(mptest_name("theirs")));
}

MP_TEST(what_is_no_plain_file_is_refused)
{
    char path[128];
    snprintf(path, sizeof path, "%s", path_of(mptest_name("odd")));
    make(mptest_name("plain"));
    ck_assert_int_eq(symlink(path_of(mptest_name("plain")), path), 0);
    is_refused(mptest_name("odd"), MP_EUNSAFE);
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    is_refused(mptest_name("odd"), MP_EUNSAFE);
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    is_refused(mptest_name("odd"), MP_EUNSAFE);
    mp_assert_err(mp__shmfile_unlink(mptest_name("odd")), MP_EUNSAFE);
    rmdir(path);
    mp_assert_ok(mp__shmfile_unlink(mptest_name("plain")));
}

MP_TEST(descriptors_of_anything)
{
    int pipes[2], null = open("/dev/null", O_RDWR | O_CLOEXEC), fd = memfd_create("x", MFD_CLOEXEC);
    int sealed = memfd_create("y", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    ck_assert_int_eq(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    mp_assert_err(mp__shmfile_check(-1), -EBADF);
    mp_assert_err(mp__shmfile_check(pipes[0]), MP_EFORMAT);
    mp_assert_err(mp__shmfile_check(null), MP_EFORMAT);
    mp_assert_err(mp__shmfile_check(fd), MP_EUNSAFE);
    mp_assert_ok(mp__shmfile_check(sealed));
    int all[] = {pipes[0], pipes[1], null, fd, sealed};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        close(all[i]);
}

MP_TEST(a_size_beyond_the_limit_is_an_error)
{
    struct rlimit lim = {65536, 65536};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
    int fds = mptest_fd_count();
    mp_assert_err(mp__shmfile_new(1 << 20), -EFBIG); // and no SIGXFSZ
    mp_assert_err(mp__shmfile_new(SIZE_MAX), -EFBIG);
    ck_assert_int_eq(mptest_fd_count(), fds);
}
