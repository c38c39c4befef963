// SPDX-License-Identifier: MIT
//
// One table, many readers: people at a terminal (80 columns), mandoc, and the
// completion of three shells. `mpmap help man` is what the build puts into the man
// page; `mpmap help bash` and so on are what it installs for the shells.
#include "help.h"
#include "options.h"
#include "say.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 79, INDENT = 25 };

static int end(void)
{
    return fflush(stdout) || ferror(stdout) ? EXIT_IO : 0;
}

// ---- for people ---------------------------------------------------------------------------

// The text in lines, after `indent` blanks.
static void print_text(const char *text, int indent)
{
    int column = 0;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (column && column + 1 + n > WIDTH) {
            putchar('\n');
            column = 0;
        }
        column += column ? printf(" %.*s", n, text) : printf("%*s%.*s", indent, "", n, text);
        text += n;
        text += strspn(text, " ");
    }
    putchar('\n');
}

// "-j, --jobs=N"
static int form(char *buf, size_t size, const struct opt *o)
{
    const char *arg = o->arg ? o->arg : "";
    char letter[8] = "    ", joined[64];
    if (o->letter)
        snprintf(letter, sizeof letter, "-%c%s", o->letter, o->name ? ", " : " ");
    if (!o->name)
        return snprintf(buf, size, "%s%s", letter, arg);
    snprintf(joined, sizeof joined,
             *arg == '[' ? "[=%s"
             : *arg      ? "=%s"
                         : "%s",
             *arg == '[' ? arg + 1 : arg);
    return snprintf(buf, size, "%s--%s%s", letter, o->name, joined);
}

static void print_option(const struct opt *o)
{
    char name[96];
    int n = form(name, sizeof name, o);
    if (n > INDENT - 4)
        printf("  %s\n%*s%s\n", name, INDENT, "", o->help);
    else
        printf("  %-*s%s\n", INDENT - 2, name, o->help);
}

static void print_topics(void)
{
    char line[256];
    int at = snprintf(line, sizeof line, "mpmap help TOPIC has more:");
    for (int g = 0; g < OPT_GROUPS; g++)
        at += snprintf(line + at, sizeof line - (size_t)at, " %s", opt_groups[g]->topic);
    print_text(line, 0);
}

int help_screen(void)
{
    printf("usage: mpmap [options] command [argument ...] < items\n"
           "       mpmap [options] command [argument ...] ::: item ... [::: item ...]\n"
           "       mpmap [options] --so LIB:FUNCTION [argument ...] < items\n"
           "Runs the command once for each item, on all CPUs.\n\n");
    for (int g = 0; g < OPT_GROUPS; g++)
        for (int i = 0; i < opt_groups[g]->len; i++)
            if (opt_groups[g]->opts[i].common)
                print_option(&opt_groups[g]->opts[i]);
    printf("\n"
           "{} is the item, {.} without extension, {/} its file name, {//} its directory,\n"
           "{#} the job's number, {%%} its slot; {1} {2} {name} fields or items of a source.\n"
           "Ends with 0, or the number of failed jobs (1 to 100; 101 for more).\n");
    print_topics();
    return end();
}

static void print_also(const char *names)
{
    char text[600], also[400], *save = NULL;
    int at = snprintf(text, sizeof text, "also:");
    snprintf(also, sizeof also, "%s", names);
    for (char *w = strtok_r(also, " ", &save); w; w = strtok_r(NULL, " ", &save))
        at += snprintf(text + at, sizeof text - (size_t)at, " %s%s", w[1] ? "--" : "-", w);
    print_text(text, INDENT);
}

static void print_group(const struct opt_group *g)
{
    printf("%s\n\n", g->title);
    if (g->text) {
        print_text(g->text, 0);
        putchar('\n');
    }
    for (int i = 0; i < g->len; i++) {
        const struct opt *o = &g->opts[i];
        print_option(o);
        if (o->more)
            print_text(o->more, INDENT);
        if (o->also)
            print_also(o->also);
    }
}

// ---- for mandoc ---------------------------------------------------------------------------

