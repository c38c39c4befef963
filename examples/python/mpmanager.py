# SPDX-License-Identifier: MIT
"""A client of mpmanager in Python: the standard library and msgpack, nothing else.

    with Manager() as m:                                # the local one, or
        # Manager("tcp://host:7000", key=b"secret ..."), Manager("tls+tcp://...", tls=context)
        prices = m.get_or_create("prices", "dict")
        prices.set("tea", 3.5)
        print(prices.get("tea"), prices.copy())
        lock = m.get_or_create("till", "Lock")
        token = lock.acquire(timeout=2.0)               # Timeout when it takes longer
        lock.release()

Every method of every type is there, by its name (`mpctl methods dict` lists them); timeouts
are seconds. docs/protocol.md describes the bytes. One thread may use a connection.
"""

import hmac
import os
import re
import secrets
import socket
import struct

import msgpack

HELLO = b"\0SP\0MP\0\0"
MESSAGE, END, OPEN, PROOF, REFUSE = range(5)
PAIR = 0x10
EXT_OBJECT = 1
MANAGER = dict(hello=1, ping=2, cancel=3, create=5, open=6, get_or_create=7, name=8, delete=9,
               list=10, incref=11, decref=12, type=13, methods=14, types=15, stats=17, clients=21)
REFUSALS = {1: "another version", 2: "another protocol", 3: "no key, or a wrong one",
            4: "too many clients"}


class Error(Exception):
    """An error of the manager: code is its number, as in mp_errors(7)."""

    def __init__(self, code, text):
        super().__init__(f"{text or 'error'} ({code})")
        self.code = code


class Timeout(Error):
    pass


class OwnerDied(Error):
    """The lock is acquired, but its owner before died; token is as acquire() returns it."""

    def __init__(self, token):
        super().__init__(-1207, "the owner before died")
        self.token = token


