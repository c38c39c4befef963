// SPDX-License-Identifier: MIT
//
// What GNU parallel has and this has not: each is refused by its name, with what does it instead.
#include "options.h"

#define ABSENT(name_, also_, arg_, remedy)                                                         \
    {                                                                                              \
        .name = (name_), .also = (also_), .arg = (arg_), .help = (remedy), .kind = OPT_ABSENT      \
    }

static const struct opt rows[] = {
    ABSENT("rpl", "parens", "TEXT", "no Perl: {s/a/b/}, {^suffix} and {:} may do"),
    ABSENT("filter", NULL, "TEXT", "no Perl: grep or awk can choose the items"),
    ABSENT("plus", NULL, NULL, "{:}, {^suffix} and {s/a/b/} do most of it"),
    ABSENT("template", "tmpl", "TEXT", "-s 'sed s/x/{}/ template >{}.out; ...'"),
    ABSENT("shell-quote", "shellquote", NULL, "--dry-run prints commands quoted"),
    ABSENT("cat", "fifo", NULL, "a job's block has a name already: /dev/stdin"),
    ABSENT("tee", NULL, NULL, "a job can read a file: put the input into one"),
    ABSENT("shard", "bin", "TEXT", "awk or sort can spread lines over files: -a takes these"),
    ABSENT("group-by", NULL, "TEXT", "--regexp with --recstart may find where a group begins"),
    ABSENT("files", "output-as-files outputasfiles", NULL, "--results DIR"),
    ABSENT("limit", NULL, "COMMAND", "--load, --memfree, --pressure; or a file for -j"),
    ABSENT("noswap", NULL, NULL, "--pressure memory=5 or --memfree"),
    ABSENT("memsuspend", NULL, "SIZE", "--memfree, which ends a job and tries it again"),
    {.name = "open-tty",
     .letter = 'o',
     .also = "tty",
     .help = "no job has the terminal: xargs -o gives it",
     .kind = OPT_ABSENT},
    ABSENT("tmux", "tmuxpane fg bg", NULL, "--latest-line shows what jobs write, SIGUSR1 who runs"),
    {.name = "sshlogin",
     .letter = 'S',
     .also = "sshloginfile slf ssh ssh-delay",
     .arg = "HOST",
     .help = "this machine only: mpmap ssh {} command ::: HOST ...",
     .kind = OPT_ABSENT},
    ABSENT("onall", "nonall filter-hosts hostgroups hgrp transfer cleanup", NULL,
           "this machine only: scp and ssh can be commands"),
    ABSENT("transferfile", "tf return trc basefile bf rsync-opts", "FILE",
           "this machine only: scp and rsync can be commands"),
    {.name = "controlmaster",
     .letter = 'M',
     .help = "this machine only: ssh has ControlMaster in its config",
     .kind = OPT_ABSENT},
    ABSENT("sql", "sqlmaster sql-master sqlworker sql-worker sqlandworker sql-and-worker", "URL",
           "--joblog and --results write JSON and CSV, to be loaded"),
    ABSENT("semaphore", "wait", NULL, "flock runs a command with a lock; -j says how many run"),
    ABSENT("semaphore-name", "semaphorename id semaphore-timeout semaphoretimeout st", "TEXT",
           "flock runs a command with a lock; -j says how many run"),
    {.name = "profile",
     .letter = 'J',
     .arg = "NAME",
     .help = "no files of its own: an alias of the shell holds options",
     .kind = OPT_ABSENT},
    ABSENT("record-env", "session embed", NULL, "jobs have the whole environment"),
    ABSENT("shebang", "hashbang shebang-wrap", NULL, "a script of sh with mpmap ... <<'END'"),
    ABSENT("shell-completion", NULL, "SHELL", "mpmap help bash, zsh or fish"),
    ABSENT("show-limits", "max-line-length-allowed", NULL, "getconf ARG_MAX; and 128 KiB a word"),
};

const struct opt_group opts_absent = {
    .topic = "absent",
    .title = "Options that are not there",
    .text =
        "GNU parallel has these. Each is refused by its name, before anything is run, with what "
        "does the same or nearly so:",
    OPT_GROUP(rows),
};
