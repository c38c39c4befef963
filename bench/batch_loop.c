// SPDX-License-Identifier: MIT
//
// What somebody would write by hand instead of `mpmap --so`: two processes, each with half
// of a file, which call the function for each line and write the results, each to a file of
// its own.  batch_loop FILE LINES OUT, where LINES is how many there are; makes OUT.0 and OUT.1.
#include "common.h"

#include <fcntl.h>
#include <mp/plugin.h>
#include <sys/stat.h>

int square(const char *record, size_t len, mp_out *out, void *ctx);

enum { FLUSH = 256 * 1024 };

static int grow(mp_out *out, size_t more)
{
    out->cap = 2 * (out->cap + more);
    out->data = realloc(out->data, out->cap);
    return out->data ? 0 : -ENOMEM;
}

static void flush(mp_out *out, int fd)
{
    for (size_t at = 0; at < out->len;) {
        ssize_t n = write(fd, out->data + at, out->len - at);
        if (n < 0)
            die("write");
        at += (size_t)n;
    }
    out->len = 0;
}

static void work(char *s, char *end, const char *path)
{
    mp_out out = {.grow = grow};
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        die("%s", path);
    for (char *line_end; s < end; s = line_end + 1) {
        line_end = memchr(s, '\n', (size_t)(end - s));
        *line_end = '\0';
        if (square(s, (size_t)(line_end - s), &out, NULL))
            die("a line");
        if (out.len > FLUSH)
            flush(&out, fd);
    }
    flush(&out, fd);
    close(fd);
}

// The file in memory that may be changed: read, as the lines are given their ends in place.
static char *load(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) < 0)
        die("%s", path);
    char *data = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        die("mmap");
    close(fd);
    *size = (size_t)st.st_size;
    return data;
}

int main(int argc, char **argv)
{
    char path[2][4096];
    if (argc != 4)
        die("usage: %s FILE LINES OUT", argv[0]);
    for (int i = 0; i < 2; i++)
        snprintf(path[i], sizeof path[i], "%s.%d", argv[3], i);
    double start = now();
    size_t size;
    char *data = load(argv[1], &size), *end = data + size;
    char *half = (char *)memchr(data + size / 2, '\n', size / 2) + 1;
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        work(half, end, path[1]);
        _exit(0);
    }
    work(data, half, path[0]);
    int status;
    if (waitpid(pid, &status, 0) != pid || status)
        die("the other process");
    report("batch_so_lines", "c_two_processes", atof(argv[2]) / (now() - start), "lines/s");
    return 0;
}
