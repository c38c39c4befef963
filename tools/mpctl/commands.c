// SPDX-License-Identifier: MIT
//
// The commands: each is a call or two of the manager, and a way to print the answer.
#include "print.h"
#include "value.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const mp_unpack_opts with_objects = {.ext = true};

// ---- about the manager ---------------------------------------------------------------

// A call of the manager's with up to one text; b is the caller's to free.
static int ask(struct ctl *c, mp_buf *b, const char *method, const char *text)
{
    mp_proxy *self = mp_manager_self(c->m);
    int r = text ? mp_call(self, b, c->timeout_ms, method, "s", text)
                 : mp_call(self, b, c->timeout_ms, method, "");
    return r < 0 ? failed(method, r, b) : EXIT_OK;
}

static int ping(struct ctl *c, char **args, int n)
{
    struct timespec a, z;
    (void)args;
    (void)n;
    mp_buf b = {0};
    mp_manager_info info;
    clock_gettime(CLOCK_MONOTONIC, &a);
    int code = ask(c, &b, "ping", NULL);
    clock_gettime(CLOCK_MONOTONIC, &z);
    double us = (double)(z.tv_sec - a.tv_sec) * 1e6 + (double)(z.tv_nsec - a.tv_nsec) / 1e3;
    if (code == EXIT_OK && mp_manager_get_info(c->m, &info) == 0)
        printf(c->json ? "{\"us\": %.0f, \"instance\": %" PRIu64 ", \"session\": %" PRIu64 "}\n"
                       : "answered after %.0f us; instance %" PRIu64 ", session %" PRIu64 "\n",
               us, info.instance, info.session);
    mp_buf_free(&b);
    return code;
}

static int list(struct ctl *c, char **args, int n)
{
    static const char *const heads[] = {"NAME", "TYPE", "OBJECT"};
    mp_buf b = {0};
    int code = ask(c, &b, "list", n ? args[0] : NULL);
    if (code == EXIT_OK)
        code = print_table(c, &b, heads, 3);
    mp_buf_free(&b);
    return code;
}

static int table(struct ctl *c, const char *method, const char *const *heads, size_t n)
{
    mp_buf b = {0};
    int code = ask(c, &b, method, NULL);
    if (code == EXIT_OK)
        code = print_table(c, &b, heads, n);
    mp_buf_free(&b);
    return code;
}

static int clients(struct ctl *c, char **args, int n)
{
    (void)args;
    (void)n;
    return table(c, "clients", NULL, 0);
}

static int locks(struct ctl *c, char **args, int n)
{
    static const char *const heads[] = {"OBJECT", "NAME", "SESSION", "OWNER", "TOKEN", "WAITING"};
    (void)args;
    (void)n;
    return table(c, "locks", heads, 6);
}

static int types(struct ctl *c, char **args, int n)
{
    static const char *const heads[] = {"TYPE", "INTERFACE", "ARGUMENTS", "WHAT IT IS"};
    (void)args;
    (void)n;
    return table(c, "types", heads, 4);
}

static int stats(struct ctl *c, char **args, int n)
{
    (void)args;
    (void)n;
    mp_buf b = {0};
    int code = ask(c, &b, "stats", NULL);
    if (code == EXIT_OK)
        code = print_map(c, &b);
    mp_buf_free(&b);
    return code;
}

static int answer(struct ctl *c, const char *method, const char *text)
{
    mp_buf b = {0};
    int code = ask(c, &b, method, text);
    if (code == EXIT_OK)
        code = print_answer(c, &b);
    mp_buf_free(&b);
    return code;
}

static int metrics(struct ctl *c, char **args, int n)
{
    const char *text;
    size_t size;
    (void)args;
    (void)n;
    mp_buf b = {0};
    int code = ask(c, &b, "metrics", NULL);
    if (code == EXIT_OK && mp_unpack(b.data, b.size, "s#", &text, &size) == 0)
        fwrite(text, 1, size, stdout);
    mp_buf_free(&b);
    return code;
}

static int snapshot(struct ctl *c, char **args, int n)
{
    (void)args;
    (void)n;
    return answer(c, "snapshot", NULL);
}

static int reload(struct ctl *c, char **args, int n)
{
    (void)args;
    (void)n;
    return answer(c, "reload", NULL);
}