// Text on lines of its own; what roff would take for its own is escaped.
static void man_text(const char *s)
{
    if (*s == '.' || *s == '\'')
        fputs("\\&", stdout);
    for (; *s; s++) {
        if (s[0] == '.' && s[1] == ' ' && s[2] >= 'A' && s[2] <= 'Z') {
            fputs(".\n", stdout); // a sentence, a line
            s++;
        } else if (*s == '\\') {
            fputs("\\e", stdout);
        } else if (*s == '-') {
            fputs("\\-", stdout);
        } else if (*s == '`') {
            const char *close = strchr(s + 1, '`');
            if (!close) {
                putchar('`');
                continue;
            }
            printf("\\(oq%.*s\\(cq", (int)(close - s - 1), s + 1);
            s = close;
        } else {
            putchar(*s);
        }
    }
    putchar('\n');
}

static void man_name(const char *name, const char *arg)
{
    bool optional = arg && *arg == '[';
    int n = arg ? (int)strcspn(arg + optional, "]") : 0;
    printf(" Fl %s%s", name[1] ? "-" : "", name);
    if (!arg)
        return;
    if (optional)
        printf(" Ns Oo%s Ar %.*s Oc", name[1] ? " Ns = Ns" : "", n, arg + 1);
    else
        printf("%s Ar %.*s", name[1] ? " Ns = Ns" : "", n, arg);
}

static void man_option(const struct opt *o)
{
    char letter[2] = {o->letter, '\0'};
    printf(".It");
    if (o->letter)
        man_name(letter, o->arg);
    if (o->letter && o->name)
        fputs(" ,", stdout);
    if (o->name)
        man_name(o->name, o->arg);
    putchar('\n');
    char sentence[128];
    snprintf(sentence, sizeof sentence, "%s.", o->help);
    man_text(sentence);
    if (o->more)
        man_text(o->more);
    if (!o->also)
        return;
    fputs("Also:\n", stdout);
    char also[400], *save = NULL;
    snprintf(also, sizeof also, "%s", o->also);
    for (char *w = strtok_r(also, " ", &save); w;) {
        char *next = strtok_r(NULL, " ", &save);
        printf(".Fl %s%s%s\n", w[1] ? "-" : "", w, next ? " ," : " .");
        w = next;
    }
}

static void man(void)
{
    for (int g = 0; g < OPT_GROUPS; g++) {
        printf(".Ss %s\n", opt_groups[g]->title);
        if (opt_groups[g]->text)
            man_text(opt_groups[g]->text);
        if (!opt_groups[g]->len)
            continue;
        printf(".Bl -tag -width Ds\n");
        for (int i = 0; i < opt_groups[g]->len; i++)
            man_option(&opt_groups[g]->opts[i]);
        printf(".El\n");
    }
}

// ---- for shells -----------------------------------------------------------------------------

static bool takes_file(const struct opt *o)
{
    return o->arg && (strstr(o->arg, "FILE") || strstr(o->arg, "LIB") || strstr(o->arg, "DIR"));
}

static void each(void (*print)(const struct opt *))
{
    for (int g = 0; g < OPT_GROUPS; g++)
        for (int i = 0; i < opt_groups[g]->len; i++)
            if (opt_groups[g]->opts[i].kind != OPT_ABSENT)
                print(&opt_groups[g]->opts[i]);
}

static void bash_word(const struct opt *o)
{
    if (o->letter)
        printf(" -%c", o->letter);
    if (o->name)
        printf(" --%s%s", o->name, o->arg && *o->arg != '[' ? "=" : "");
}

static void bash_case(const struct opt *o, bool file)
{
    if (!o->arg || *o->arg == '[' || takes_file(o) != file)
        return;
    if (o->letter)
        printf("|-%c", o->letter);
    if (o->name)
        printf("|--%s", o->name);
}

static void bash_file(const struct opt *o)
{
    bash_case(o, true);
}

static void bash_value(const struct opt *o)
{
    bash_case(o, false);
}

