// SPDX-License-Identifier: MIT
//
// Packed values on their way: through pipes, and to Python's msgpack and back.
#include "mptest.h"

#include <fcntl.h>
#include <float.h>
#include <mp/handle.h>
#include <mp/pack.h>
#include <mp/process.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define LONG_MS 20000

static int answer(void *arg)
{
    mp_pipe *p = arg;
    mp_buf b = {0};
    int r, id;
    const char *text;
    size_t size;
    while ((r = mp_pipe_recv_packed(p, &b, LONG_MS, "{s:i s:s#}", "id", &id, "text", &text,
                                    &size)) == 0)
        if ((r = mp_pipe_send_packed(p, LONG_MS, "[i U s#]", id + 1, (uint64_t)size, text, size)) <
            0)
            break;
    mp_buf_free(&b);
    mp_pipe_close(p);
    return r == MP_EOF ? 0 : 1;
}

// From messages that fit the stack to such as do not fit the ring.
MP_TEST(values_go_through_a_pipe_and_come_back)
{
    mp_pipe *ours, *theirs;
    mp_process *child;
    mp_buf b = {0};
    char *text = malloc(3 << 20);
    memset(text, 'x', 3 << 20);
    mp_assert_ok(mp_pipe_new(&ours, &theirs, NULL));
    mp_assert_ok(mp_process_start(&child, answer, theirs,
                                  &(mp_process_opts){.give = (mp_pipe *[]){theirs, NULL}}));
    static const size_t sizes[] = {0, 1, 400, 480, 512, 600, 5000, 70000, 3 << 20, 3};
    for (int i = 0; i < 10; i++) {
        int id = 0;
        uint64_t length = 0;
        const char *back;
        size_t size;
        mp_assert_ok(
            mp_pipe_send_packed(ours, LONG_MS, "{s:s# s:i}", "text", text, sizes[i], "id", i));
        mp_assert_ok(mp_pipe_recv_packed(ours, &b, LONG_MS, "[iUs#]", &id, &length, &back, &size));
        ck_assert(id == i + 1 && length == sizes[i] && size == sizes[i]);
        ck_assert(size == 0 || (back > (char *)b.data && memcmp(back, text, size) == 0));
    }
    mp_pipe_close(ours);
    mp_assert_ok(mp_process_join(child, LONG_MS));
    int code = -1;
    mp_assert_ok(mp_process_exitcode(child, &code));
    ck_assert_int_eq(code, 0);
    mp_process_free(child);
    mp_pipe_free(ours);
    mp_pipe_free(theirs);
    mp_buf_free(&b);
    free(text);
}

MP_TEST(a_message_of_another_shape_stays_in_the_buffer)
{
    mp_pipe *x, *y;
    mp_buf b = {0};
    char room[4];
    mp_buf fixed = {.data = room, .capacity = sizeof room, .fixed = true};
    int i = 0;
    char text[16];
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    mp_assert_ok(mp_pipe_send_packed(x, 0, "s", "not a number"));
    mp_assert_err(mp_pipe_recv_packed(y, &b, 0, "i", &i), MP_ETYPE);
    mp_assert_ok(mp_unpack(b.data, b.size, "s", text, sizeof text));
    ck_assert_str_eq(text, "not a number");
    mp_assert_ok(mp_pipe_send(x, "\xdd\xff\xff\xff\xff", 5, 0));
    mp_assert_err(mp_pipe_recv_packed(y, &b, 0, "_"), MP_EPROTO);
    // A fixed buffer that is too small: the message waits for a larger one.
    mp_assert_ok(mp_pipe_send_packed(x, 0, "s", "long"));
    mp_assert_err(mp_pipe_recv_packed(y, &fixed, 0, "s", text, sizeof text), MP_EMSGSIZE);
    mp_assert_ok(mp_pipe_recv_packed(y, &b, 0, "s", text, sizeof text));
    ck_assert_str_eq(text, "long");

    // One that carries a descriptor is for another call.
    mp_assert_ok(mp_pipe_send_fd(x, 0, 0));
    mp_assert_err(mp_pipe_recv_packed(y, &b, 0, "_"), MP_ETYPE);
    ck_assert_uint_eq(b.size, 0);
    int fd = mp_pipe_recv_fd(y, 0);
    mp_assert_ok(fd);
    close(fd);

    mp_assert_err(mp_pipe_recv_packed(y, &b, 0, "i", &i), MP_ETIMEDOUT);
    mp_assert_err(mp_pipe_recv_packed(y, &b, -2, "i", &i), MP_EINVAL);
    mp_assert_err(mp_pipe_recv_packed(y, NULL, 0, "i", &i), MP_EINVAL);
    mp_assert_err(mp_pipe_recv_packed(NULL, &b, 0, "i", &i), MP_EINVAL);
    mp_assert_err(mp_pipe_send_packed(NULL, 0, "n"), MP_EINVAL);
    mp_assert_err(mp_pipe_send_packed(x, 0, "i", "x"), MP_EINVAL);
    mp_assert_err(mp_pipe_send_packed(x, 0, "q"), MP_EINVAL);
    ck_assert_int_eq(mp_pipe_poll(y, 0), 0);
    mp_pipe_free(y);
    mp_assert_err(mp_pipe_send_packed(x, 0, "n"), MP_EPIPE);
    mp_pipe_free(x);
    mp_buf_free(&b);
}

