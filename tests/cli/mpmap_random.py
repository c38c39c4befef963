# SPDX-License-Identifier: MIT
"""Random command lines for mpmap: mpmap_random.py ROUNDS SEED.

What comes out is not written down for each, but things hold for all: a dry run that a
shell reads back gives what a run gives, and so do more slots and a joblog; a resumed run
does nothing; items, fields and blocks arrive as they were. And nothing crashes or hangs,
whatever the options.
"""
import csv
import io
import itertools
import json
import os
import random
import subprocess
import sys

PIECES = ["a", "b", ".", "/", " ", "\t", '"', "'", "$", "(", ")", "`", "\\", "{", "}", "{}",
          "{1}", "{.}", "*", "?", "~", "!", "#", "%", "&", "|", ";", "<", ">", ",", "-", "=",
          "1", "2", "\x01", "\x7f", "\u00e9", "\udcff"]
WORDS = ["{}", "{.}", "{/}", "{//}", "{/.}", "{:}", "x{}y", "{1}", "{2}", "{-1}", "{2.}", "{1/}",
         "{#}", "{s/a/X/g}", "{^.b}", "{s,(.),[\\1],}", "{}{}", "lit", "a b", "q'q", "$x", "*"]
IN_SCRIPTS = ["{}", '"{}"', "'{}'", "{.}", "{/}", '"{//}"', "x{}y", '"$(printf %s {})"', "{1}",
              '"{2}"', "'{-1}'", "{s/a/X/g}", "'{s/b/Y/}'", "{^.b}", "{#}", "$(({#} + 1))"]
OPTIONS = """-k|-u|--tag|--line-buffer|-j1|-j3|-j0|-j +2|-n2|-n0|-X|-m|-s|-0|-d ;|-C ,|--csv|--json|
 --header :|--header 2|--header (1.*\\n)*|--trim lr|-E x|-r|--link|--skip-first-line|--retries 2|
 --retry-on 1,3-5|--halt now,fail=1|--halt soon,done=50%|--halt now,success=1|--timeout 30|
 --timeout 100000%|--delay 0.001|--shuf|--priority 1|--joblog jl|--joblog jl.json|--resume|
 --retry-failed|--at-most-once|--results r|--results r.json|--results -.tsv|--tagstring {#}:{1}|
 --summary|-t|--bar|--progress-fd 2|--dry-run|--pipe|--pipepart|--block 100|--block -2|--recend ;|
 --recstart 1|--rrs|--round-robin|-I @|--er %|-q|--max-chars 50|-a s1|-a csv|-a json|-a z""".split("|")
COMMANDS = [["echo"], ["echo", "{.}", "{/}", "{//}", "{:}", "{#}", "{%}"], ["echo", "x{}y", "{1}-{2}"],
            ["echo", "{s/a/b/g}", "{^.c}", "{2/}"], ["echo", "{name}", "{age.}", "{a}", "{b.c}"],
            ["false"], ["cat"], ["sh", "-c", "exit 3", "sh"], ["sh", "-c", "kill -9 $$"],
            ["echo \"{}\" '{}' {} $(echo {/})"], ["echo {s/a/X/} {^.c}; false"], ["{}"], [],
            ["echo $(({1} + 1))"], ["echo $(({3}))"], ["echo", "-{-1}-", "{3}", "{-2.}"], ["nosuch"]]
SOURCES = [[], ["::: a", "b c", "d.e"], "::: 1 2 ::: x y", "::: 1 2 :::+ x y", ":::: s1", ":::: s1 s2",
           ":::: s1 ::::+ s2", ":::"]
failures = 0


def as_bytes(text):
    return text.encode("utf8", "surrogateescape")


def word(choose, newline=False):
    pieces = PIECES + ["\n"] * newline
    return "".join(choose.choice(pieces) for _ in range(choose.randint(0, 7)))


def run(argv, data=b"", **how):
    return subprocess.run(argv, input=data, capture_output=True, timeout=300, check=False, **how)


def same(what, want, got):
    global failures
    if want != got:
        failures += 1
        print("FAIL:", what, "\n  expected:", want, "\n  got:     ", got)


def command(choose):
    """A program with what makes it ready for items that end with NUL, and a command."""
    kind = choose.choice(["plain", "shell", "parallel"])
    many = choose.choice([[], [], ["-n", str(choose.randint(1, 3))]])
    program = ["./parallel" if kind == "parallel" else "mpmap", "-0", "-k"] + many
    if kind == "plain":
        return program, ["printf", "<%s>"] + choose.choices(WORDS, k=choose.randint(1, 3))
    script = 'printf "<%s>" ' + " ".join(choose.choices(IN_SCRIPTS, k=choose.randint(1, 3)))
    return program + ["-s"] * (kind == "shell"), [script]


