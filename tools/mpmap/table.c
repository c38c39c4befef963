// SPDX-License-Identifier: MIT
//
// Output may be long: it passes in pieces from where it is held to the file.
#include "table.h"
#include "json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *end;
    char separator;
} kinds[] = {{".json", '\0'}, {".jsonl", '\0'}, {".csv", ','}, {".tsv", '\t'}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static int kind_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && i < KINDS; i++)
        if (!strcmp(dot, kinds[i].end))
            return i;
    return -1;
}

bool table_is(const char *name)
{
    return kind_of(name) >= 0;
}

int table_open(struct table *t, const char *name, bool go_on)
{
    bool out = !strncmp(name, "-.", 2);
    *t = (struct table){.file = out ? fdopen(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3), "w")
                                    : fopen(name, go_on ? "ae" : "we"),
                        .name = name,
                        .separator = kinds[kind_of(name)].separator};
    if (!t->file)
        return -errno;
    t->begun = ftell(t->file) > 0;
    return 0;
}

// ---- what jobs wrote ----------------------------------------------------------------------

// How many bytes at the end of the text begin a character that goes on.
static size_t begun(const char *s, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)s[len - back];
        if (c < 0x80)
            return 0;
        if (c >= 0xc0)
            return (c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2) > back ? back : 0;
    }
    return 0;
}

// In double quotes, those in it doubled.
static void csv_text(FILE *f, const char *s, size_t len)
{
    for (; len; s++, len--) {
        if (*s == '"')
            putc('"', f);
        putc(*s, f);
    }
}

static int put_stream(const struct table *t, struct held *h)
{
    enum { PIECE = 64 * 1024 };
    static char piece[PIECE + 4];
    const char *data;
    size_t kept = 0; // of a character
    ssize_t n;
    putc('"', t->file);
    while ((n = held_peek(h, &data)) > 0) {
        size_t len = n < PIECE ? (size_t)n : PIECE;
        memcpy(piece + kept, data, len);
        held_take(h, len);
        len += kept;
        kept = held_is_empty(h) ? 0 : begun(piece, len);
        if (t->separator)
            csv_text(t->file, piece, len - kept);
        else
            json_text(t->file, piece, len - kept);
        memmove(piece, piece + len - kept, kept);
    }
    putc('"', t->file);
    return (int)n;
}

// ---- lines --------------------------------------------------------------------------------

// One with an item that cannot be an argument has none.
static const char *command(const struct job *j)
{
    return j->command ? j->command : "";
}

static int args_len(const struct job *j)
{
    return j->kept ? j->kept->item.args_len : 0;
}

static int put_json(const struct table *t, struct job *j)
{
    static const char *const names[STREAMS] = {"stdout", "stderr"};
    FILE *f = t->file;
    int err = 0;
    fprintf(f, "{\"seq\":%ld,\"start\":%.3f,", j->seq, j->began);
    job_json(f, j);
    fputs(",\"command\":", f);
    json_string(f, command(j), strlen(command(j)));
    fputs(",\"args\":[", f);
    for (int i = 0; i < args_len(j); i++) {
        size_t len;
        const char *arg = item_arg(&j->kept->item, i, &len);
        if (i)
            putc(',', f);
        json_string(f, arg, len);
    }
    putc(']', f);
    for (int i = 0; i < STREAMS; i++) {
        fprintf(f, ",\"%s\":", names[i]);
        int e = put_stream(t, &j->stream[i].held);
        err = err ? err : e;
    }
    fputs("}\n", f);
    return err;
}

static void put_field(const struct table *t, const char *s, size_t len)
{
    bool plain = len > 0;
    for (size_t i = 0; i < len && plain; i++)
        plain = s[i] != t->separator && !strchr("\"\n\r\t ", s[i]);
    if (len && !plain)
        putc('"', t->file);
    csv_text(t->file, s, len);
    if (len && !plain)
        putc('"', t->file);
    putc(t->separator, t->file);
}

static void put_names(struct table *t, int args)
{
    static const char *const names[] = {"Seq",     "Host",    "Starttime", "JobRuntime", "Send",
                                        "Receive", "Exitval", "Signal",    "Command"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        fprintf(t->file, "%s%c", names[i], t->separator);
    for (int i = 1; i <= args; i++)
        fprintf(t->file, "V%d%c", i, t->separator);
    fprintf(t->file, "Stdout%cStderr\n", t->separator);
    t->begun = true;
    t->args = args;
}

static int put_csv(struct table *t, struct job *j)
{
    char sep = t->separator;
    if (!t->begun)
        put_names(t, args_len(j));
    fprintf(t->file, "%ld%c:%c%.3f%c%.3f%c0%c%ld%c%d%c%d%c", j->seq, sep, sep, j->began, sep,
            j->runtime, sep, sep, j->received, sep, j->code < 0 ? 0 : j->code, sep,
            j->code < 0 ? -j->code : 0, sep);
    put_field(t, command(j), strlen(command(j)));
    for (int i = 0; i < args_len(j) || i < t->args; i++) {
        size_t len = 0;
        const char *arg = i < args_len(j) ? item_arg(&j->kept->item, i, &len) : "";
        put_field(t, arg, len);
    }
    int err = put_stream(t, &j->stream[OUT].held);
    putc(sep, t->file);
    int err2 = put_stream(t, &j->stream[ERR].held);
    putc('\n', t->file);
    return err ? err : err2;
}

int table_put(struct table *t, struct job *j)
{
    if (j->tries == 0 && j->code == 0)
        return 0; // it was left out
    int err = t->separator ? put_csv(t, j) : put_json(t, j);
    return fflush(t->file) ? -errno : err;
}

void table_close(struct table *t)
{
    if (t->file)
        fclose(t->file);
}
