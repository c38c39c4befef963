#!/bin/sh
# SPDX-License-Identifier: MIT
# The command line.
. "${0%/*}/common.sh"

for jobs in x '' -- 1.5 1x '%' '0%' 100001 99999999999999999999 ' ' +x 1%% +50%; do
    gives "-j '$jobs'" 2 mpmap -j "$jobs" true ::: 1
    has "-j '$jobs'" "not a number of jobs" "$err"
done
for jobs in 1 7 100% 1% 250% +0 +3 -1 -1000 0; do
    gives "-j $jobs" 0 mpmap -j $jobs true ::: 1 2 3
done
is "--jobs=" a "$(mpmap --jobs=2 echo ::: a)"
gives "-j without a number" 2 mpmap -j
gives "an unknown option" 2 mpmap --nonsense true ::: 1
has "an unknown option" "mpmap: unrecognized option '--nonsense'" "$err"
has "an unknown option: the remedy" "mpmap --help" "$err"
gives "an unknown letter" 2 mpmap -Q true ::: 1
gives "no command" 2 mpmap
has "no command" "no command" "$err"
gives "no command, only items" 2 mpmap ::: a
gives "-k and -u" 2 mpmap -k -u echo ::: a
gives "--so and -s" 2 mpmap --so x:y -s ::: a
gives "--dry-run with an argument" 2 mpmap --dry-run=yes echo ::: a
is "options of the command are the command's" "-k -j2 a" "$(mpmap echo -k -j2 ::: a)"
is "-- ends the options" "-k" "$(mpmap -- echo ::: -k)"
gives "--help" 0 mpmap --help
has "--help" "usage: mpmap [options] command" "$out"
gives "--version" 0 mpmap --version
has "--version" "mpmap 0." "$out"

# -j is how many run at a time.
most=$(mpmap -j3 -s 'mkdir run.{#}; ls -d run.* | wc -l; sleep 0.1; rmdir run.{#}' ::: 1 2 3 4 5 6 7 8 | sort -n | tail -1)
is "-j3 runs at most three" yes "$([ "$most" -le 3 ] && echo yes)"
is "-j3 runs three" 3 "$(mpmap -j3 -s 'mkdir r.{#}; while [ $(ls -d r.* | wc -l) -lt 3 ]; do sleep 0.01; done; echo x' ::: 1 2 3 | wc -l)"
rm -rf r.*
is "MPMAP_SLOT is below -j" "1${nl}2" "$(seq 50 | MP_CPUS=2 mpmap -s 'echo $MPMAP_SLOT; : {}' | sort -u)"
gives "more jobs than open files" 0 sh -c 'ulimit -n 64; seq 100 | mpmap -j 50 true'
has "more jobs than open files" "only 6 at a time: the limit of open files is 64" "$err"
gives "-j0 with few open files" 0 sh -c 'ulimit -n 64; seq 100 | mpmap -j0 true'

# The man page has each option of --help, and none else.
man=${MP_SRC:-$(cd "${0%/*}/../.." && pwd)}/docs/man/mpmap.1
mpmap --help | grep -oE -- '--[a-z-]+' | grep -v '^--so$\|^---' | sort -u >help.txt
echo --so >>help.txt
sort -u -o help.txt help.txt
sed -n '/^\.Sh OPTIONS/,/^\.Sh REPLACEMENT/p' "$man" | grep '^\.It' | grep -oE 'Fl -[a-z-]+' |
    sed 's/^Fl -/--/' | sort -u >man.txt
is "options of the man page" "$(cat help.txt)" "$(cat man.txt)"
if command -v mandoc >/dev/null; then
    is "mandoc -Tlint" "" "$(mandoc -Tlint -W warning "$man" 2>&1)"
fi
finish
