// SPDX-License-Identifier: MIT
//
// Memory under a name, between processes that know nothing of each other but the name.
// They are forked before it is made, and map it where they like.
#include "mptest.h"
#include "shm/arena.h"
#include "shm/holders.h"
#include "shm/object.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TYPE    MP__EVENT
#define VERSION 3

struct thing {
    struct mp__object object;
    struct mp__holders holders;
    _Atomic uint64_t word, part; // an offset
};

static int new_thing(struct thing **t, mp_arena *a, const char *name)
{
    void *p;
    int r = mp__object_new(&p, a, name, 4096, TYPE, VERSION, sizeof **t);
    *t = p;
    return r;
}

static int attach_thing(struct thing **t, const char *name)
{
    void *p;
    int r = mp__object_attach(&p, name, TYPE, VERSION, sizeof **t);
    *t = p;
    return r;
}

// A process that begins when it is told to, with another layout of its address space.
struct other {
    pid_t pid;
    int socket;
};

static struct other start_other(int (*run)(int socket))
{
    int s[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        char c;
        close(s[0]);
        void *hole = mmap(NULL, (size_t)1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mptest_require(hole != MAP_FAILED);
        if (read(s[1], &c, 1) != 1)
            _exit(0);
        _exit(run(s[1]));
    }
    close(s[1]);
    return (struct other){pid, s[0]};
}

static void tell(struct other o)
{
    ck_assert_int_eq(write(o.socket, "", 1), 1);
}

static void end_well(struct other o)
{
    int status;
    ck_assert_int_eq(waitpid(o.pid, &status, 0), o.pid);
    ck_assert_int_eq(status, 0);
    close(o.socket);
}

struct list {
    uint64_t next; // offset
    char text[40];
};

static int read_list(int socket)
{
    (void)socket;
    mp_arena *a;
    mptest_require(mp_arena_attach(&a, mptest_name("list")) == 0);
    struct list *l = mp_arena_root(a, sizeof *l);
    for (int i = 9; i >= 0; i--) {
        char text[40];
        snprintf(text, sizeof text, "item %d", i);
        mptest_require(l && strcmp(l->text, text) == 0);
        l = mp_arena_at(a, l->next, sizeof *l);
    }
    mptest_require(l == NULL);
    void *p;
    mptest_require(mp_arena_alloc(a, &p, 100, 1) == 0);
    mptest_require(mp_arena_set_root(a, strcpy(p, "read")) == 0);
    mp_arena_delete(a);
    return 0;
}

MP_TEST(a_structure_in_a_named_arena)
{
    struct other o = start_other(read_list);
    mp_arena *a, *same;
    mp_assert_err(mp_arena_attach(&a, mptest_name("list")), MP_ENOTFOUND);
    ck_assert_ptr_null(a);
    mp_assert_ok(mp_arena_new(&a, &(mp_arena_opts){.max = 1 << 20, .name = mptest_name("list")}));
    mp_assert_err(mp_arena_new(&same, &(mp_arena_opts){.name = mptest_name("list")}), -EEXIST);
    ck_assert_ptr_null(same);
    for (int i = 0; i < 10; i++) {
        void *p;
        mp_assert_ok(mp_arena_alloc(a, &p, 1, sizeof(struct list)));
        struct list *l = p;
        l->next = mp_arena_offset(a, mp_arena_root(a, sizeof *l));
        snprintf(l->text, sizeof l->text, "item %d", i);
        mp_assert_ok(mp_arena_set_root(a, l));
    }
    tell(o);
    end_well(o);
    ck_assert_str_eq(mp_arena_root(a, 5), "read");
    mp_assert_ok(mp_arena_attach(&same, mptest_name("list")));
    ck_assert_ptr_eq(same, a); // to be deleted twice
    mp_arena_delete(same);
    ck_assert_str_eq(mp_arena_root(a, 5), "read");
    mp_arena_delete(a);
    mp_assert_ok(mp_arena_attach(&a, mptest_name("list"))); // it stayed
    ck_assert_str_eq(mp_arena_root(a, 5), "read");
    mp_assert_ok(mp_shm_unlink(mptest_name("list")));
    ck_assert_str_eq(mp_arena_root(a, 5), "read");
    mp_assert_err(mp_arena_attach(&same, mptest_name("list")), MP_ENOTFOUND);
    mp_assert_err(mp_shm_unlink(mptest_name("list")), MP_ENOTFOUND);
    mp_arena_delete(a);
}

static int use_thing(int socket)
{
    (void)socket;
    struct thing *t;
    mptest_require(attach_thing(&t, mptest_name("thing")) == 0);
    mptest_require(!mp__object_is_mine(t));
    mptest_require(mp__object_holds(t, t->part, 100));
    mptest_require(strcmp(mp__object_at(t, t->part), "a part") == 0);
    mp__held *mine;
    uint32_t left;
    mptest_require(mp__holders_mine(t, &t->holders, &mine, &left) == 0);
    atomic_fetch_add(mine, 7);
    atomic_fetch_add(&t->word, 1);
    raise(SIGKILL);
    return 0;
}

MP_TEST(a_named_object)
{
    struct other o = start_other(use_thing);
    struct thing *t, *same;
    uint64_t part;
    mp_assert_ok(new_thing(&t, NULL, mptest_name("thing")));
    mp_assert_err(attach_thing(&same, mptest_name("thing")), MP_ENOTFOUND); // before it is complete
    mp_assert_ok(mp__object_alloc(t, 100, &part));
    strcpy(mp__object_at(t, part), "a part");
    t->part = part;
    mp_assert_ok(mp__object_publish(t));
    tell(o);
    int status;
    waitpid(o.pid, &status, 0);
    close(o.socket);
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
    ck_assert_uint_eq(t->word, 1);
    ck_assert_uint_eq(mp__holders_reap(t, &t->holders), 7);
    ck_assert(!mp__object_is_mine(t)); // it belongs to nobody
    mp_assert_ok(attach_thing(&same, mptest_name("thing")));
    ck_assert_ptr_eq(same, t);
    mp__object_free(same, true);
    ck_assert(mp__object_is(t, TYPE));
    mp__object_free(t, true);
    ck_assert(!mp__object_is(t, TYPE)); // unmapped: zeros
    mp_assert_ok(attach_thing(&t, mptest_name("thing")));
    ck_assert_uint_eq(t->word, 1);
    mp_assert_ok(mp_shm_unlink(mptest_name("thing")));
    mp__object_free(t, true);
    mp_assert_err(attach_thing(&t, mptest_name("thing")), MP_ENOTFOUND);
}

MP_TEST(a_name_that_is_taken)
{
    int fds = mptest_fd_count();
    struct thing *a, *b;
    mp_assert_ok(new_thing(&a, NULL, mptest_name("taken")));
    mp_assert_ok(new_thing(&b, NULL, mptest_name("taken")));
    mp_assert_ok(mp__object_publish(a));
    mp_assert_err(mp__object_publish(b), -EEXIST);
    mp__object_free(b, true);
    mp__object_free(a, true);
    ck_assert_int_eq(mptest_fd_count(), fds);
    mp_assert_ok(mp_shm_unlink(mptest_name("taken")));
}

// Committing the gigabytes that a damaged head claims would take long, and them from others.
MP_TEST(a_head_that_claims_what_is_not_there)
{
    char path[64];
    struct thing *t;
    struct stat before, after;
    uint64_t claim = UINT64_C(2) << 30;
    mp_assert_ok(new_thing(&t, NULL, mptest_name("claims")));
    mp_assert_ok(mp__object_publish(t));
    mp__object_free(t, true);
    snprintf(path, sizeof path, "/dev/shm/mp-%u-%s", (unsigned)geteuid(), mptest_name("claims"));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &before), 0);
    off_t at = offsetof(struct mp__arena_head, held);
    ck_assert_int_eq(pwrite(fd, &claim, sizeof claim, at), sizeof claim);
    mp_assert_err(attach_thing(&t, mptest_name("claims")), MP_EFORMAT);
    ck_assert_int_eq(fstat(fd, &after), 0);
    ck_assert_int_eq(after.st_blocks, before.st_blocks);
    close(fd);
    mp_assert_ok(mp_shm_unlink(mptest_name("claims")));
}

