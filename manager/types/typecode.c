// SPDX-License-Identifier: MIT
#include "types/typecode.h"

bool mp__typecode_valid(struct mp__slice text)
{
    return text.size == 1 && text.data[0] && strchr("bBhHiIlLqQfd", text.data[0]);
}

// Q and L end where int64_t does: numbers travel and add as such.
static void bounds(char code, int64_t *low, int64_t *high)
{
    static const struct {
        char code;
        int64_t low, high;
    } all[] = {{'b', INT8_MIN, INT8_MAX}, {'B', 0, UINT8_MAX},         {'h', INT16_MIN, INT16_MAX},
               {'H', 0, UINT16_MAX},      {'i', INT32_MIN, INT32_MAX}, {'I', 0, UINT32_MAX},
               {'L', 0, INT64_MAX},       {'Q', 0, INT64_MAX}};
    *low = INT64_MIN;
    *high = INT64_MAX;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].code == code) {
            *low = all[i].low;
            *high = all[i].high;
        }
}

int mp__typecode_fit(char code, struct mp__number *n)
{
    int64_t low, high;
    if (code == 'f' || code == 'd') {
        n->d = n->integer ? (double)n->i : n->d;
        n->d = code == 'f' ? (double)(float)n->d : n->d;
        n->integer = false;
        return 0;
    }
    if (!n->integer)
        return MP_ETYPE;
    bounds(code, &low, &high);
    return n->i < low || n->i > high ? MP_EOVERFLOW : 0;
}
