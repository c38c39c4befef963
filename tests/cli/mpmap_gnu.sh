#!/bin/sh
# SPDX-License-Identifier: MIT
# The same cases with GNU parallel and mpmap under its name, and with xargs and mpmap:
# the same output and status, but for the differences that are meant, listed at the end.
. "${0%/*}/common.sh"

gnu=
for p in parallel parallel.gnu; do
    if "$p" --version 2>/dev/null </dev/null | grep -q '^GNU parallel'; then
        gnu=$(command -v "$p")
        break
    fi
done
mkdir name home
ln -s "$(command -v mpmap)" name/parallel
ours=$PWD/name/parallel
HOME=$PWD/home # GNU parallel writes to it
SHELL=/bin/sh
PARALLEL_SHELL=/bin/sh
export HOME SHELL PARALLEL_SHELL

printf '%s\n' a 'b c' d.e.f g/h.i >items
printf '1\tx\n2\ty z\n' >columns
printf 'name,age\njoe,3\n"a ""b"", c",4\n' >people.csv
seq 10 >ten
seq 20000 >many
seq 100 >hundred
printf '>a\nAC\n>b\nTT\n' >fasta

# A case is a line of shell in which P is the program.
cat >cases <<'END_OF_CASES'
P -k echo <items
+ P -k echo {} {.} {/} {//} {/.} {#} <items
P -k echo x{}y <items
P -k 'echo {} | tr a-z A-Z' <items
+ P -k echo ::: a 'b  c' "it's" '$HOME' '*' '`id`' '"' '\' '&' ';' '|' '<' '>' '#' '~' '!' '(' 'a=b'
P -k echo {} ::: '{}' '{.}' '{#}'
P -k 'echo {}; echo {}' ::: 'a b' '$(echo x)'
P -k 'for i in 1 2; do echo $i {}; done' ::: a b
+ P -k 'echo $(({} * 2))' ::: 1 2 3
P -k 'test {} -gt 1 && echo big {}' ::: 1 2 3
P -k echo ::: a b ::: 1 2
P -k echo {2} {1} ::: a b ::: 1 2
+ P -k echo {2}-{1} {2}{1} ::: a b ::: 1 2
P -k echo :::: items ::: 1 2
P -k echo ::: a b c :::+ 1 2
+ P -k echo ::: a b c :::+ 1 2 3 ::: x y
P -k echo :::: ten ::::+ many
P -k --link echo ::: a b c ::: 1 2
P -k --xapply echo {1}-{2} ::: a b c ::: 1 2
P -k -a items echo
P -k -a items -a ten echo
P -k --colsep '\t' echo {2} {1} <columns
P -k --colsep '\t' echo <columns
P -k -C ' ' echo {1}:{2} <items
+ P -k --header : --colsep , echo {name} is {age} <people.csv
P -k --header : echo {f1} {f2} ::: f1 a b ::: f2 1 2
P -k echo {1.} {2/} {-1} ::: a.b ::: c/d
P -k -n2 echo <ten
+ P -k -N3 echo {3} {1} <ten
P -k -n3 echo a{}b <ten
P -k -N0 echo x <ten
P -k -L3 echo <ten
P -j1 -k -X echo <ten
P -j2 -k -X echo <ten
+ P -j4 -k -m echo <ten
P -j1 -k -X echo a{}b <ten
+ P -j3 -k -X echo a{}b c{}d <ten
P -j1 -k -X -s 60 echo <hundred
P -k -0 echo <items
P -k -d , echo <people.csv
printf 'a\0b\0c d\0' | P -k -0 echo
P -k -I ,, echo ,, ,,x <items
P -k --trim lr echo '[{}]' ::: ' a ' 'b '
P -k -E d.e.f echo <items
P -k --arg-sep ,, echo ,, a b
P -k --arg-file-sep ,, echo ,, items
P -k --skip-first-line echo <items
P -k -q printf '%s|\n' <items
+ P -k <cmds
P -k ::: 'echo a' 'echo b; echo c'
P -k --will-cite --gnu --no-notice echo ::: a
P -k echo </dev/null
P -r echo </dev/null
+ printf '1\n\n  \n2\n' | P -k -r echo
P -k -r echo ::: '' a ' '
+ P -j1 --halt soon,fail=25% 'echo {}; exit {}' ::: 0 1 0 0 2 0 3 0
P -j1 --halt now,fail=30% false ::: 1 2 3 4 5 6 7
P -j1 --halt now,success=2 'echo {}; exit {}' ::: 5 0 6 0 7
P -j1 --halt soon,done=40% 'echo {}; exit {}' ::: 5 0 6 0 7
P -j1 --halt soon,fail=2 'echo {}; exit {}' ::: 5 0 6 0 7
printf '\n' | P echo x
printf 'a\n\nb' | P -k echo x
printf 'a\r\n' | P echo
+ P -k --dry-run echo ::: a "b c"
P --pipe cat <many
P --pipe -k wc <many
P --pipe -k --block 10k cat <many
+ P --pipe -N3 -k 'echo $(cat)' <ten
P --pipe --recstart '>' -N1 -k 'echo $(cat)' <fasta
P --pipe --recend '\n' -N4 -k 'echo $(cat)' <ten
P --pipe --header : -N3 -k 'echo $(cat)' <ten
P --pipe --remove-rec-sep -N2 --recend 3 -k cat <ten
+ P -j3 -k --xargs echo <ten
+ P -k --pipe -L2 'echo $(cat)' <ten
P -k --pipe -L2 -N2 'echo $(cat)' <ten
P -k --pipe -L5 --tag cat <ten
P -j3 -k --xargs -n 4 echo <ten
P -j2 -k --process-slot-var=SLOT 'echo $SLOT; sleep 0.5' ::: 1 2
P -j1 -k --workdir name 'basename "$PWD"; echo {}' ::: 1 2
P -k --no-keep-order -k echo ::: 1 2
P -v --silent -k echo ::: 1 2 2>&1
P --total-jobs 2 -k echo ::: 1 2
+ P --pipe --regexp --recend '[0-9]+\n' -N2 -k 'echo $(cat)' <ten
P --pipe --regexp --recstart '[>1]' -N1 -k 'echo $(cat)' <fasta
P --pipe --regexp --recend '\n' --recstart '>|1' -N1 -k 'echo $(cat)' <fasta
+ P --pipe --regexp --recend '\n' --recstart '>|1' --rrs -N1 -k 'echo $(cat)' <fasta
P --pipe --regexp --recend '0\n' --block 10k -k cat <many
+ P --pipe -k --recend '' --block 10k cksum <many
P --pipepart -a many --block 10k -k cat
P --pipepart -a fasta --recstart '>' --block 1 -k 'echo $(cat)'
P --pipe -j2 --round-robin --block 1k wc -l <many | awk '{ n += $1 } END { print n, NR }'
P false ::: 1 2 3
+ P 'exit {}' ::: 0 1 2
P exit ::: 0 3
+ P 'kill -9 $$' ::: 1 2>/dev/null
P -k 'echo out; echo err >&2; exit 1' ::: 1
P true ::: 1
P no-such-command-here ::: 1 2>/dev/null
P -j1 'echo $PARALLEL_SEQ' ::: a b
P -j1 'echo {%}' ::: a b
P -u -j1 echo ::: a b
P -j200% -k echo ::: a b
P -j+0 -k echo ::: a b
P -P2 -k echo ::: a b
P -k 'echo one; echo {}' ::: a b
P -k 'echo {} # comment' ::: a
P -k echo '日本 {.}' ::: 'é.ü' 'ファイル.txt'
P -k 'echo "a  b" {}' ::: x
P -k "printf '%s\\n' {} '{'" ::: 'x y'
P -k 'cat {} | wc -l' ::: items ten
+ P -k 'wc -l <{}' ::: items ten
P -k 'echo {}>out.{#}; cat out.{#}' ::: a b
P -k 'if [ {} = a ]; then echo yes; else echo no; fi' ::: a b
P -k 'x={}; echo "$x"' ::: 'a  b'
P -k 'echo {1} {2}; echo {2}' ::: 'a b' ::: c
P -k 'echo {} | sed s/a/b/' ::: aaa
P -k "awk '{print \$1}' {}" ::: items
P -k 'echo $(echo {})' ::: 'a b'
P -k 'f() { echo "<$1>"; }; f {}' ::: 'a b'
P -k -X 'echo {} ; echo x{}' ::: a b c
P -k -j1 -m echo a{}b ::: 1 2 3
P -k -N2 'echo {1} and {2}' ::: a b c d
P -k -n2 'echo {} {}' ::: a b c d
P -k echo {1} {2} {3} :::: ten :::+ a b c ::: x
P -k --colsep , --header : 'echo {name}: {age}' <people.csv
P -k -I@ 'echo @ {}' ::: a
P -k 'echo {//} {/.} {.}' ::: /a/b.c d ./e.f/g
P -k -d '\n' echo <items
P -k -d 'b' echo ::: x <items
P -k -0 -n1 echo <items
printf 'a b\nc d\n' | P -k --colsep ' ' 'echo {2}{1} {}'
printf '%s\n' "it's" '"q"' '$x' '\\' | P -k echo
P -k 'exit 255' ::: 1
P -k true ::: 1 2 3
P --pipe -k --block 30k --recend ',' wc -c <many
P --pipe -k -N1000 wc -l <many
P --pipe -k --recstart 1 --recend '\n' --block 1k cat <many
P --pipe 'cat >/dev/null; echo {#}' <ten
P --pipe -k --header 2 -N4 'echo $(cat)' <ten
+ { printf '%%a\n%%b\n'; cat ten; } | P --pipe -k --header '(%.*\n)*' -N4 'echo $(cat)'
P --pipe -k --header '1\n2\n' -N4 'echo $(cat)' <ten
+ P -k echo {1} - {2} ::::+ ten items
P -k echo {1} {2} {3} ::::+ ten items :::: people.csv
+ P --results res 'echo {}; echo err >&2; exit 3' ::: a b ::: c; cat res/1/a/2/c/stdout res/1/b/2/c/stderr
P --header : --results named echo {x} {y} ::: x a b ::: y c; cat named/x/a/y/c/stdout
P -k --results -.csv 'echo {}' ::: a b | cut -d, -f1,7-
+ P -k --tagstring '\033[31m' echo ::: a
P -k --compress echo ::: a
+ P -k --bnr ,, --er .. --dnr @@ --bner %% --seqreplace == echo ,, .. @@ %% == x..y ::: a/b.c d/e.f
P -k --er ,, echo {.} {/} ,, ::: a/b.c
P -t echo ::: 'ab' 2>&1
find . -name 'ten' | P -q0 perl -e 'print @ARGV' x
seq -w 0 99 | P touch pict{}.jpg; ls pict* | wc -l; rm pict*
seq -w 0 99 | P -X touch pict{}.jpg; ls pict* | wc -l; rm pict*
+ P -k 'a={}; name=${a##*/}; upper=$(echo "$name" | tr "[:lower:]" "[:upper:]");' 'echo "$name - $upper"' <items
P -k 'if [ ! -e {} ] ; then echo {}; fi' <items
P -k [ -f {1}:{2} ] "||" echo {1}:{2} does not exist ::: 00 01 ::: 00 05
P -k -q echo 'http://x/?A=B&C=D E' -O {1}_{2}.jpg ::: 0 1 ::: 0 1
P -k eval echo line{}.jpg {}_a.jpg ::: 0 1 2
P --header : echo x{X}y{Y} \> x{X}y{Y} ::: X 1 2 ::: Y 01 02; cat x1y01; rm x?y0?
P -k --tag 'diff {1} {2} | wc -l' ::: ten items ::: ten items
P --pipe-part -a many --block 1k grep -F -f - -n ten | sort -un
P -k -j150% -n 1000 -m grep -H -n a {} ::: items people.csv
P -k -N2 echo cp {1} {2} <ten
P -k -j1 -X echo -zR -Ha ./{} fooserver:/dest-dir/ <ten
P -k echo fooserver:src/*{}.png destdir/ ::: 1 2
cat many | P --pipe -k --block 10k sh -c '"wc -l"'
END_OF_CASES
printf 'echo 1\necho 2; echo 3\n' >cmds

run() { # PROGRAM CASE
    P() { $program "$@"; }
    program=$1
    (eval "$2") 2>err.txt
    echo "status $?"
}

# It is slow to start: the cases with a + are run, all with MP_TEST_LONG=1. They are about
# behaviour: once, without sanitizers, is enough.
if [ -n "$gnu" ] && ! sanitized; then
    "$gnu" --will-cite true ::: 1 >/dev/null 2>&1
    while IFS= read -r case; do
        case $case in
        '+ '*) case=${case#+ } ;;
        *) [ -n "${MP_TEST_LONG:-}" ] || continue ;;
        esac
        run "$gnu" "$case" >want.txt
        run "$ours" "$case" >got.txt
        cmp -s want.txt got.txt || is "as GNU parallel: $case" "$(cat want.txt)" "$(cat got.txt)"
    done <cases
else
    echo "not compared with GNU parallel: it is not installed, or this is a sanitizer's build"
fi

# The differences: that ours is as it says, whatever GNU parallel does.
is "in double quotes" "a b" "$("$ours" -k 'echo "{}"' ::: 'a b')"
is "in single quotes" "a b" "$("$ours" -k "echo '{}'" ::: 'a b')"
is "-X repeats a word of the shell" "a b${nl}xa xb" "$("$ours" -j1 -X 'echo {}; echo x{}' ::: a b)"
is "-i as xargs has it" "a" "$("$ours" -i echo {} ::: a)"
is "arithmetic runs no code" "" "$("$ours" 'echo $(({}))' ::: 'a[$(touch pwned)]' 2>/dev/null; ls | grep pwned)"
gives "a here-document is refused" 2 "$ours" "cat <<E
{}
E" ::: a
if command -v bash >/dev/null; then
    is "exported functions" "<a b>" "$(PARALLEL_SHELL=$(command -v bash) OURS=$ours bash -c \
        'f() { echo "<$1>"; }; export -f f; "$OURS" f ::: "a b"')"
fi
# Every option of GNU parallel 20221122 is taken, or refused by its name with a remedy.
for option in $(cat <<'END_OF_OPTIONS'
--arg-file --arg-file-sep --arg-sep --bar --basefile --basenameextensionreplace
--basenamereplace --bf --bg --bin --block --block-size --block-timeout --bner --bnr --bt --cat
--cf --cleanup --color --color-failed --colsep --compress --compress-program --controlmaster
--csv --ctag --ctagstring --decompress-program --delay --delimiter --dirnamereplace --dnr
--dry-run --embed --env --eof --er --eta --exit --extensionreplace --fg --fifo --files --filter
--filter-hosts --gnu --group --group-by --halt --halt-on-error --hashbang --header --help --hgrp
--hostgroups --id --interactive --jl --joblog --jobs --keep-order --latest-line --lb --limit
--line-buffer --link --ll --load --max-args --max-chars --max-line-length-allowed --max-lines
--max-procs --max-replace-args --memfree --memsuspend --minversion --nice --no-keep-order
--no-run-if-empty --nonall --nonotice --noswap --null --number-of-cores --number-of-cpus
--number-of-sockets --number-of-threads --onall --open-tty --output-as-files --outputasfiles
--parens --pipe --pipe-part --plain --plus --process-slot-var --profile --progress --quote
--recend --record-env --recstart --regexp --remove-rec-sep --removerecsep --replace --res
--results --resume --resume-failed --retries --retry-failed --return --round --round-robin --rpl
--rrs --rsync-opts --semaphore --semaphore-name --semaphore-timeout --semaphorename --seqreplace
--session --shard --shebang --shebang-wrap --shell-completion --shell-quote --shellquote
--show-limits --shuf --silent --skip-first-line --slf --slotreplace --spreadstdin --sql
--sql-and-worker --sql-master --sql-worker --sqlmaster --ssh --ssh-delay --sshlogin
--sshloginfile --st --tag --tagstring --tee --template --term-seq --tf --timeout --tmpdir --tmpl
--tmux --tmuxpane --total --total-jobs --transfer --transferfile --trc --trim --tty --ungroup
--use-cores-instead-of-threads --use-cpus-instead-of-cores --use-sockets-instead-of-threads
--verbose --version --wait --wd --workdir --xapply --xargs -0 -C -E -I -J -L -M -N -P -S -V -X
-a -d -e -h -i -j -k -l -m -n -o -p -q -r -s -t -u -v -x
END_OF_OPTIONS
); do
    "$ours" $option 1 true ::: >out.txt 2>err.txt </dev/null
    is "$option is known" "" "$(grep 'unrecognized\|invalid option\|ambiguous' err.txt)"
done
rm -rf 1
for option in $("$ours" --help >/dev/null; mpmap help absent | grep -o -- '--[a-z-]*' | sort -u); do
    case $option in
    --results | --dry-run | --pressure | --memfree | --load | --latest-line | --regexp | --recstart | --joblog) continue ;;
    esac
    gives "$option is not there" 2 "$ours" $option 1 touch ::: ran
    has "$option is not there" "is not there: " "$err"
done
is "nothing was run" "" "$(ls | grep -x ran)"
gives "{= =} is not there" 2 "$ours" echo '{= s/a/b/ =}' ::: a
has "{= =} is not there" "no Perl" "$err"
gives "-S is not there" 2 "$ours" -S host echo ::: a
gives "--plus is not there" 2 "$ours" --plus echo {..} ::: a.b.c
has "--plus is not there" "mpmap: --plus is not there: {:}, {^suffix} and {s/a/b/}" "$err"
is "--number-of-cpus" "$(MP_CPUS=7 mpmap -s 'echo 7; : {}' ::: 1)" "$(MP_CPUS=7 "$ours" --number-of-cpus)"

# xargs: the same for items without quotes and blanks; its quoting is not ours.
if command -v xargs >/dev/null; then
    while IFS= read -r case; do
        run xargs "$case" >want.txt
        run "mpmap -k" "$case" >got.txt
        cmp -s want.txt got.txt || is "as xargs: $case" "$(cat want.txt)" "$(cat got.txt)"
    done <<'END_OF_CASES'
P -n1 echo <ten
P -n3 echo <ten
P -I % echo x%y % <ten
P -L1 echo <ten
P -0 -n1 echo <many | cksum
printf 'a b\0c\0' | P -0 -n1 echo
P -d, -n1 echo <people.csv | grep -c .
P -E 5 -n1 echo <ten
P -r -n1 echo </dev/null
P -P1 -n1 -a ten echo
END_OF_CASES
fi
finish
