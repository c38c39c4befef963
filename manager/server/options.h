// SPDX-License-Identifier: MIT
//
// The daemon's options: one table, from which the command line, the configuration file, --help
// and the structure are made.
#ifndef MP_MANAGER_SERVER_OPTIONS_H
#define MP_MANAGER_SERVER_OPTIONS_H

#include <mp/manager_type.h>
#include <stdbool.h>
#include <stddef.h>

enum { OPTION_LIST = 16 }; // values that an option that may be repeated takes at most

struct option_list {
    char *items[OPTION_LIST];
    size_t count;
};

// X(kind, field, name, argument, default, may change while it runs, help). Kinds: T text, L list
// of texts, F flag, N number, B bytes (with K, M, G), S seconds (also 1.5; kept as ms).
#define OPTIONS_PLACE(X)                                                                           \
    X(T, name, "name", "NAME", "default", false, "its name: the socket is NAME.sock")              \
    X(T, socket, "socket", "PATH", NULL, false, "the socket's path, instead of a name")            \
    X(L, listen, "listen", "URL", NULL, false,                                                     \
      "listen there, too: tcp://, tls+tcp://, ws:// (may be repeated)")                            \
    X(T, key_file, "key-file", "FILE", NULL, false, "clients of URLs must have this secret")       \
    X(T, tls_ca, "tls-ca", "FILE", NULL, false, "clients of tls+tcp:// need its certificate")      \
    X(T, tls_cert, "tls-cert", "FILE", NULL, false, "our certificate (PEM)")                       \
    X(T, tls_key, "tls-key", "FILE", NULL, false, "its key; not needed if it is in the same file") \
    X(F, tls_any_client, "tls-any-client", NULL, NULL, false,                                      \
      "let clients in that show no certificate")                                                   \
    X(F, insecure, "insecure", NULL, NULL, false,                                                  \
      "listen where other machines reach it without key or TLS")                                   \
    X(T, dir, "dir", "DIR", NULL, false, "keep what has a name in DIR, over a restart")            \
    X(T, fsync, "fsync", "WHEN", "everysec", false,                                                \
      "with --dir: always (before an answer), everysec, or no")                                    \
    X(B, snapshot_size, "snapshot-size", "BYTES", "64M", true,                                     \
      "with --dir: a new snapshot when the log is so long")                                        \
    X(L, type, "type", "FILE.so", NULL, false, "take custom types from it (may be repeated)")      \
    X(L, tasks, "tasks", "FILE.so", NULL, false,                                                   \
      "run the tasks in it for objects of type Pool, in processes beside (may be repeated)")       \
    X(N, workers, "workers", "N", "0", false, "that run tasks; 0: as many as there are CPUs")

#define OPTIONS_RUN(X)                                                                             \
    X(F, background, "background", NULL, NULL, false,                                              \
      "go on in the background; ends with 0 once clients can connect")                             \
    X(F, exit_idle, "exit-idle", NULL, NULL, false,                                                \
      "end a minute after the last client has gone, if no object has a name")                      \
    X(T, log_level, "log-level", "LEVEL", "info", true, "off, error, warn, info or debug")         \
    X(T, log_file, "log-file", "FILE", NULL, true, "append the log to FILE, not to stderr")        \
    X(T, metrics_file, "metrics-file", "FILE", NULL, true,                                         \
      "write Prometheus metrics to FILE every ten seconds")                                        \
    X(F, no_rings, "no-rings", NULL, NULL, true, "never give a client shared memory")

#define OPTIONS_LIMITS(X)                                                                          \
    X(N, max_clients, "max-clients", "N", "256", true, "clients at a time")                        \
    X(N, max_greeting, "max-greeting", "N", "16", true, "of them, those that have not said hello") \
    X(S, greeting_ms, "greeting-time", "SECONDS", "5", true, "to say hello in")                    \
    X(B, max_message, "max-message", "BYTES", "16M", false, "the longest message")                 \
    X(N, max_nodes, "max-nodes", "N", "65536", true, "values in a message")                        \
    X(N, max_objects, "max-objects", "N", "10000", true, "objects")                                \
    X(N, max_session_objects, "max-client-objects", "N", "1000", true, "that a client refers to")  \
    X(B, max_object_bytes, "max-object-bytes", "BYTES", "64M", true, "in one object")              \
    X(B, max_bytes, "max-bytes", "BYTES", "512M", true, "in all objects")                          \
    X(B, max_name, "max-name", "BYTES", "64", true, "in the name of an object")                    \
    X(B, max_key, "max-key", "BYTES", "255", true, "in a key of a dict or element of a set")       \
    X(B, max_session_tasks, "max-client-tasks", "BYTES", "64M", true,                              \
      "in the tasks of a client and their results")                                                \
    X(N, max_waiting, "max-waiting", "N", "64", true, "calls of a client that wait")               \
    X(N, max_object_waiting, "max-object-waiting", "N", "1024", true, "that wait for one object")  \
    X(B, max_out, "max-out", "BYTES", "4M", true, "that wait for a client until it is cut off")    \
    X(B, slow_out, "slow-out", "BYTES", "1M", true, "from which on a client is slow")              \
    X(S, slow_ms, "slow-time", "SECONDS", "10", true, "a slow one that takes nothing is cut off")  \
    X(S, alive_ms, "alive-time", "SECONDS", "8", false,                                            \
      "a remote machine that is silent for so long is gone")

#define OPTIONS(X)                                                                                 \
    OPTIONS_PLACE(X)                                                                               \
    OPTIONS_RUN(X)                                                                                 \
    OPTIONS_LIMITS(X)

typedef char *option_T;
typedef struct option_list option_L;
typedef bool option_F;
typedef size_t option_N, option_B, option_S;

struct options {
#define OPTION_FIELD(kind, field, name, arg, standard, live, help) option_##kind field;
    OPTIONS(OPTION_FIELD)
#undef OPTION_FIELD
    char *config;                        // the file that was read, or NULL
    const mp_manager_type *const *types; // of a program that has a manager of its own; or NULL
    bool own_tasks;                      // and its tasks are run
};

void options_defaults(struct options *o);

// Sets the defaults, then what the configuration file says, then what the command line says.
// Returns 0; 1 when --help or --version was answered and the program is to end; or
// -1, with text saying what is wrong.
int options_read(struct options *o, int argc, char **argv, char *text, size_t size);

// Reads the file once more, and takes over into `o` what may change while it runs; what may
// not and has changed is named in text. -1: nothing was changed, and text says why.
int options_reload(struct options *o, int argc, char **argv, char *text, size_t size);

void options_free(struct options *o);

#endif