def local_path(name):
    """Where the socket of a local manager is."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and base.startswith("/") and os.path.isdir(base):
        return f"{base}/mp/{name}.sock"
    base = os.environ.get("TMPDIR", "/tmp")
    return f"{base}/mp-{os.geteuid()}/{name}.sock"


class Connection:
    """Messages over a stream, as between two of libmp: hello, OPEN, PROOF, frames."""

    def __init__(self, stream, key=None):
        self.stream = stream
        mine = struct.pack(">HHIQ", 1, PAIR, 1 if key else 0, 1 << 30) + secrets.token_bytes(32)
        self.stream.sendall(HELLO)
        if self.exactly(8) != HELLO:
            raise ConnectionError("what listens there is no manager")
        self.frame(OPEN, mine)
        theirs = self.expect(OPEN)
        flags, self.max_size = struct.unpack(">IQ", theirs[4:16])
        if flags & 1 and not key:
            raise ConnectionError("the manager wants a key")
        if key:
            self.prove(key.removesuffix(b"\n"), mine, theirs)

    def prove(self, key, mine, theirs):
        def proof(role):
            return hmac.digest(key, role.ljust(16, b"\0") + mine + theirs, "sha256")

        self.frame(PROOF, proof(b"mp1 connecting"))
        if not hmac.compare_digest(self.expect(PROOF), proof(b"mp1 listening")):
            raise ConnectionError("the manager does not have the key")

    def exactly(self, n):
        data = bytearray()
        while len(data) < n:
            more = self.stream.recv(n - len(data))
            if not more:
                raise ConnectionError("the manager closed the connection")
            data += more
        return bytes(data)

    def frame(self, kind, data):
        self.stream.sendall(struct.pack(">Q", kind << 56 | len(data)) + data)

    def read(self):
        head = struct.unpack(">Q", self.exactly(8))[0]
        return head >> 56, self.exactly(head & (1 << 56) - 1)

    def expect(self, kind):
        got, data = self.read()
        if got == REFUSE:
            raise PermissionError(REFUSALS.get(data[0], "refused"))
        if got != kind:
            raise ConnectionError(f"frame {got} instead of {kind}")
        return data

    def close(self):
        try:
            self.frame(END, b"")
        except OSError:
            pass
        self.stream.close()


class Object:
    """A proxy: methods by name."""

    def __init__(self, manager, number, type_name=None):
        self._manager = manager
        self._number = number
        if type_name is None:
            type_name = manager._call(MANAGER["type"], number, [])[0]
        self._type = type_name
        self._methods = manager._methods_of(type_name)

    def __repr__(self):
        return f"<{self._type} {self._number}>"

    def __getattr__(self, name):
        op = self.__dict__.get("_methods", {}).get(name)
        if op is None:
            raise AttributeError(f"a {self._type} has no method {name!r}")

        def method(*args, timeout=None):
            return self._manager._call(op, self._number, args, timeout)

        return method

    def __del__(self):
        self._manager._drop(self._number)


class Manager:
    def __init__(self, where="default", key=None, tls=None, name="python", timeout=10):
        """where: a name, a path, or a URL; key: the secret as bytes; tls: an ssl.SSLContext."""
        self._known = {}
        self._id = 0
        self._dropped = []
        self._connection = Connection(self._open(where, tls, timeout), key)
        self._connection.stream.settimeout(None)
        _, self.instance, self.session = self._call(MANAGER["hello"], 0, [1, name])

    @staticmethod
    def _open(where, tls, timeout):
        match = re.fullmatch(r"(tcp|tls\+tcp)://(.+):(\d+)", where)
        if not match:
            stream = socket.socket(socket.AF_UNIX)
            stream.settimeout(timeout)
            stream.connect(where if "/" in where else local_path(where))
            return stream
        host = match[2].strip("[]")
        stream = socket.create_connection((host, int(match[3])), timeout)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return tls.wrap_socket(stream, server_hostname=host) if match[1] != "tcp" else stream

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self._connection:
            self._connection.close()
        self._connection = None

    def create(self, type_name, *args):
        return self._object(self._call(MANAGER["create"], 0, [type_name, *args]), type_name)

    def get_or_create(self, name, type_name, *args):
        return self._object(*self._call(MANAGER["get_or_create"], 0, [name, type_name, *args])[:2])

    def open(self, name):
        return self._object(*self._call(MANAGER["open"], 0, [name])[:2])

    def delete(self, name):
        return self._call(MANAGER["delete"], 0, [name])

    def list(self, prefix=""):
        return self._call(MANAGER["list"], 0, [prefix])

    def ping(self, value=None):
        return self._call(MANAGER["ping"], 0, [value])

    def stats(self):
        return self._call(MANAGER["stats"], 0, [])

    def _object(self, number, type_name):
        return number if isinstance(number, Object) else Object(self, number, type_name)

    def _methods_of(self, type_name):
        if type_name not in self._known:
            rows = self._call(MANAGER["methods"], 0, [type_name])[1]
            self._known[type_name] = {row[0]: row[1] for row in rows}
        return self._known[type_name]

    def _drop(self, number):
        self._dropped.append(number)  # a destructor may run anywhere: with the next call

    def _pack(self, value):
        def default(o):
            if isinstance(o, Object):
                return msgpack.ExtType(EXT_OBJECT, struct.pack(">Q", o._number))
            if isinstance(o, (set, tuple)):
                return list(o)
            raise TypeError(f"{type(o).__name__} cannot be sent")

        return msgpack.packb(value, default=default)

    def _unpack(self, data):
        def ext(code, payload):
            if code != EXT_OBJECT:
                raise ConnectionError(f"an ext of type {code}")
            return _Number(struct.unpack(">Q", payload)[0])

        return msgpack.unpackb(data, ext_hook=ext, strict_map_key=False)

    def _call(self, op, number, args, timeout=None):
        while self._dropped and self._connection and op != MANAGER["decref"]:
            self._call(MANAGER["decref"], self._dropped.pop(), [])
        if not self._connection:
            raise ConnectionError("closed")
        self._id += 1
        ms = -1 if timeout is None else int(timeout * 1000)
        self._connection.frame(MESSAGE, self._pack([self._id, op, number, ms, *args]))
        while True:
            reply_id, status, value = self._unpack(self._connection.expect(MESSAGE))
            if reply_id == self._id:
                break
        if status == -1207:
            raise OwnerDied(value)
        if status < 0:
            raise (Timeout if status in (-1103, -1105) else Error)(status, value)
        # What a method gave may be an object, or have some in it.
        return value if op < 256 else self._objects_in(value)

    def _objects_in(self, value):
        if isinstance(value, _Number):
            return Object(self, int(value))
        if isinstance(value, list):
            return [self._objects_in(v) for v in value]
        if isinstance(value, dict):
            return {k: self._objects_in(v) for k, v in value.items()}
        return value


class _Number(int):
    """The number of an object, before its type was asked."""
