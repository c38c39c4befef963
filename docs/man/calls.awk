# SPDX-License-Identifier: MIT
#
# Makes mp_manager_calls.7 from the tables in libmp/wire/calls.h: a row is X(interface, name,
# number, "arguments", "result", "flags", "text"), over several lines.
#
#   awk -v date=... -v version=... -f calls.awk libmp/wire/calls.h

function strings(row, out,    n, part, i) { # the texts in quotes; neighbours are one
    gsub(/" +"/, "", row)
    n = split(row, part, /"/)
    for (i = 2; i <= n; i += 2)
        out[i / 2] = part[i]
    return int((n - 1) / 2)
}
function roff(s) { gsub(/\\/, "\\e", s); gsub(/-/, "\\-", s); return s }
function row_done(row,    head, s, n) {
    head = row
    sub(/".*/, "", head)
    gsub(/[ ()]|X\(/, "", head)
    sub(/^X/, "", head)
    split(head, field, /,/)
    n = strings(row, s)
    if (table == "TYPES")
        rows[table] = rows[table] sprintf(".TP\n.B %s\n%s(interface %s)\n%s.\n", roff(field[1]),
            s[1] == "" ? "" : roff(s[1]) " ", field[2], roff(s[2]))
    else
        rows[table] = rows[table] sprintf(".TP\n.BR \"%s\" \" (%s) \\(-> %s\"\n%s%s.\n",
            roff(field[2]), roff(s[1]), roff(s[2]), s[3] == "" ? "" : "[" s[3] "] ", roff(s[4]))
}
/^#define MP__TYPES\(X\)/ { table = "TYPES"; names[++n] = table; next }
/^#define MP__CALLS_[A-Z]+\(X\)/ {
    table = $2
    sub(/^MP__CALLS_/, "", table)
    sub(/\(.*/, "", table)
    names[++n] = table
    next
}
table && /^ / {
    line = $0
    sub(/ *\\$/, "", line)
    sub(/^ +/, "", line)
    row = row " " line
    if (row ~ /"\)$/) {
        row_done(row)
        row = ""
    }
}
table && !/\\$/ { table = "" }
END {
    printf ".TH mp_manager_calls 7 \"%s\" \"libmp %s\" \"Miscellaneous\"\n", date, version
    print ".SH NAME\nmp_manager_calls \\- what can be asked of a manager"
    print ".SH DESCRIPTION"
    print "Types, by the name that create takes, with its other arguments; then the calls of each"
    print "interface: name, arguments, result. Letters stand for:"
    print "k key (text, bytes or integer), v any value, i integer, u integer >= 0, t truth value,"
    print "s text, d number, a array, m map, o object, n nil;"
    print "| what follows may be left out or nil, * any number of the next;"
    print "a result in brackets is an array."
    print "Flags: R reads, W changes the object, B may wait, K the first argument is the key that"
    print "is changed, S the server does it, A for local clients of the manager's user only,"
    print "P in the log only."
    for (i = 1; i <= n; i++)
        printf ".SH %s\n%s", names[i], rows[names[i]]
    print ".SH SEE ALSO\n.BR mp_errors (7), mpmanager (8), mpctl (1)"
}
