// SPDX-License-Identifier: MIT
//
// pack_message: numbers, texts and arrays as one message, by a format.
#include <mp/pack.h>
#include <stdio.h>

// What arrives may be anything: an error says what is wrong with it, and where.
static int show(const void *data, size_t size)
{
    int id;
    double x, y;
    char name[32], unit[8] = "m"; // what an optional key leaves as it is
    mp_unpack_error error;
    int r = mp_unpack_with(NULL, &error, data, size, "{s:i s:s s:[dd] s:?s}", "id", &id, "name",
                           name, sizeof name, "at", &x, &y, "unit", unit, sizeof unit);
    if (r == 0)
        printf("%d: %s at %g, %g %s\n", id, name, x, y, unit);
    else
        printf("no such message: %s\n", error.text);
    return r;
}

int main(void)
{
    mp_buf b = {0};
    int r = mp_pack(&b, "{s:i s:s s:[dd]}", "id", 7, "name", "lamp", "at", 1.5, 20.0);
    if (r == 0)
        r = show(b.data, b.size);

    mp_buf_clear(&b);
    if (r == 0)
        r = mp_pack(&b, "{s:i s:s s:[ds]}", "id", 8, "name", "desk", "at", 1.5, "far away");
    if (r == 0)
        r = show(b.data, b.size) == MP_ETYPE ? 0 : MP_EBUG;
    mp_buf_free(&b);
    if (r < 0)
        fprintf(stderr, "pack_message: %s\n", mp_strerror(r));
    return r < 0;
}