def try_command(choose):
    items = [word(choose, True) for _ in range(choose.randint(1, 5))]
    data = as_bytes("".join(i + "\0" for i in items))
    program, words = command(choose)
    one = run(program + ["-j1"] + words, data)
    text = run(program + ["-j1", "--dry-run"] + words, data)
    if one.returncode == 0:
        same((program, words, items, "--dry-run"), one.stdout, run(["sh"], text.stdout).stdout)
    for others in ["-j3"], ["-j2", "--line-buffer"], ["-j2", "--retries", "2"], ["-j2", "--joblog", "jl"]:
        more = run(program + others + words, data)
        same((program, words, items, others), (one.returncode, one.stdout), (more.returncode, more.stdout))
    again = run(program + ["-j2", "--joblog", "jl", "--resume"] + words, data)
    same((program, words, items, "--resume"), b"", again.stdout)
    os.unlink("jl")
    echo = ["printf", "%s\\0", "{}"] if words[0] == "printf" else ['printf "%s\\0" {}']
    same((program, items), data, run(program + echo, data).stdout)


def try_blocks(choose):
    pieces = ["a", "\n", "bb", ";", "1", "\n\n", "x" * choose.randint(1, 50)]
    data = as_bytes("".join(choose.choices(pieces, k=choose.randint(0, 300))))
    with open("data", "wb") as f:
        f.write(data)
    size = choose.choice([["--block", str(choose.choice([1, 3, 10, 50, 1000]))], ["-N", str(choose.randint(1, 4))]])
    signs = choose.choice([[], ["--recend", ";"], ["--recstart", "1"], ["--recend", "\\n", "--recstart", "x"]])
    if size[0] == "--block" and choose.random() < 0.3:
        signs = ["--recend", ""]
    for how in ["--pipe"], ["--pipepart", "-a", "data"], ["--pipe", "-a", "data"]:
        argv = ["mpmap", "-k", "-j3"] + how + size + signs + ["cat"]
        same((argv, data), data, run(argv, data).stdout)


def try_fields(choose):
    rows = [[word(choose, True) for _ in range(3)] for _ in range(4)]
    flat = as_bytes("".join(text + "\0" for row in rows for text in row))
    table = io.StringIO(newline="")
    csv.writer(table, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    argv = ["mpmap", "--csv", "-k", "printf", "%s\\0%s\\0%s\\0", "{1}", "{2}", "{3}"]
    same(("--csv", rows), flat, run(argv, as_bytes(table.getvalue())).stdout)
    rows = [[text.replace("\udcff", "") for text in row] for row in rows]
    flat = as_bytes("".join(text + "\0" for row in rows for text in row))
    lines = "".join(json.dumps({"a": a, "b": {"c": [b, c]}}) + "\n" for a, b, c in rows)
    argv = ["mpmap", "--json", "-k", "printf", "%s\\0%s\\0%s\\0", "{a}", "{b.c.1}", "{b.c.2}"]
    same(("--json", rows), flat, run(argv, as_bytes(lines)).stdout)


def try_sources(choose):
    """Lists, each combined with those before or linked to the last."""
    groups, words = [], []
    for i in range(choose.randint(1, 4)):
        items = [f"{i}.{k}" for k in range(choose.randint(1, 4))]
        linked = i > 0 and choose.random() < 0.4
        words += [":::+" if linked else ":::"] + items
        groups[len(groups):] = [] if linked else [[]]
        groups[-1].append(items)
    rows = itertools.product(*(zip(*group) for group in groups))
    want = "".join(" ".join(itertools.chain(*row)) + "\n" for row in rows)
    same(words, as_bytes(want), run(["mpmap", "-k", "-j3", "echo"] + words).stdout)


def try_anything(choose):
    """Any options: it ends by itself, with a status of its own."""
    global failures
    options = [w for o in choose.choices(OPTIONS, k=choose.randint(0, 5)) for w in o.split(" ", 1)]
    options = [o.strip() for o in options if o.strip()]
    source = choose.choice(SOURCES)
    source = source.split() if isinstance(source, str) else [w for s in source for w in s.split(" ", 1)]
    argv = [choose.choice(["mpmap", "mpmap", "./parallel"])] + options + choose.choice(COMMANDS) + source
    name = choose.choice(["s1", "s2", "csv", "json", "z", "/dev/null"])
    with open(name, "rb") as f:
        ended = subprocess.run(argv, stdin=f, capture_output=True, timeout=300, check=False)
    known = list(range(102)) + [126, 127, 137]
    if ended.returncode not in known or b"Sanitizer" in ended.stderr:
        failures += 1
        print("FAIL:", argv, "<", name, "\n  status", ended.returncode, ended.stderr[-3000:].decode("latin1"))


def main():
    rounds, seed = int(sys.argv[1]), int(sys.argv[2])
    choose = random.Random(seed)
    for name, text in (("s1", 'a/b.c\nx y\n\n"q,r",2\n'), ("s2", "1\n2\n3\n"), ("z", "a\0b\nc\0\udcff\0"),
                       ("csv", 'name,age\njoe,3\n"a ""b"", c",4\n,\n'), ("json", '{"a":1,"b":{"c":"x"}}\n[1,2]\n{bad\n')):
        with open(name, "wb") as f:
            f.write(as_bytes(text))
    for _ in range(rounds):
        for attempt in try_command, try_blocks, try_fields, try_sources, try_anything, try_anything, try_anything:
            attempt(choose)
        if failures > 5:
            break
    print(f"{rounds} rounds, seed {seed}: {failures} failed")
    sys.exit(failures > 0)


main()
