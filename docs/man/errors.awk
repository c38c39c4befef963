# SPDX-License-Identifier: MIT
#
# Makes mp_errors.7 from the table in include/mp/error.h.
#
#   awk -v date=... -v version=... -f errors.awk include/mp/error.h

BEGIN {
    means["MISUSE"] = "The call is wrong: mend the program"
    means["OVER"] = "It is over: closed, end of data, timed out, cancelled"
    means["PEER"] = "The other process died or broke off"
    means["REMOTE"] = "The function you ran elsewhere failed"
    means["BUG"] = "A state that libmp rules out: please report it"
}
/^#define MP_ERROR_TABLE/ { inside = 1; next }
inside && /X\(MP_E/ {
    row = $0
    if (row !~ /"/) { # the text is on the next line
        sub(/[ ]*\\$/, "", row)
        getline
        sub(/^[ ]*/, "")
        row = row " " $0
    }
    sub(/^[ ]*X\(/, "", row)
    split(row, field, /, */)
    text = row
    sub(/^[^"]*"/, "", text)
    sub(/".*/, "", text)
    if (!(field[3] in rows))
        kinds[++n] = field[3]
    rows[field[3]] = rows[field[3]] sprintf(".TP\n.B %s\n(%s) %s\n", field[1], field[2], text)
}
inside && !/\\$/ { inside = 0 }
END {
    printf ".TH mp_errors 7 \"%s\" \"libmp %s\" \"Miscellaneous\"\n", date, version
    print ".SH NAME\nmp_errors \\- errors of libmp, by kind"
    print ".SH DESCRIPTION"
    print "A call that fails returns a negative number: \\-errno for an error of the operating"
    print "system, or one of those below. mp_err_kind() tells the kind, which is what to act on."
    for (i = 1; i <= n; i++) {
        k = kinds[i]
        gsub(/-/, "\\-", rows[k])
        printf ".SH %s\n%s (MP_KIND_%s).\n%s", k, means[k], k, rows[k]
    }
    print ".SH SEE ALSO\n.BR mp_error (3)"
}
