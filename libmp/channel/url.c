// SPDX-License-Identifier: MIT
#include "channel/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const struct {
    const char *prefix;
    enum mp__transport transport;
} schemes[] = {
    {"ipc://", MP__IPC}, {"tcp://", MP__TCP}, {"tls+tcp://", MP__TLS}, {"ws://", MP__WS}};

static int wrong(char text[MP__TEXT_MAX], const char *what)
{
    snprintf(text, MP__TEXT_MAX, "%s", what);
    return MP_EINVAL;
}

// A directory for sockets that this user's processes find: not one others could write to
// without the sticky bit.
static const char *socket_dir(void)
{
    struct stat st;
    const char *dir = secure_getenv("XDG_RUNTIME_DIR");
    if (dir && dir[0] == '/' && stat(dir, &st) == 0 && st.st_uid == geteuid())
        return dir;
    dir = secure_getenv("TMPDIR");
    return dir && dir[0] == '/' ? dir : "/tmp";
}

static int invent_path(char *path, size_t size)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -1;
    return snprintf(path, size, "%s/mp-%016llx.sock", socket_dir(), (unsigned long long)random);
}

static int read_ipc(struct mp__url *u, const char *path, bool listen, char text[MP__TEXT_MAX])
{
    char cwd[PATH_MAX] = "", whole[PATH_MAX];
    int n;
    if (!*path && !listen)
        return wrong(text, "there is no path in it");
    if (*path && *path != '/' && !getcwd(cwd, sizeof cwd - 1))
        return wrong(text, "its path is relative, and there is no working directory");
    if (*path)
        n = snprintf(whole, sizeof whole, "%s%s%s", cwd, *cwd ? "/" : "", path);
    else
        n = invent_path(whole, sizeof whole);
    struct sockaddr_un sa;
    if (n < 0 || (size_t)n >= sizeof sa.sun_path) {
        snprintf(text, MP__TEXT_MAX,
                 "its path would be %d bytes long, and a socket's may be %zu: use a shorter one", n,
                 sizeof sa.sun_path - 1);
        return MP_EINVAL;
    }
    if (n && whole[n - 1] == '/')
        return wrong(text, "its path ends with a slash: it must name a file");
    u->local = true;
    snprintf(u->text, sizeof u->text, "ipc://%.*s", MP__URL_MAX - 7, whole);
    return 0;
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(host, "localhost") == 0;
}

// The host, out of its brackets. Returns what follows it, or NULL.
static const char *read_host(struct mp__url *u, const char *p, bool *v6)
{
    *v6 = *p == '[';
    const char *end = *v6 ? strchr(p, ']') : strchr(p, ':');
    if (!end)
        return NULL;
    p += *v6;
    if (snprintf(u->host, sizeof u->host, "%.*s", (int)(end - p), p) >= MP__NAME_MAX)
        return NULL;
    return end + *v6;
}

static bool valid_host(const char *host, bool v6)
{
    struct in6_addr a;
    if (v6)
        return inet_pton(AF_INET6, host, &a) == 1;
    for (const char *p = host; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '.' && *p != '-' && *p != '_')
            return false;
    return *host;
}

static int read_port(const char *p, bool listen, const char **rest, char text[MP__TEXT_MAX])
{
    char *end;
    if (*p != ':' || !isdigit((unsigned char)p[1]))
        return wrong(text, "there is no port in it: write host:port");
    errno = 0;
    unsigned long port = strtoul(p + 1, &end, 10);
    if (errno || port > 65535 || (port == 0 && !listen))
        return wrong(text, listen ? "its port is not one of 0 to 65535"
                                  : "its port is not one of 1 to 65535");
    *rest = end;
    return (int)port;
}

static int read_net(struct mp__url *u, const char *scheme, const char *p, bool listen,
                    char text[MP__TEXT_MAX])
{
    bool v6;
    const char *rest = read_host(u, p, &v6);
    if (!rest)
        return wrong(text, "there is no port in it: write host:port");
    if (listen && !v6 && (strcmp(u->host, "*") == 0 || !*u->host))
        snprintf(u->host, sizeof u->host, "0.0.0.0");
    if (!valid_host(u->host, v6))
        return wrong(text, "its host is no name and no address (an IPv6 address needs brackets)");
    int port = read_port(rest, listen, &rest, text);
    if (port < 0)
        return port;
    if (*rest && (u->transport != MP__WS || *rest != '/'))
        return wrong(text, "something follows the port");
    if (u->transport == MP__WS && !*rest)
        rest = "/";
    u->local = is_loopback(u->host);
    int n = snprintf(u->text, sizeof u->text, "%s%s%s%s:%d%s", scheme, v6 ? "[" : "", u->host,
                     v6 ? "]" : "", port, rest);
    return n < MP__URL_MAX ? 0 : wrong(text, "it is too long");
}

int mp__url_read(struct mp__url *u, const char *url, bool listen, char text[MP__TEXT_MAX])
{
    *u = (struct mp__url){.transport = MP__IPC};
    bool file = strncmp(url, "ipc:", 4) == 0;
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f || (*p == ' ' && !file))
            return wrong(text, "there is a blank or a control character in it");
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i].prefix);
        if (strncmp(url, schemes[i].prefix, n) != 0)
            continue;
        u->transport = schemes[i].transport;
        if (u->transport == MP__IPC)
            return read_ipc(u, url + n, listen, text);
        return read_net(u, schemes[i].prefix, url + n, listen, text);
    }
    return wrong(text, "its scheme is not one of ipc://, tcp://, tls+tcp:// and ws://");
}