// The connection may end before the answer is here: that is what was asked for, and waited for.
static int shut_down(struct ctl *c, char **args, int n)
{
    if (n && strcmp(args[0], "now") != 0)
        return complain("shutdown", "takes 'now' or nothing"), EXIT_USAGE;
    mp_buf b = {0};
    int r = mp_call(mp_manager_self(c->m), &b, c->timeout_ms, "shutdown", "t", n > 0);
    while (r == 0)
        r = mp_call(mp_manager_self(c->m), NULL, c->timeout_ms, "ping", "");
    int code = r < 0 && r != MP_ELOST ? failed("shutdown", r, &b) : EXIT_OK;
    mp_buf_free(&b);
    return code;
}

static int methods(struct ctl *c, char **args, int n)
{
    (void)n;
    mp_buf b = {0};
    mp_tree *tree = NULL;
    int code = ask(c, &b, "methods", args[0]);
    if (code == EXIT_OK && c->json)
        code = print_answer(c, &b);
    else if (code == EXIT_OK && mp_tree_new(&tree, b.data, b.size, NULL) == 0) {
        static const char *const heads[] = {"METHOD", "OP",    "ARGUMENTS",
                                            "RESULT", "FLAGS", "WHAT IT DOES"};
        print_rows(mp_item_at(mp_tree_root(tree), 1), heads, 6);
    }
    mp_tree_free(tree);
    mp_buf_free(&b);
    return code;
}

// ---- about an object -----------------------------------------------------------------

static int open_object(struct ctl *c, const char *name, mp_proxy **p)
{
    int r = mp_manager_open(c->m, p, name);
    return r < 0 ? complain(name, mp_strerror(r)) : EXIT_OK;
}

// Calls a method with arguments as people write them.
static int call_method(struct ctl *c, mp_proxy *p, mp_buf *b, const char *method, char **args,
                       int n)
{
    mp_buf values[8] = {{0}};
    int r = n > 8 ? MP_EINVAL : 0;
    for (int i = 0; r == 0 && i < n; i++)
        if ((r = value_read(&values[i], args[i])) < 0)
            complain(args[i], "is no JSON");
    if (r == 0) {
        static const char *const formats[] = {
            "",           "O#",           "O#O#",           "O#O#O#",          "O#O#O#O#",
            "O#O#O#O#O#", "O#O#O#O#O#O#", "O#O#O#O#O#O#O#", "O#O#O#O#O#O#O#O#"};
#define V(i) (const void *)values[i].data, values[i].size
        // Types are not checked: a format that uses fewer arguments leaves the rest.
        r = mp_call_args(p, b, c->timeout_ms, method, NULL, formats[n], V(0), V(1), V(2), V(3),
                         V(4), V(5), V(6), V(7));
#undef V
        if (r < 0 && r != MP_EOWNERDEAD)
            failed(method, r, b);
    }
    for (int i = 0; i < 8; i++)
        mp_buf_free(&values[i]);
    return r < 0 && r != MP_EOWNERDEAD ? EXIT_FAILED : EXIT_OK;
}

static int call(struct ctl *c, char **args, int n)
{
    mp_proxy *p;
    mp_buf b = {0};
    int code = open_object(c, args[0], &p);
    if (code != EXIT_OK)
        return code;
    code = call_method(c, p, &b, args[1], args + 2, n - 2);
    if (code == EXIT_OK)
        code = print_answer(c, &b);
    mp_buf_free(&b);
    mp_proxy_free(p);
    return code;
}

// What shows an object of a type as a whole.
static const char *whole(const char *type)
{
    static const char *const table[][2] = {
        {"list", "copy"},           {"dict", "copy"},           {"set", "copy"},
        {"Namespace", "copy"},      {"Array", "copy"},          {"Value", "get"},
        {"counter", "get"},         {"Queue", "qsize"},         {"LifoQueue", "qsize"},
        {"PriorityQueue", "qsize"}, {"JoinableQueue", "qsize"}, {"Lock", "holder"},
        {"RLock", "holder"},        {"Semaphore", "get_value"}, {"BoundedSemaphore", "get_value"},
        {"Condition", "waiters"},   {"Event", "is_set"},        {"Barrier", "n_waiting"},
        {"Pool", "stats"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i][0], type))
            return table[i][1];
    return "get";
}

