// SPDX-License-Identifier: MIT
//
// Getting values without a lock. A reader takes note of the shard's version, finds the
// entry, copies it, and looks whether the version is still that: then nothing it read was
// freed before it had read it, and what it has is what the key had at that time. If not, it
// tries again; a reader that is unlucky too often takes the lock like a writer. Nobody waits
// for a writer that was killed or stopped, for there is no state in which reading must wait.
#include "shm/shm_dict.h"

#define TRIES 100

static int64_t look(const mp_shm_dict *d, const struct mp__shard *s, const struct mp__key *k,
                    void *buf, size_t cap)
{
    struct mp__place p;
    int r = mp__dict_find(d, s, k, &p);
    if (r <= 0)
        return r ? r : MP_ENOTFOUND;
    if (buf) {
        if (p.item.size > cap)
            return MP_EMSGSIZE;
        mp__racing_copy(buf, mp__item_value(&p.item), p.item.size);
    }
    return (int64_t)p.item.size;
}

static int64_t look_with_lock(mp_shm_dict *d, struct mp__shard *s, struct mp__key k, void *buf,
                              size_t cap)
{
    int r = mp__shard_lock(d, s);
    if (r < 0)
        return r;
    k.reach = mp__object_reach(d);
    int64_t size = look(d, s, &k, buf, cap);
    mp__shard_unlock(s);
    return size;
}

int64_t mp__dict_read(mp_shm_dict *d, const struct mp__key *k, void *buf, size_t cap)
{
    struct mp__shard *s = mp__dict_shard(d, k);
    if (!s)
        return MP_EFORMAT;
    for (int i = 0; i < TRIES; i++) {
        uint64_t version = mp__version_of(&s->version);
        int64_t size = look(d, s, k, buf, cap);
        if (!mp__version_is(&s->version, version))
            continue;
        if (size == MP_EFORMAT) // or it lies in memory that has just come
            break;
        return mp__object_gone(d) ? MP_EINVAL : size;
    }
    return look_with_lock(d, s, *k, buf, cap);
}