MP_TEST(what_does_not_fit_is_refused_with_a_reason)
{
    struct thing *t;
    void *p;
    mp_arena *a;
    mp_assert_ok(new_thing(&t, NULL, mptest_name("thing")));
    mp_assert_ok(mp__object_publish(t));
    mp_assert_ok(mp_arena_new(&a, &(mp_arena_opts){.max = 65536, .name = mptest_name("arena")}));
    int fds = mptest_fd_count();
    mp_assert_err(mp__object_attach(&p, mptest_name("thing"), MP__LOCK, VERSION, 64), MP_ETYPE);
    ck_assert_ptr_null(p);
    mp_assert_err(mp__object_attach(&p, mptest_name("thing"), TYPE, VERSION + 1, 64), MP_EVERSION);
    mp_assert_err(mp__object_attach(&p, mptest_name("thing"), TYPE, VERSION - 1, 64), MP_EVERSION);
    mp_assert_err(mp__object_attach(&p, mptest_name("thing"), TYPE, VERSION, 100000), MP_EFORMAT);
    mp_assert_err(mp__object_attach(&p, mptest_name("arena"), TYPE, VERSION, 64), MP_ETYPE);
    mp_assert_err(mp__object_attach(&p, mptest_name("nothing"), TYPE, VERSION, 64), MP_ENOTFOUND);
    mp_assert_err(mp__object_attach(&p, "../thing", TYPE, VERSION, 64), MP_EINVAL);
    mp_assert_err(mp__object_attach(&p, NULL, TYPE, VERSION, 64), MP_EINVAL);
    mp_assert_err(mp__object_new(&p, NULL, "no/name", 0, TYPE, VERSION, 64), MP_EINVAL);
    mp_arena *b;
    mp_assert_err(mp_arena_attach(&b, mptest_name("thing")), MP_ETYPE);
    mp_assert_err(mp_arena_attach(&b, ""), MP_EINVAL);
    mp_assert_err(mp_arena_attach(&b, NULL), MP_EINVAL);
    mp_assert_err(mp_arena_attach(NULL, mptest_name("arena")), MP_EINVAL);
    mp_assert_err(mp_arena_new(&b, &(mp_arena_opts){.name = ".hidden"}), MP_EINVAL);
    mp_assert_err(mp_shm_unlink(NULL), MP_EINVAL);
    mp_assert_err(mp_shm_unlink("a/b"), MP_EINVAL);
    ck_assert_int_eq(mptest_fd_count(), fds);
    mp_arena_delete(a);
    mp__object_free(t, true);
    mp_assert_ok(mp_shm_unlink(mptest_name("thing")));
    mp_assert_ok(mp_shm_unlink(mptest_name("arena")));
}