// Options up to the command, then what the command itself completes.
static void bash(void)
{
    printf("# bash completion of mpmap: made by `mpmap help bash`\n"
           "_mpmap() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} i\n"
           "    COMPREPLY=()\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n"
           "        --");
    each(bash_file);
    each(bash_value);
    printf(")\n"
           "            [ \"${COMP_WORDS[i + 1]}\" = = ] && ((i++))\n"
           "            ((i++)) ;;\n"
           "        -*|=) ;;\n"
           "        *) COMPREPLY=($(compgen -f -- \"$cur\"))\n"
           "           return ;;\n"
           "        esac\n"
           "    done\n"
           "    local prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    if [ \"$cur\" = = ]; then cur=; elif [ \"$prev\" = = ]; then "
           "prev=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
           "    case $prev in\n"
           "    --");
    each(bash_file);
    printf(") COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n    --");
    each(bash_value);
    printf(") ;;\n"
           "    *) case $cur in\n"
           "       -*) COMPREPLY=($(compgen -W '");
    each(bash_word);
    printf("' -- \"$cur\"))\n"
           "           [[ ${COMPREPLY[0]} = *= ]] && compopt -o nospace ;;\n"
           "       *) COMPREPLY=($(compgen -c -- \"$cur\")) ;;\n"
           "       esac ;;\n"
           "    esac\n"
           "}\n"
           "complete -F _mpmap mpmap\n");
}

// A text within single quotes; zsh wants [ ] : escaped besides.
static void quoted(const char *text, const char *escaped)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\'", stdout);
        else if (strchr(escaped, *text))
            putchar('\\');
        putchar(*text);
    }
}

static void zsh_spec(const struct opt *o, const char *name)
{
    const char *sign = !o->arg ? "" : name[1] != '-' ? "+" : "=";
    if (o->arg && *o->arg == '[')
        sign = name[1] != '-' ? "-" : "=-";
    printf("    '*%s%s[", name, sign);
    quoted(o->help, "[]:\\");
    printf("]");
    if (o->arg) {
        bool optional = *o->arg == '[';
        printf("%s:%.*s:%s", optional ? ":" : "", (int)strcspn(o->arg + optional, ":]"),
               o->arg + optional, takes_file(o) ? "_files" : "");
    }
    printf("' \\\n");
}

static void zsh_option(const struct opt *o)
{
    char name[64];
    if (o->letter) {
        snprintf(name, sizeof name, "-%c", o->letter);
        zsh_spec(o, name);
    }
    if (o->name) {
        snprintf(name, sizeof name, "--%s", o->name);
        zsh_spec(o, name);
    }
}

static void zsh(void)
{
    printf("#compdef mpmap\n"
           "# zsh completion of mpmap: made by `mpmap help zsh`\n"
           "_arguments -s -S \\\n");
    each(zsh_option);
    printf("    '(-)1:command:_command_names -e' \\\n"
           "    '*::argument:_normal'\n");
}

static void fish_option(const struct opt *o)
{
    printf("complete -c mpmap -n __mpmap_options");
    if (o->letter)
        printf(" -s %c", o->letter);
    if (o->name)
        printf(" -l %s", o->name);
    if (o->arg && *o->arg != '[')
        printf(takes_file(o) ? " -r -F" : " -x");
    printf(" -d '");
    for (const char *s = o->help; *s; s++)
        printf(*s == '\'' || *s == '\\' ? "\\%c" : "%c", *s);
    printf("'\n");
}

// Names after which a word is the option's own.
static void fish_skips(const struct opt *o)
{
    if (!o->arg || *o->arg == '[')
        return;
    if (o->letter)
        printf(" -%c", o->letter);
    if (o->name)
        printf(" --%s", o->name);
}

static void fish(void)
{
    printf("# fish completion of mpmap: made by `mpmap help fish`\n"
           "function __mpmap_options\n"
           "    set -l skip 0\n"
           "    for word in (commandline -opc)[2..-1]\n"
           "        if test $skip = 1\n"
           "            set skip 0\n"
           "            continue\n"
           "        end\n"
           "        switch $word\n"
           "            case");
    each(fish_skips);
    printf("\n"
           "                set skip 1\n"
           "            case '-*'\n"
           "            case '*'\n"
           "                return 1\n"
           "        end\n"
           "    end\n"
           "end\n"
           "complete -c mpmap -n __mpmap_options -a '(__fish_complete_command)'\n");
    each(fish_option);
}

int help_topic(const char *topic)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } texts[] = {{"man", man}, {"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    if (!topic) {
        print_topics();
        return end();
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(topic, texts[i].name)) {
            texts[i].print();
            return end();
        }
    for (int g = 0; g < OPT_GROUPS; g++)
        if (!strcmp(topic, opt_groups[g]->topic)) {
            print_group(opt_groups[g]);
            return end();
        }
    return usage_error("help %s: no such topic: `mpmap help` lists them", topic);
}
