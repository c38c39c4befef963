#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Uses examples/python/mpmanager.py: manager.py KEY-FILE PKI-DIRECTORY WHERE ..."""

import multiprocessing
import os
import signal
import ssl
import sys
import time

from mpmanager import Error, Manager, OwnerDied, Timeout


def connect(where, key_file, pki):
    key = open(key_file, "rb").read() if "://" in where else None
    tls = None
    if where.startswith("tls+"):
        tls = ssl.create_default_context(cafile=f"{pki}/ca.pem")
        tls.load_cert_chain(f"{pki}/client.pem", f"{pki}/client.key")
        where = where.replace("127.0.0.1", "localhost")  # whom its certificate is for
    return Manager(where, key=key, tls=tls)


def hold(where, key_file, pki, name, ready):
    with connect(where, key_file, pki) as m:
        m.get_or_create(name, "Lock").acquire()
        ready.set()
        time.sleep(60)


def fails(code, f, *args, **kw):
    try:
        f(*args, **kw)
    except Error as e:
        assert e.code == code, e
        return e
    raise AssertionError(f"no error {code}")


def check(where, key_file, pki):
    with connect(where, key_file, pki) as m:
        d = m.get_or_create(f"d {len(where)}".replace(" ", "-"), "dict")
        d.clear()
        values = [1, -5, 2**63, 1.5, "text äß", b"bytes\0", None, True, [1, [2]], {"a": {"b": []}}]
        for i, v in enumerate(values):
            d.set(i, v)
            assert d.get(i) == v, v
        assert len(d.keys()) == len(values) == d.len()
        assert d.incr("n") == 1 and d.incr("n", 41) == 42
        assert d.setdefault("n", 0) == 42
        fails(-1106, d.get, "missing")
        assert d.get("missing", 7) == 7
        d.set("long", b"x" * 1000000)
        assert len(d.get("long")) == 1000000

        try:
            pool = m.create("Pool")
        except Error as e:
            assert e.code == -1013, e  # it has no tasks
        else:
            assert pool.apply("words", "to be or not") == 4
            assert pool.map("words", ["a b", "", "c"]) == [2, 0, 1]
            job = pool.imap("repeat", ["x"])
            fails(-1301, pool.next, job)  # a task with an argument too few
            fails(-1102, pool.next, job)

        inner = m.create("list", [1, 2])
        d.set("inner", inner)
        d.get("inner").append(3)
        assert inner.copy() == [1, 2, 3]

        q = m.create("Queue", 2)
        q.put("a")
        q.put("b")
        fails(-1105, q.put, "c", timeout=0)
        assert q.get() == "a" and q.get() == "b"
        try:
            q.get(timeout=0.05)
            raise AssertionError("an item from nowhere")
        except Timeout:
            pass
        try:
            d.no_such_method()
            raise AssertionError("a method from nowhere")
        except AttributeError:
            pass

        # A process that holds a lock is killed.
        ready = multiprocessing.Event()
        p = multiprocessing.Process(target=hold, args=(where, key_file, pki, "py-lock", ready))
        p.start()
        assert ready.wait(30)
        lock = m.get_or_create("py-lock", "Lock")
        fails(-1105, lock.acquire, timeout=0)
        os.kill(p.pid, signal.SIGKILL)
        try:
            lock.acquire(timeout=30)
            raise AssertionError("nobody said that the owner died")
        except OwnerDied as e:
            assert lock.validate(e.token)
        lock.release()
        p.join()
    print(where.split(":")[0], "ok")


for place in sys.argv[3:]:
    check(place, sys.argv[1], sys.argv[2])
