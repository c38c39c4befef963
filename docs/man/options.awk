# SPDX-License-Identifier: MIT
#
# Puts the options, as `mpmap help man` prints them, into the page.
#
#   mpmap help man | awk -v page=docs/man/mpmap.1 -f options.awk
BEGIN {
    while ((getline line < page) > 0) {
        if (line ~ /^\.\\" OPTIONS/)
            while ((getline option) > 0)
                print option
        else
            print line
    }
}
