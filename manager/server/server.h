// SPDX-License-Identifier: MIT
//
// The server around the core: one thread, one loop. It takes connections, hands their
// messages to the core, and sends what the core answers. Everything that happens is a round:
// a callback of the loop reads and hands over, and server_settle() at its end sends what has
// piled up for anybody, and buries the dead. The core is only called inside a round.
#ifndef MP_MANAGER_SERVER_SERVER_H
#define MP_MANAGER_SERVER_SERVER_H

#include "conn.h"
#include "core/core.h"
#include "options.h"
#include "os/pidfd.h"
#include "os/spin.h"
#include "place.h"
#include "pool.h"
#include "store.h"

#define SERVER_SCRATCH ((size_t)64 << 10)

struct remote;

struct server {
    mp_loop *loop;
    struct mp__core *core;
    struct mp__persist *persist; // or NULL
    bool failed;                 // what was done could not be kept
    mp_watch *snapshot_watch;    // of the child that writes one
    int snapshot_pidfd;
    const struct options *options;
    struct place place;
    mp_watch *door;     // new local clients
    int reserve;        // a descriptor to close when there are none left
    int64_t door_opens; // the call that watches the door again; 0
    struct remote *remotes;
    struct pool pool;

    struct conn *conns, *dirty, *dead, *hot;
    unsigned count, greeting; // connections; those that have not greeted
    unsigned own;             // of them, those of the daemon itself
    uint64_t numbered;
    bool hot_due; // rings_run() will be called
    struct mp__spin spin;

    int64_t tick; // the call that lets the core look at the clock; 0
    int64_t tick_at;
    int64_t idle;         // the call that ends a server that nobody needs; 0
    int64_t housekeeping; // the call that looks at the slow and the silent; 0
    int64_t began;        // ns
    int64_t began_wall;   // s since 1970
    bool stopping, stop_now;

    struct {
        uint64_t connections, refused, cut, calls, replies, bytes_in, bytes_out, rings;
    } total;
    int (*reload)(void *arg, char *text, size_t size); // of the program that has the server
    void *reload_arg;
    unsigned monitors;                     // connections that want to be told of each call
    unsigned char scratch[SERVER_SCRATCH]; // what was just read
};

// Makes the core and the server, with what there is on disk. o must live as long. On failure text
// says why.
int server_new(struct server **out, const struct options *o, char *text, size_t size);

// Listens at path. On failure text says why; errors of place_take().
int server_listen(struct server *s, const char *path, char *text, size_t size);

// Runs until server_stop().
int server_run(struct server *s);

// No new connections from now on; all sessions end when the present round is over, and then
// server_run() returns. now: without a snapshot.
void server_stop(struct server *s, bool now);

void server_free(struct server *s);

// The options have changed (reload).
void server_new_options(struct server *s);

// Takes a socket whose other end is somebody this process knows.
int server_adopt(struct server *s, int fd);

// ---- between the files of the server ----

// The end of a round.
void server_settle(struct server *s);

// Asks that slow and silent clients are looked at in a while.
void server_watch_time(struct server *s);

// Calls that the server does itself: hooks.control. Tells the monitors of a call. (admin.c)
int admin_control(void *ctx, void *user, const struct mp__control *call, mp_buf *result);
void admin_mirror(struct conn *from, const void *data, size_t size);

// The channels of this server. (rings.c)
void rings_heard(struct conn *c); // it rang: looked at without from now on
void rings_forget(struct conn *c);

// The numbers, as Prometheus reads them: a text of up to `size` bytes.
size_t admin_metrics(const struct server *s, char *out, size_t size);

// Listeners of URLs, all of the options; and once more in a second. (remote.c)
int remote_open(struct server *s, char *text, size_t size);
void remote_again(struct server *s);
void remote_close_all(struct server *s);

#endif
