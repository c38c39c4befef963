// SPDX-License-Identifier: MIT
//
// A small message packed and read, over and over: {"id": n, "name": text, "at": [x, y, z]}.
// c_msgpack does with msgpack-c what a program without libmp would write: pack into a
// buffer that is used again, unpack into objects, find the keys by comparing, check the types.
//
//   pack_small c_msgpack|libmp SECONDS
#include "common.h"

#include <mp/pack.h>
#include <msgpack.h>

struct message {
    int id;
    char name[32];
    double at[3];
};

static void pack_key(msgpack_packer *to, const char *key)
{
    msgpack_pack_str_with_body(to, key, strlen(key));
}

static size_t msgpack_write(msgpack_sbuffer *b, const struct message *m)
{
    msgpack_packer to;
    msgpack_sbuffer_clear(b);
    msgpack_packer_init(&to, b, msgpack_sbuffer_write);
    msgpack_pack_map(&to, 3);
    pack_key(&to, "id");
    msgpack_pack_int(&to, m->id);
    pack_key(&to, "name");
    pack_key(&to, m->name);
    pack_key(&to, "at");
    msgpack_pack_array(&to, 3);
    for (int i = 0; i < 3; i++)
        msgpack_pack_double(&to, m->at[i]);
    return b->size;
}

static const msgpack_object *get(const msgpack_object *map, const char *key)
{
    size_t size = strlen(key);
    if (map->type != MSGPACK_OBJECT_MAP)
        return NULL;
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *k = &map->via.map.ptr[i].key;
        if (k->type == MSGPACK_OBJECT_STR && k->via.str.size == size &&
            memcmp(k->via.str.ptr, key, size) == 0)
            return &map->via.map.ptr[i].val;
    }
    return NULL;
}

static bool take(const msgpack_object *root, struct message *m)
{
    const msgpack_object *id = get(root, "id"), *name = get(root, "name"), *at = get(root, "at");
    if (!id || !name || !at || id->type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        id->via.u64 > INT32_MAX || name->type != MSGPACK_OBJECT_STR ||
        name->via.str.size >= sizeof m->name || at->type != MSGPACK_OBJECT_ARRAY ||
        at->via.array.size != 3)
        return false;
    m->id = (int)id->via.u64;
    memcpy(m->name, name->via.str.ptr, name->via.str.size);
    m->name[name->via.str.size] = 0;
    for (int i = 0; i < 3; i++) {
        if (at->via.array.ptr[i].type != MSGPACK_OBJECT_FLOAT64)
            return false;
        m->at[i] = at->via.array.ptr[i].via.f64;
    }
    return true;
}

static bool with_msgpack(const struct message *in, struct message *out)
{
    static msgpack_sbuffer b;
    size_t used = 0, size = msgpack_write(&b, in);
    msgpack_unpacked u;
    msgpack_unpacked_init(&u);
    bool good = msgpack_unpack_next(&u, b.data, size, &used) == MSGPACK_UNPACK_SUCCESS &&
                used == size && take(&u.data, out);
    msgpack_unpacked_destroy(&u);
    return good;
}

static bool with_libmp(const struct message *in, struct message *out)
{
    static mp_buf b;
    mp_buf_clear(&b);
    return mp_pack(&b, "{s:i s:s s:[ddd]}", "id", in->id, "name", in->name, "at", in->at[0],
                   in->at[1], in->at[2]) == 0 &&
           mp_unpack(b.data, b.size, "{s:i s:s s:[ddd]}", "id", &out->id, "name", out->name,
                     sizeof out->name, "at", &out->at[0], &out->at[1], &out->at[2]) == 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("usage: pack_small c_msgpack|libmp SECONDS");
    bool (*once)(const struct message *, struct message *) =
        strcmp(argv[1], "libmp") == 0 ? with_libmp : with_msgpack;
    double seconds = seconds_from(argc > 2 ? argv[2] : NULL), begin = now(), end = begin + seconds;
    struct message in = {0, "a name of middling length", {1.5, -2.5, 1e9}}, out = {0};
    long n = 0;
    for (double t = begin; t < end; t = now()) {
        for (int i = 0; i < 1000; i++, n++) {
            in.id = (int)(n & INT32_MAX);
            if (!once(&in, &out) || out.id != in.id || out.at[2] != in.at[2] ||
                strcmp(out.name, in.name) != 0)
                die("message %ld came back wrong", n);
        }
    }
    report("pack_small", argv[1], (double)n / (now() - begin), "msg/s");
    return 0;
}
