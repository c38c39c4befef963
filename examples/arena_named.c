// SPDX-License-Identifier: MIT
//
// mp_arena_attach(): memory that unrelated processes find by name. A "server" keeps a list
// in it, a "client", which only knows the name, reads it. Places are told by offset, since
// the client has the arena at another address.
#include <mp/arena.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct item {
    uint64_t next; // offset, 0: the last
    char text[24];
};

static int serve(mp_arena *arena)
{
    static const char *const words[] = {"one", "two", "three"};
    uint64_t list = 0;
    void *p = NULL;
    for (int i = 2; i >= 0; i--) {
        int r = mp_arena_alloc(arena, &p, 1, sizeof(struct item));
        if (r < 0)
            return r;
        struct item *item = p;
        item->next = list;
        snprintf(item->text, sizeof item->text, "%s", words[i]);
        list = mp_arena_offset(arena, item);
    }
    return mp_arena_set_root(arena, p); // complete: now it may be found
}

static int read_it(const char *name)
{
    mp_arena *arena;
    int r = mp_arena_attach(&arena, name);
    if (r < 0) {
        fprintf(stderr, "arena_named: %s\n", mp_strerror(r));
        return 1;
    }
    struct item *item = mp_arena_root(arena, sizeof *item);
    for (; item; item = mp_arena_at(arena, item->next, sizeof *item))
        printf("%s\n", item->text);
    mp_arena_delete(arena);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(void)
{
    pid_t client = -1;
    int go[2], status = 1;
    mp_arena *arena = NULL;
    char ready, name[40];
    snprintf(name, sizeof name, "example-list-%d", (int)getpid()); // others may run it, too
    if (pipe(go) < 0)
        return 1;
    client = fork(); // before there is an arena, as any other program might be
    if (client == 0)
        _exit(read(go[0], &ready, 1) == 1 ? read_it(name) : 1);
    int r = mp_arena_new(&arena, &(mp_arena_opts){.max = 1 << 20, .name = name});
    if (r == 0)
        r = serve(arena);
    if (r < 0)
        fprintf(stderr, "arena_named: %s\n", mp_strerror(r));
    else if (write(go[1], "", 1) != 1)
        r = -1;
    close(go[1]);
    waitpid(client, &status, 0);
    mp_arena_delete(arena);
    mp_shm_unlink(name);
    return r < 0 || status != 0;
}
