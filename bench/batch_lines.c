// SPDX-License-Identifier: MIT
//
// The limit for what works on the lines of a file, one process: read it and find the
// end of each line.  batch_lines FILE LINES, where LINES is how many there are.
#include "common.h"

#include <fcntl.h>

#define BLOCK ((size_t)256 << 10)

static long count_lines(int fd)
{
    char *block = allocate(BLOCK);
    long lines = 0;
    ssize_t n;
    while ((n = read(fd, block, BLOCK)) > 0)
        for (const char *p = block, *end = block + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
            lines++;
    free(block);
    return n < 0 ? -1 : lines;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        die("usage: %s FILE LINES", argv[0]);
    int fd = open(argv[1], O_RDONLY);
    if (fd < 0)
        die("%s", argv[1]);
    double start = now();
    long lines = count_lines(fd);
    double elapsed = now() - start;
    if (lines != atol(argv[2]))
        die("%ld lines, not %s", lines, argv[2]);
    report("batch_so_lines", "c_serial_lines", (double)lines / elapsed, "lines/s");
    return 0;
}
