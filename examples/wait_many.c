// SPDX-License-Identifier: MIT
//
// mp_wait(): messages from several children as they come, until each has closed its pipe.
#include <mp/mp.h>
#include <stdio.h>

enum { CHILDREN = 3, MESSAGES = 4 };

static int report(void *arg)
{
    for (int i = 0; i < MESSAGES; i++)
        if (mp_pipe_send(arg, &i, sizeof i, MP_FOREVER) < 0)
            return 1;
    return 0;
}

static int start(mp_wait_item *item, mp_process **child)
{
    mp_pipe *reader, *writer;
    int r = mp_pipe_new(&reader, &writer, &(mp_pipe_opts){.oneway = true});
    if (r < 0)
        return r;
    *item = MP_WAIT_PIPE(reader);
    r = mp_process_start(child, report, writer,
                         &(mp_process_opts){.give = (mp_pipe *[]){writer, NULL}});
    mp_pipe_free(writer); // the child has it
    return r;
}

int main(void)
{
    mp_wait_item items[CHILDREN];
    mp_process *children[CHILDREN] = {NULL};
    int r = 0, open = 0, sum = 0;
    for (; open < CHILDREN && r == 0; open++)
        r = start(&items[open], &children[open]);
    while (r >= 0 && open > 0 && (r = mp_wait(items, (size_t)open, MP_FOREVER)) > 0)
        for (int i = open - 1; i >= 0; i--) {
            int value;
            if (!items[i].ready)
                continue;
            int64_t n = mp_pipe_recv(items[i].pipe, &value, sizeof value, 0);
            if (n >= 0) {
                sum += value;
            } else { // MP_EOF: done with this one
                mp_pipe_free(items[i].pipe);
                items[i] = items[--open];
            }
        }
    if (r < 0)
        fprintf(stderr, "wait_many: %s\n", mp_strerror(r));
    for (int i = 0; i < CHILDREN; i++) {
        if (children[i] && mp_process_join(children[i], MP_FOREVER) < 0)
            r = -1;
        mp_process_free(children[i]);
    }
    printf("the sum of all messages is %d\n", sum);
    return r < 0 || sum != CHILDREN * (MESSAGES - 1) * MESSAGES / 2;
}
