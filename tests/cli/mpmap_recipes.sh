#!/bin/sh
# SPDX-License-Identifier: MIT
# The recipes of the man page, taken out of it and run as they stand, each in a folder of its
# own. Programs that are not everywhere have stand-ins: what matters is what mpmap gives them.
. "${0%/*}/common.sh"

page=${MP_SRC:-${0%/*}/../..}/docs/man/mpmap.1
[ -e "$page" ] || {
    echo "skipped: no man page at $page: set MP_SRC"
    exit 77
}
lib=$(cd "$(dirname "$(command -v mpmap)")/../lib" && pwd)

# A line each: what it is for, a tab, the command without what is roff's.
awk '/^\.Sh EXAMPLES/ { in_it = 1; next }
     /^\.Sh/ { in_it = 0 }
     in_it && /^\.Dl / { print title "\t" substr($0, 5); next }
     in_it && !/^\./ { title = $0; sub(/:$/, "", title) }' "$page" |
    sed "s/\\\\(aq/'/g; s/\\\\(ha/^/g; s/\\\\(ti/~/g; s/\\\\(dq/\"/g; s/\\\\&//g; s/\\\\e/\\\\/g" >recipes
top=$PWD

mkdir "$top/bin"
PATH=$top/bin:$PATH
HOME=$top/home
export HOME
stand_in() { # NAME SCRIPT
    printf '#!/bin/sh\n%s\n' "$2" >"$1"
    chmod +x "$1"
}
stand_in bin/convert 'cp "$1" "$2"'
stand_in bin/curl 'test "$1" = -o && echo "from $3" >"$2"'
stand_in bin/wget 'test "$1" = -q && echo "$2" >"${2##*/}"'
stand_in bin/csvgrep 'test "$*" = "-c age -r ^1" && awk -F, "NR == 1 || \$2 ~ /^1/"'

# begin TITLE: a new folder for the recipe of this name. run: the recipe, as a user's shell has it.
begin() {
    title=$1
    command=$(awk -F "$tab" -v title="$title" '$1 == title { print substr($0, length(title) + 2) }' "$top/recipes")
    has "$title: is in the man page" "${2:-mpmap}" "$command"
    echo "$title" >>"$top/shown"
    mkdir "$top/work"
    cd "$top/work" || exit
}
run() {
    out=$(sh -c "$command" 2>"$top/err.txt")
    is "$title: status" 0 $?
    is "$title: says nothing" "" "$(cat "$top/err.txt")"
}
end() {
    cd "$top" || exit
    rm -r work
}

begin "Compress all logs, one on each CPU"
mkdir sub
echo a >a.log
echo b >"sub/b c.log"
echo c >c.txt
run
is "$title" "./a.log.gz ./c.txt ./sub/b c.log.gz" "$(find . -type f | sort | xargs -d '\n')"
is "$title: what is in it" "b" "$(gunzip <"sub/b c.log.gz")"
end

begin "Convert, with the new name made of the old one"
mkdir thumbs
echo a >a.png
echo b >"b c.png"
run
is "$title" "a b" "$(cat thumbs/a.jpg "thumbs/b c.jpg" | xargs)"
end

sums() {
    for i in 1 2 3 4 5 6 7 8 9; do
        echo $i >$i
    done
    echo n >"a${nl}b"
}
begin "Checksums in the order of the files"
sums
run
is "$title" "$(find . -type f -exec sha256sum {} \;)" "$out"
end
begin "The same with as few processes as the system allows"
sums
run
is "$title" "$(find . -type f -exec sha256sum {} +)" "$out"
end

begin "A pipeline for each item"
printf 'error\nfine\nerror\n' | gzip >a.gz
echo error | gzip >"b c.gz"
run
is "$title" "2 1" "$(cat a.count "b c.count" | xargs)"
end

begin "See what would be run"
touch a.txt "b c.txt"
run
is "$title" "mv a.txt a.bak${nl}mv 'b c.txt' 'b c.bak'" "$out"
is "$title: nothing was" "a.txt b c.txt" "$(echo *)"
end

begin "All combinations of parameters"
stand_in simulate 'echo "$*"'
run
is "$title" "$(for n in 10 100 1000; do for s in 1 2 3; do echo "--size $n --seed $s"; done; done | sort)" \
    "$(echo "$out" | sort)"
end

begin "Two lists side by side"
printf 'a\nb c\n' >from.txt
printf 'A\nB C\n' >to.txt
echo 1 >a
echo 2 >"b c"
run
is "$title" "1 2" "$(cat A "B C" | xargs)"
end

begin "Rename by a regular expression"
touch IMG_1.jpg IMG_22.jpg IMG_x.jpg photo-22.jpg
run
is "$title" "IMG_22.jpg IMG_x.jpg photo-1.jpg photo-22.jpg" "$(echo *)"
end

begin "A table with names of columns"
printf 'name,amount,email\nJoe,3,joe@x\n"A ""B"", C",4.50,a b@y\n' >people.csv
stand_in invoice 'printf "%s|" "$@"; echo'
run
is "$title" "--to|a b@y|--sum|4.50|${nl}--to|joe@x|--sum|3|" "$(echo "$out" | sort)"
end

begin "Columns that are separated by tabs"
printf 'http://x/1\ta\nhttp://x/2\tb c\n' >list.tsv
run
is "$title" "from http://x/1${nl}from http://x/2" "$(cat a "b c")"
end

begin "JSON lines"
echo '{"id":7,"links":{"self":"http://x/7"}}' >items.jsonl
run
is "$title" "from http://x/7" "$(cat 7.json)"
end

begin "Run the lines of a file, commands of their own"
printf 'echo a >a\necho b | tr b B >b\n' >commands.txt
run
is "$title" "a B" "$(cat a b | xargs)"
end

begin "Ten at a time, each waiting for the network"
seq -f 'http://x/%g' 30 >urls.txt
run
is "$title" "$(cat urls.txt)" "$(ls | grep -v txt | sort -n | xargs cat)"
end

begin "Three arguments a job"
run
is "$title" "1 2 3${nl}4 5 6${nl}7 8 9" "$out"
end

begin "Count words of a large file on all CPUs"
seq 300000 | sed 's/$/ word/' >big.txt
run
is "$title" 600000 "$out"
end

begin "Compress a stream on all CPUs (gunzip reads the pieces as one)"
mkdir dir
seq 100000 >dir/a
echo b >dir/b
run
mkdir got
gunzip <dir.tar.gz | tar xC got
is "$title" "" "$(diff -r dir got/dir)"
end

begin "Filter a table, its first line given to each job"
{
    echo name,age
    seq 300000 | sed 's/.*/n&,&/'
} >people.csv
run
is "$title: each has the first line" yes "$([ "$(echo "$out" | grep -c name,age)" -gt 1 ] && echo yes)"
is "$title" "$(awk -F, '$2 ~ /^1/' people.csv)" "$(echo "$out" | grep -v name,age)"
end

begin "Records of FASTA, a hundred a job"
seq -f ">gene%g${nl}ACGT${nl}TTAA" 250 >genes.fasta
stand_in align 'grep -c "^>"'
run
is "$title" "50${nl}100${nl}100" "$(echo "$out" | sort -n)"
end

begin "Feed long-lived workers"
stand_in produce 'seq 500000'
stand_in consume 'wc -l'
run
is "$title: so many workers" 4 "$(echo "$out" | wc -l)"
is "$title: all of it" 500000 "$(echo "$out" | awk '{ n += $1 } END { print n }')"
end

begin "A C function over ten million lines"
if [ -e "$lib/plugin_lines.so" ]; then
    cp "$lib/plugin_lines.so" .
    yes 'a line' | head -20000 >lines # as many as are worth the time here
    run
    is "$title" "20000 6" "$(echo "$out" | uniq -c | xargs)"
else
    echo "not tested: $title: the examples are not built"
fi
end

begin "Scripts written for GNU parallel" "ln -s"
mkdir -p "$HOME/bin"
run
is "$title" "a b" "$(PARALLEL_SHELL=/bin/sh "$HOME/bin/parallel" 'echo {} | cat' ::: 'a b')"
end

is "each recipe of the man page was run" "$(cut -f1 recipes)" "$(cat shown)"
is "there are at least twenty" yes "$([ "$(wc -l <recipes)" -ge 20 ] && echo yes)"
finish
