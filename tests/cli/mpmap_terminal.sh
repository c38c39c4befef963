#!/bin/sh
# SPDX-License-Identifier: MIT
# mpmap at a terminal, and jobs that would like to have it.
. "${0%/*}/common.sh"

# at SCRIPT: runs it at a terminal of its own, where what stands on standard input is typed;
# $out is what that shows.
at() {
    echo "$1" >at.sh
    out=$(terminal "sh at.sh" | tr -d '\r')
}
has_terminal || {
    echo "skipped: script(1) makes no terminal here"
    exit 77
}
esc=$(printf '\033')

# To the terminal jobs are in the background: the kernel stops those that read from it, or
# change its modes. They are ended, and the others go on.
cat >wants <<'END'
case $1 in
read) read -r x </dev/tty ;;
modes) stty -echo -icanon </dev/tty ;;
child) (stty -echo </dev/tty); true ;;
deaf) trap 'exit 0' TERM; stty -echo </dev/tty ;;
esac
echo "went on: $1"
END
at 'before=$(stty -g)
mpmap -k -j5 --term-seq TERM,60000,KILL --joblog log --retries 1 sh wants ::: read modes other child deaf; echo status $?
[ "$before" = "$(stty -g)" ] && echo the modes are as before' </dev/null
for job in '1 (read)' '2 (modes)' '4 (child)' '5 (deaf)'; do
    has "job $job" "mpmap: job $job: wants the terminal, which no job has: ended" "$out"
done
is "the others go on" "went on: other" "$(echo "$out" | grep 'went on')"
has "all that were ended have failed" "status 4" "$out"
has "the modes" "the modes are as before" "$out"
is "they are not told of as killed" "" "$(echo "$out" | grep signal)"
is "the joblog has them as failed, with the signal" "0 0,0 15,0 15,0 15,0 15," "$(sed 1d log | cut -f7,8 | sort -n | tr '\t\n' ' ,')"
at 'stty tostop; mpmap -u sh -c "sleep 0.1; echo heard" ::: 1; echo status $?' </dev/null
has "a terminal that stops who writes to it" "wants the terminal" "$out"
has "a terminal that stops who writes to it: status" "status 1" "$out"
# Who was stopped by somebody else is left alone: 1.5 s, and a look at it each second.
at 'mpmap sh -c "(until [ -e went ]; do sleep 1.5; kill -CONT \$\$; done) & kill -STOP \$\$; : >went; wait; echo went on" ::: 1 2>&1; echo status $?' </dev/null
is "who stopped itself" "went on${nl}status 0" "$(echo "$out" | grep -v background)"

# Ctrl-C, typed once the job is there, reaches mpmap, and by it the job.
: >began
mkfifo keys
{ eventually [ -s began ]; printf '\003'; } >keys &
at 'trap : INT
mpmap -s "echo \$\$ >began; sleep 1000; : {}" ::: 1
echo status $?' <keys
has "Ctrl-C" "status 130" "$out"
eventually gone "$(cat began)" || is "Ctrl-C: the job is gone" yes no

# What an item holds does not steer the terminal: neither in messages nor in questions.
item=$(printf 'a\033[2Jb\rc\007d')
gives "-t" 0 mpmap -t true ::: "$item"
is "-t: control characters" "mpmap: job 1: true 'a'\$'\\x1b''[2Jb'\$'\\x0d''c'\$'\\x07''d'" "$err"
if command -v bash >/dev/null; then
    is "-t: a shell reads them back" "$item" "$(bash -c "printf %s ${err#*: *: true }")"
fi
ln -s "$(command -v mpmap)" parallel
gives "-t, as parallel" 0 ./parallel -t true ::: "$item"
is "-t, as parallel: control characters" "" "$(echo "$err" | grep "$esc")"
gives "a command that is not there" 1 mpmap {} ::: "$item"
is "a command that is not there: control characters" "" "$(echo "$err" | grep "$esc")"
long=$(head -c 5000 /dev/zero | tr '\0' x)
gives "-t, a long item" 0 mpmap -t true ::: "$long"
is "-t, a long item: all of it" "mpmap: job 1: true $long" "$err"
echo y >yes
out=$(terminal "mpmap -p echo ::: '$item' | od -c" <yes)
has "-p" "echo 'a'\$'\\x1b''[2Jb'\$'\\x0d''c'\$'\\x07''d' ?..." "$out"
is "-p: control characters" "" "$(echo "$out" | grep "$esc")"
finish