// ---- by descriptor ----

static void send_arena(int socket, const void *obj)
{
    const mp_arena *a = mp__arena_at(mp__object_base(obj));
    const struct mp__object *o = obj;
    uint64_t offset = o->offset;
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {&offset, sizeof offset};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    int fd = mp__arena_fd(a);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    ck_assert_int_eq(sendmsg(socket, &m, 0), sizeof offset);
}

static int receive_thing(int socket, struct thing **t)
{
    uint64_t offset;
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {&offset, sizeof offset};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    mptest_require(recvmsg(socket, &m, MSG_CMSG_CLOEXEC) == sizeof offset);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    mp_arena *a;
    void *p;
    int r = mp__arena_adopt(fd, &a);
    mptest_require(r == 0);
    r = mp__object_adopt(&p, a, offset, TYPE, VERSION, sizeof **t);
    if (r < 0)
        mp__arena_drop(a, false);
    *t = p;
    return r;
}

static int receive_and_use(int socket)
{
    int fds = mptest_fd_count();
    struct thing *one, *two, *other;
    mptest_require(receive_thing(socket, &one) == 0);
    mptest_require(receive_thing(socket, &two) == 0);
    mptest_require(receive_thing(socket, &other) == 0);
    mptest_require(one == two && one != other);
    mptest_require(mptest_fd_count() == fds + 1);
    mp__life life, again;
    mptest_require(mp__life_mine(one, &life) == 0);
    atomic_fetch_add(&one->word, 1);
    mp__object_free(one, true);
    mptest_require(mp__object_is(two, TYPE));
    atomic_fetch_add(&two->word, 1);
    mptest_require(mp__life_mine(two, &again) == 0 && again == life);
    mp__object_free(two, true);
    atomic_fetch_add(&other->word, 1);
    mp__object_free(other, true);
    mptest_require(mptest_fd_count() == fds);
    mptest_require(!mp__object_is(one, TYPE));
    return 0;
}

