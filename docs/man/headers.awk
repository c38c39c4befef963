# SPDX-License-Identifier: MIT
#
# Makes a man page of section 3 from a public header, which is written to be read as
# one: the comment on top is the DESCRIPTION, each comment before a declaration
# describes it. So page and header cannot disagree.
#
#   awk -v name=mp_pipe -v date=... -v version=... [-v links=DIR] -f headers.awk FILE.h
#
# With links, each function gets a page of its own name that refers to this one. A comment
# that begins with "Inside:" ends the page; what follows it is for readers of the header.

function escape(s) {
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    if (s ~ /^[.']/)
        s = "\\\&" s
    return s
}

# A comment's text: paragraphs are filled, indented parts and lists stay as they are.
function prose(text, lines, n, i, raw) {
    n = split(text, lines, "\n")
    raw = 0
    for (i = 1; i <= n; i++) {
        if (lines[i] == "") {
            if (raw)
                print ".fi"
            raw = 0
            if (i > 1)
                print ".PP"
        } else if (lines[i] ~ /^ /) {
            if (!raw)
                print ".nf"
            raw = 1
            print escape(lines[i])
        } else {
            if (raw)
                print ".fi"
            raw = 0
            print escape(lines[i])
        }
    }
    if (raw)
        print ".fi"
}

function escape_lines(text, lines, n, i, out) {
    n = split(text, lines, "\n")
    for (i = 1; i <= n; i++)
        out = out (i > 1 ? "\n" : "") escape(lines[i])
    return out
}

# Functions and types come out in their order, each with its words.
function flush_declaration() {
    if (declaration == "")
        return
    gsub(/MP_API |MP_NODISCARD /, "", declaration)
    decls[++count] = declaration
    texts[count] = comment
    declaration = comment = ""
}

# Each function of a declaration gets a page that refers to this one.
function link_functions(text, fn) {
    if (links == "" || text ~ /^(#define [A-Z]|typedef|enum)/)
        return
    while (match(text, /mp_[a-z_]+\(/)) {
        fn = substr(text, RSTART, RLENGTH - 1)
        if (fn != name) {
            printf ".so man3/%s.3\n", name > (links "/" fn ".3")
            close(links "/" fn ".3")
        }
        text = substr(text, RSTART + RLENGTH)
    }
}

/^\/\/ Inside:/ { flush_declaration(); inside = 1 }
inside || /^\/\/ SPDX/ { next }
/^#if|^#endif|^#include|^#ifdef|^extern "C"|^}$/ && !depth { if (top == 0 && comment != "") { essay = comment; comment = ""; top = 1 } next }
/^#define MP_[A-Z_]+_H$/ { next }
/^\/\// {
    line = $0
    sub(/^\/\/ ?/, "", line)
    if (gap && comment != "" && declaration == "" && top == 1) comment = ""
    comment = comment (comment == "" ? "" : "\n") line
    gap = 0
    next
}
/^$/ {
    if (declaration != "" && !depth)
        flush_declaration()
    else if (top == 0 && comment != "") {
        essay = comment
        comment = ""
        top = 1
    }
    gap = 1
    next
}
{
    gap = 0
    declaration = declaration (declaration == "" ? "" : "\n") $0
    line = $0
    depth += gsub(/{/, "{", line) - gsub(/}/, "}", line)
}

END {
    flush_declaration()
    first = essay
    sub(/^\n+/, "", essay)
    sub(/\n.*/, "", first)
    summary = essay
    gsub(/\n/, " ", summary)
    sub(/[.:].*/, "", summary)
    header = FILENAME
    sub(/.*include\//, "", header)
    printf ".TH %s 3 \"%s\" \"libmp %s\" \"Library calls\"\n", name, date, version
    printf ".SH NAME\n%s \\- %s\n", name, escape(tolower(substr(summary, 1, 1)) substr(summary, 2))
    printf ".SH SYNOPSIS\n.nf\n.B #include <%s>\n.fi\n", header
    print ".SH DESCRIPTION"
    sub(/^\n+/, "", essay)
    prose(essay)
    print ".SH INTERFACE"
    for (i = 1; i <= count; i++) {
        link_functions(decls[i])
        print (i > 1 ? ".PP\n" : "") ".nf\n.ft B"
        print escape_lines(decls[i])
        print ".ft R\n.fi"
        if (texts[i] != "") {
            print ".RS 4"
            prose(texts[i])
            print ".RE"
        }
    }
    print ".SH SEE ALSO\n.BR mp_errors (7),\n.BR mpmap (1)"
}
