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
if has_terminal; then
    has "no command, at a terminal" "no command" "$(terminal mpmap </dev/null)"
fi
gives "-k and -u" 2 mpmap -k -u echo ::: a
gives "--so and -s" 2 mpmap --so x:y -s ::: a
gives "--dry-run with an argument" 2 mpmap --dry-run=yes echo ::: a
is "options of the command are the command's" "-k -j2 a" "$(mpmap echo -k -j2 ::: a)"
is "-- ends the options" "-k" "$(mpmap -- echo ::: -k)"
gives "--help" 0 mpmap --help
has "--help" "usage: mpmap [options] command" "$out"
gives "--version" 0 mpmap --version
has "--version" "mpmap 0." "$out"

gives "--tmpdir" 74 mpmap --tmpdir /no/such/dir -s 'head -c 3000000 /dev/zero; : {}' ::: 1
has "--tmpdir" "cannot keep it in /no/such/dir" "$err"
gives "--minversion" 0 mpmap --minversion 20100620
gives "--will-cite and the like" 0 mpmap --will-cite --gnu --no-notice -r --silent echo ::: a
gives "--citation" 0 mpmap --citation

# -j is how many run at a time.
most=$(mpmap -j3 -s 'mkdir run.{#}; ls -d run.* | wc -l; sleep 0.1; rmdir run.{#}' ::: 1 2 3 4 5 6 7 8 | sort -n | tail -1)
is "-j3 runs at most three" yes "$([ "$most" -le 3 ] && echo yes)"
is "-j3 runs three" 3 "$(mpmap -j3 -s 'mkdir r.{#}; while [ $(ls -d r.* | wc -l) -lt 3 ]; do sleep 0.01; done; echo x' ::: 1 2 3 | wc -l)"
rm -rf r.*
is "MPMAP_SLOT is below -j" "1${nl}2" "$(seq 50 | MP_CPUS=2 mpmap -s 'echo $MPMAP_SLOT; : {}' | sort -u)"
gives "more jobs than open files" 0 sh -c 'ulimit -n 64; seq 100 | mpmap -j 50 true'
has "more jobs than open files" "only 6 at a time: the limit of open files is 64" "$err"
gives "-j0 with few open files" 0 sh -c 'ulimit -n 64; seq 100 | mpmap -j0 true'

# Help, the man page and the completions come from one table.
is "--help is one screen" yes "$(mpmap --help | awk 'length > 80 || NR > 24 { bad = 1 } END { print bad ? "no" : "yes" }')"
is "-h" "$(mpmap --help)" "$(mpmap -h)"
topics=$(mpmap help | sed 's/^mpmap help TOPIC has more://' | xargs)
has "help: the topics" "input" "$topics"
for topic in $topics; do
    gives "help $topic" 0 mpmap help $topic
    is "help $topic: no wide lines" "" "$(echo "$out" | awk 'length > 88')"
done
gives "help of nothing" 2 mpmap help nonsense
has "help of nothing" "no such topic" "$err"
gives "help, written to a full disk" 74 sh -c 'mpmap --help >/dev/full'
is "a command named help" "x a" "$(printf '#!/bin/sh\necho x $1\n' >help; chmod +x help; PATH=.:$PATH mpmap -- help ::: a)"
man=${MP_BIN:-$(dirname "$(command -v mpmap)")}/../man/man1/mpmap.1
mpmap help man >man.txt
for option in --null --jobs --keep-order --shell --pipe --so; do
    has "$option in the man page" ".It" "$(grep -- "Fl -${option#--}" man.txt)"
done
if [ -e "$man" ]; then
    is "the man page holds them" "$(cat man.txt)" "$(sed -n '/^\.Ss Input/,/^\.Sh REPL/p' "$man" | sed '$d')"
    if command -v mandoc >/dev/null; then
        is "mandoc -Tlint" "" "$(mandoc -Tlint -W warning "$man" 2>&1)"
    fi
fi
for sh in bash zsh fish; do
    mpmap help $sh >completion.$sh
    for option in null jobs keep-order so; do
        has "$sh: $option" "$option" "$(cat completion.$sh)"
    done
    if command -v $sh >/dev/null; then
        gives "$sh reads its completion" 0 $sh -n completion.$sh
    fi
done
if command -v bash >/dev/null; then
    cat >try.sh <<'END'
. ./completion.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_mpmap 2>/dev/null
echo "${COMPREPLY[*]}"
END
    : >file.so
    is "bash: an option" "--keep-order" "$(bash try.sh mpmap --keep-o)"
    is "bash: a file" "file.so" "$(bash try.sh mpmap --so = fil)"
    is "bash: after -j 2" "mpmap" "$(bash try.sh mpmap -j 2 mpma | tr ' ' '\n' | grep -x mpmap | head -1)"
    is "bash: files after the command" "file.so" "$(bash try.sh mpmap -j 2 cat file.s)"
fi
if command -v fish >/dev/null; then
    try() { HOME=$PWD fish -c "source completion.fish; complete -C '$1'" 2>/dev/null; }
    is "fish: an option" "--keep-order" "$(try 'mpmap --keep-o' | cut -f1)"
    is "fish: after -j 2" "--dry-run" "$(try 'mpmap -j 2 --dry' | cut -f1)"
    is "fish: not after the command" "" "$(try 'mpmap -j 2 no-such --dry')"
    rm -rf .local .config .cache
fi
if command -v zsh >/dev/null; then
    mkdir functions
    cp completion.zsh functions/_mpmap
    cat >try.zsh <<'END'
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PS1=; fpath=(functions $fpath); autoload -U compinit; compinit -u -D; echo read''y'
zpty -r z line '*ready*'
zpty -n -w z "$1"$'\t'
zpty -r -m z line "*$2*" && echo "$2"
zpty -d z
END
    is "zsh: an option" "--keep-order" "$(HOME=$PWD timeout 60 zsh -f try.zsh 'mpmap --keep-o' --keep-order)"
    rm -rf functions .zcompdump*
fi
finish