static int get(struct ctl *c, char **args, int n)
{
    mp_proxy *p;
    mp_buf b = {0};
    int code = open_object(c, args[0], &p);
    if (code != EXIT_OK)
        return code;
    code = call_method(c, p, &b, n > 1 ? "get" : whole(mp_proxy_type(p)), args + 1, n - 1);
    if (code == EXIT_OK)
        code = print_answer(c, &b);
    mp_buf_free(&b);
    mp_proxy_free(p);
    return code;
}

// A dict is made if there is none of that name: `mpctl set prices tea 3.5` shall just work.
static int set(struct ctl *c, char **args, int n)
{
    mp_proxy *p;
    mp_buf b = {0};
    int r = mp_manager_open(c->m, &p, args[0]);
    if (r == MP_ENOTFOUND)
        r = n == 3 ? mp_manager_get(c->m, &p, args[0], "dict", "")
                   : mp_manager_get(c->m, &p, args[0], "Value", "");
    if (r < 0)
        return complain(args[0], mp_strerror(r));
    int code = call_method(c, p, &b, "set", args + 1, n - 1);
    mp_buf_free(&b);
    mp_proxy_free(p);
    return code;
}

static int make(struct ctl *c, char **args, int n)
{
    mp_proxy *p = NULL;
    mp_buf values[4] = {{0}};
    int r = 0;
    for (int i = 2; r == 0 && i < n; i++)
        r = value_read(&values[i - 2], args[i]);
    if (r == 0) {
        static const char *const formats[] = {"", "O#", "O#O#", "O#O#O#", "O#O#O#O#"};
#define V(i) (const void *)values[i].data, values[i].size
        r = mp_manager_get_args(c->m, &p, args[0], args[1], NULL, formats[n - 2], V(0), V(1), V(2),
                                V(3));
#undef V
        mp_proxy_free(p);
    }
    for (int i = 0; i < 4; i++)
        mp_buf_free(&values[i]);
    return r < 0 ? complain(args[0], mp_strerror(r)) : EXIT_OK;
}

static int delete_name(struct ctl *c, char **args, int n)
{
    (void)n;
    int r = mp_manager_delete(c->m, args[0]);
    return r < 0 ? complain(args[0], mp_strerror(r)) : EXIT_OK;
}

static int debug(struct ctl *c, char **args, int n)
{
    mp_proxy *p;
    mp_buf b = {0};
    (void)n;
    int code = open_object(c, args[0], &p);
    if (code != EXIT_OK)
        return code;
    int r = mp_call(p, &b, c->timeout_ms, "debug", "");
    code = r < 0 ? failed("debug", r, &b) : print_map(c, &b);
    mp_buf_free(&b);
    mp_proxy_free(p);
    return code;
}

// ---- what goes on --------------------------------------------------------------------

// The name of a call, by its number, as the object's type has it.
static void print_op(const mp_item *rows, const mp_item *op)
{
    uint64_t wanted = 0, n;
    if (mp_item_uint(op, &wanted) < 0)
        return;
    for (size_t i = 0; i < mp_item_size(rows); i++) {
        const mp_item *row = mp_item_at(rows, i);
        if (mp_item_uint(mp_item_at(row, 1), &n) == 0 && n == wanted) {
            value_print_plain(stdout, mp_item_at(row, 0));
            return;
        }
    }
    printf("%" PRIu64, wanted);
}

// An event of watch: [op, [argument, ...], result]; the first is nil.
static void print_change(const struct ctl *c, const mp_item *rows, const mp_buf *b)
{
    mp_tree *tree;
    if (mp_tree_new(&tree, b->data, b->size, &with_objects) < 0)
        return;
    const mp_item *e = mp_tree_root(tree), *args = mp_item_at(e, 1);
    if (mp_item_typeof(e) == MP_ITEM_ARRAY && c->json) {
        printf("{\"method\": \"");
        print_op(rows, mp_item_at(e, 0));
        printf("\", \"arguments\": ");
        value_print(stdout, args);
        printf(", \"result\": ");
        value_print(stdout, mp_item_at(e, 2));
        printf("}\n");
    } else if (mp_item_typeof(e) == MP_ITEM_ARRAY) {
        print_op(rows, mp_item_at(e, 0));
        for (size_t i = 0; i < mp_item_size(args); i++) {
            putchar(' ');
            value_print(stdout, mp_item_at(args, i));
        }
        putchar('\n');
    }
    fflush(stdout);
    mp_tree_free(tree);
}