MP_TEST(objects_of_the_own_arena_by_descriptor)
{
    struct other o = start_other(receive_and_use);
    struct thing *one, *other;
    mp_assert_ok(new_thing(&one, NULL, NULL));
    mp_assert_ok(new_thing(&other, NULL, NULL));
    send_arena(o.socket, one); // the first message: also the sign to begin
    send_arena(o.socket, one);
    send_arena(o.socket, one);
    send_arena(o.socket, other);
    end_well(o);
    ck_assert_uint_eq(one->word, 2);
    ck_assert_uint_eq(other->word, 1);
    mp__object_free(one, true);
    mp__object_free(other, true);
}

// A process that gets its own object back has two handles of it.
MP_TEST(the_maker_gets_it_back)
{
    int s[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
    struct thing *t, *back;
    mp_assert_ok(new_thing(&t, NULL, NULL));
    mp__life life;
    mp_assert_ok(mp__life_mine(t, &life));
    send_arena(s[0], t);
    mp_assert_ok(receive_thing(s[1], &back));
    ck_assert_ptr_eq(back, t);
    // The copy of the descriptor was closed; the lock of the life is there all the same.
    pid_t pid = fork();
    if (pid == 0)
        _exit(mp__life_over(t, life));
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_assert(!mp__object_is_mine(t));
    mp__object_free(back, true);
    ck_assert(mp__object_is(t, TYPE) && mp__object_is_mine(t));
    send_arena(s[0], t);
    mp__object_free(t, true);
    mp_assert_err(receive_thing(s[1], &back), MP_ENOTFOUND);
    ck_assert_ptr_null(back);
    close(s[0]);
    close(s[1]);
}

MP_TEST(an_arena_lives_as_long_as_what_was_received_from_it)
{
    int s[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
    mp_arena *a;
    struct thing *t, *back;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(new_thing(&t, a, NULL));
    send_arena(s[0], t);
    mp_assert_ok(receive_thing(s[1], &back));
    mp_arena_delete(a);
    ck_assert(mp__object_is(back, TYPE));
    mp__object_free(back, true);
    close(s[0]);
    close(s[1]);
}

MP_TEST(descriptors_that_are_no_arena)
{
    int fds = mptest_fd_count(), pipes[2];
    mp_arena *a = NULL;
    ck_assert_int_eq(pipe(pipes), 0);
    mp_assert_err(mp__arena_adopt(pipes[0], &a), MP_EFORMAT);
    mp_assert_err(mp__arena_adopt(pipes[1], &a), MP_EFORMAT);
    mp_assert_err(mp__arena_adopt(memfd_create("x", 0), &a), MP_EUNSAFE); // not sealed
    mp_assert_err(mp__arena_adopt(-1, &a), -EBADF);
    ck_assert_ptr_null(a);
    ck_assert_int_eq(mptest_fd_count(), fds);
}