// ---- Python ---------------------------------------------------------------------------

#define PYTHON "/usr/bin/python3"

// Runs a script with the files as arguments; returns its exit status.
static int python(const char *script)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        execl(PYTHON, PYTHON, "-c", script, "ours", "theirs", (char *)NULL);
        _exit(127);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_file(const char *name, const mp_buf *b)
{
    FILE *f = fopen(name, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(b->data, 1, b->size, f), b->size);
    ck_assert_int_eq(fclose(f), 0);
}

MP_TEST(python_reads_ours_and_we_read_pythons)
{
    if (python("import msgpack") != 0)
        mp_skip("python3-msgpack is not installed for " PYTHON);
    static const char script[] =
        "import msgpack, sys\n"
        "value = msgpack.unpackb(open(sys.argv[1], 'rb').read(), strict_map_key=False)\n"
        "want = {'nil': None, 'truth': [True, False],\n"
        "        'ints': [0, -1, 127, 128, -32, -33, 65536, -2**31, 2**63 - 1, -2**63, 2**64 - "
        "1],\n"
        "        'doubles': [0.5, -1e300, 1.7976931348623157e308],\n"
        "        'text': 'Gr\\u00fc\\u00dfe', 'bytes': b'\\0\\xff', 7: {'deep': [[], {}]},\n"
        "        'long': 'x' * 70000, b'key': -7}\n"
        "if value != want: sys.exit(f'python read {value}')\n"
        "open(sys.argv[2], 'wb').write(msgpack.packb(want))\n";
    char *x = malloc(70001);
    memset(x, 'x', 70000);
    x[70000] = 0;
    mp_buf b = {0};
    mp_assert_ok(mp_pack_map(&b, 9));
    mp_assert_ok(mp_pack(&b, "s n s [tt]", "nil", "truth", true, false));
    mp_assert_ok(mp_pack(&b, "s [iiiiiii i I I U]", "ints", 0, -1, 127, 128, -32, -33, 65536,
                         INT32_MIN, INT64_MAX, INT64_MIN, UINT64_MAX));
    mp_assert_ok(mp_pack(&b, "s [ddd] s s s b#", "doubles", 0.5, -1e300, DBL_MAX, "text",
                         "Gr\xc3\xbc\xc3\x9f"
                         "e",
                         "bytes", "\x00\xff", (size_t)2));
    mp_assert_ok(mp_pack(&b, "i {s:[[]{}]} s s b# i", 7, "deep", "long", x, "key", (size_t)3, -7));
    write_file("ours", &b);
    ck_assert_int_eq(python(script), 0);

    int fd = open("theirs", O_RDONLY);
    static char theirs[100000];
    ssize_t size = read(fd, theirs, sizeof theirs);
    close(fd);
    ck_assert_int_gt(size, 70000);
    bool t, f;
    int i, key;
    int64_t big, small;
    uint64_t biggest;
    double d;
    char text[16];
    const void *bytes;
    const char *text_long;
    size_t bytes_size, long_size;
    mp_assert_ok(mp_unpack(theirs, (size_t)size,
                           "{s:n s:[tt] s:[iiiiiiiiIIU] s:[_d_] s:s s:b# i:{s:[[]{}]} s:s# b#:i}",
                           "nil", "truth", &t, &f, "ints", &i, &i, &i, &i, &i, &i, &i, &i, &big,
                           &small, &biggest, "doubles", &d, "text", text, sizeof text, "bytes",
                           &bytes, &bytes_size, 7, "deep", "long", &text_long, &long_size, "key",
                           (size_t)3, &key));
    ck_assert(t && !f && i == INT32_MIN && big == INT64_MAX && small == INT64_MIN);
    ck_assert(biggest == UINT64_MAX && d == -1e300 && key == -7);
    ck_assert_str_eq(text, "Gr\xc3\xbc\xc3\x9f"
                           "e");
    ck_assert(bytes_size == 2 && memcmp(bytes, "\x00\xff", 2) == 0);
    ck_assert(long_size == 70000 && memcmp(text_long, x, 70000) == 0);
    unlink("ours");
    unlink("theirs");
    mp_buf_free(&b);
    free(x);
}