static int watch(struct ctl *c, char **args, int n)
{
    mp_proxy *p;
    mp_buf b = {0}, names = {0};
    mp_tree *tree = NULL;
    int code = open_object(c, args[0], &p);
    if (code != EXIT_OK)
        return code;
    int64_t t = n > 1 ? mp_call_begin(p, MP_FOREVER, "watch", "s", args[1])
                      : mp_call_begin(p, MP_FOREVER, "watch", "");
    if (ask(c, &names, "methods", mp_proxy_type(p)) == EXIT_OK)
        (void)!mp_tree_new(&tree, names.data, names.size, NULL);
    int r = t < 0 ? (int)t : 1;
    while (r == 1 && !ferror(stdout))
        if ((r = mp_call_next(c->m, t, &b, MP_FOREVER)) == 1)
            print_change(c, mp_item_at(mp_tree_root(tree), 1), &b);
    mp_tree_free(tree);
    mp_buf_free(&names);
    mp_buf_free(&b);
    mp_proxy_free(p);
    return r < 0 ? complain(args[0], mp_strerror(r)) : EXIT_OK;
}

static int monitor(struct ctl *c, char **args, int n)
{
    mp_buf b = {0};
    (void)args;
    (void)n;
    int64_t t = mp_call_begin(mp_manager_self(c->m), MP_FOREVER, "monitor", "");
    int r = t < 0 ? (int)t : 1;
    while (r == 1 && !ferror(stdout)) {
        uint64_t session, object, size;
        const char *name;
        size_t len;
        r = mp_call_next(c->m, t, &b, MP_FOREVER);
        if (r != 1 ||
            mp_unpack(b.data, b.size, "[U s# U U *]", &session, &name, &len, &object, &size) < 0)
            continue;
        printf(c->json ? "{\"session\": %" PRIu64 ", \"method\": \"%.*s\", \"object\": %" PRIu64
                         ", \"bytes\": %" PRIu64 "}\n"
                       : "session=%" PRIu64 " method=%.*s object=%" PRIu64 " bytes=%" PRIu64 "\n",
               session, (int)len, name, object, size);
        fflush(stdout);
    }
    mp_buf_free(&b);
    return r < 0 ? complain("monitor", mp_strerror(r)) : EXIT_OK;
}

const struct command commands[] = {
    {"ping", "", "call the manager, and tell how long the answer took", 0, 0, ping},
    {"list", "[PREFIX]", "the objects that have a name", 0, 1, list},
    {"get", "NAME [KEY]", "an object as a whole, or one key or index of it", 1, 2, get},
    {"set", "NAME [KEY] VALUE", "set a key or index, or the value of a Value", 2, 3, set},
    {"new", "NAME TYPE [VALUE ...]", "make an object, if there is none of that name", 2, 6, make},
    {"call", "NAME METHOD [VALUE ...]", "call any method", 2, 10, call},
    {"delete", "NAME", "take a name away, and the object with it", 1, 1, delete_name},
    {"watch", "NAME [KEY]", "print each change, until interrupted", 1, 2, watch},
    {"clients", "", "who is connected", 0, 0, clients},
    {"locks", "", "the locks that are held, and by whom", 0, 0, locks},
    {"stats", "", "numbers about the manager", 0, 0, stats},
    {"metrics", "", "the same as Prometheus reads them", 0, 0, metrics},
    {"debug", "NAME", "an object as it is inside", 1, 1, debug},
    {"monitor", "", "print each call that is made, until interrupted", 0, 0, monitor},
    {"types", "", "the types of objects", 0, 0, types},
    {"methods", "TYPE", "what can be called", 1, 1, methods},
    {"snapshot", "", "write everything that has a name to disk", 0, 0, snapshot},
    {"reload", "", "have the configuration read again", 0, 0, reload},
    {"shutdown", "[now]", "end the manager; now: without a snapshot", 0, 1, shut_down},
    {NULL, NULL, NULL, 0, 0, NULL},
};
