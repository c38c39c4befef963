// SPDX-License-Identifier: MIT
//
// Four processes write into a pipe each; one reads whatever is there, until all have ended.
#include "seed.h"

#include <string.h>

#define PROCESSES 4
#define MESSAGES  10

struct message {
    int number;
    char name[28]; // of the process
};

static int write_messages(void *arg)
{
    mp_pipe *writer = arg;
    struct message m = {0};
    snprintf(m.name, sizeof m.name, "%s", mp_process_name(mp_process_current()));
    for (m.number = 0; m.number < MESSAGES; m.number++)
        must(mp_pipe_send(writer, &m, sizeof m, MP_FOREVER), "send");
    mp_pipe_free(writer);
    return 0;
}

// Prints one message. False at the end of the pipe.
static bool read_message(mp_pipe *reader)
{
    struct message m;
    int64_t size = mp_pipe_recv(reader, &m, sizeof m, MP_FOREVER);
    if (size == MP_EOF)
        return false;
    must(size, "recv");
    printf("(%d, '%s')\n", m.number, m.name);
    return true;
}

int main(void)
{
    mp_wait_item item[PROCESSES];
    mp_process *process[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        mp_pipe *reader, *writer;
        must(mp_pipe_new(&reader, &writer, &(mp_pipe_opts){.oneway = true}), "pipe");
        mp_process_opts opts = {.give = (mp_pipe *[]){writer, NULL}};
        must(mp_process_start(&process[i], write_messages, writer, &opts), "process");
        mp_pipe_free(writer); // the child's now
        item[i] = MP_WAIT_PIPE(reader);
    }
    for (size_t n = PROCESSES; n > 0;) {
        must(mp_wait(item, n, MP_FOREVER), "wait");
        for (size_t i = n; i-- > 0;)
            if (item[i].ready && !read_message(item[i].pipe)) {
                mp_pipe_free(item[i].pipe);
                item[i] = item[--n];
            }
    }
    for (int i = 0; i < PROCESSES; i++) {
        must(mp_process_join(process[i], MP_FOREVER), "join");
        mp_process_free(process[i]);
    }
    return 0;
}
