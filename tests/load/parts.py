"""What the drivers share: servers that are started, frozen and killed, clients that recognise a wrong reply, and their resources.

A value begins with its key and its version. Each key has one writer, which knows the versions whose writing was answered. A
reply is wrong if its value belongs to another key, was never written, or is older than a version that was answered before the
request was sent. A write without an answer may be executed at any later time, so its version is allowed from then on.
"""

import asyncio
import atexit
import contextlib
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PATIENCE = 60.0
RESET = struct.pack("ii", 1, 0)


class Wrong(Exception):
    """A reply that no order of events allows."""


async def patiently(awaitable):
    """The result, or a `TimeoutError` after so many seconds in which this program itself has run: a driver that was stopped or
    got no processor finds the answer that came meanwhile."""
    task = asyncio.ensure_future(awaitable)
    try:
        for _ in range(int(PATIENCE)):
            done, _ = await asyncio.wait({task}, timeout=1)
            if done:
                return task.result()
        raise asyncio.TimeoutError
    finally:
        task.cancel()


# ---------------------------------------------------------------------------------------------- servers


class Process:
    """A server that is started on free ports, and found by the addresses that it prints."""

    def __init__(self, *command, listeners=1, cwd=None, env=None):
        self.command, self.listeners, self.cwd, self.ports = command, listeners, cwd, {}
        self.env = {**os.environ, **(env or {})}
        self.start(command)
        # A driver that ends with an error leaves no server behind.
        atexit.register(self.kill)

    def start(self, command):
        self.errors = tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=self.cwd,
                                      env=self.env)
        while len(self.ports) < self.listeners:
            line = self.child.stdout.readline()
            if not line:
                raise SystemExit(f"{' '.join(command)} has ended: {self.said()}")
            if line.startswith("listening on "):
                protocol, address = line.split()[2:4]
                self.ports[protocol] = int(address.rsplit(":", 1)[1])

    def restart(self):
        """Kills it, and starts it at the same addresses."""
        self.kill()
        ports, self.ports = self.ports, {}
        command = list(self.command)
        for protocol, port in ports.items():
            command[command.index(f"--{protocol}") + 1] = f"127.0.0.1:{port}"
        self.start(command)

    def said(self):
        self.errors.seek(0)
        return self.errors.read()[-2000:]

    def signal(self, number):
        self.child.send_signal(number)

    def is_running(self):
        return self.child.poll() is None

    def end(self):
        """Asks it to end, which it has to do in good order."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        code = self.child.wait(PATIENCE)
        if code:
            raise Wrong(f"{self.command[:2]} has ended with {code}: {self.said()}")

    def kill(self):
        if self.is_running():
            self.signal(signal.SIGKILL)
        self.child.wait()

    def resources(self):
        """Resident bytes, descriptors and threads."""
        with open(f"/proc/{self.child.pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status if ":" in line)
        descriptors = len(os.listdir(f"/proc/{self.child.pid}/fd"))
        return int(fields["VmRSS"].split()[0]) * 1024, descriptors, int(fields["Threads"])


# ---------------------------------------------------------------------------------------------- keys


class Key:
    """A key, with the versions that its writer knows of."""

    def __init__(self, name):
        self.name = name
        self.issued = self.answered = 0
        self.uncertain = set()

    def next_value(self, size):
        self.issued += 1
        self.uncertain.add(self.issued)
        return f"{self.name}={self.issued}=".encode().ljust(size, b".")

    def is_written(self):
        """The last value was answered. Earlier ones without an answer may still be executed."""
        self.uncertain.discard(self.issued)
        self.answered = self.issued

    def check(self, value, answered):
        """Whether a value may be read by a request that was sent when `answered` was the last answered version."""
        name, version, rest = (value.split(b"=", 2) + [b"", b""])[:3]
        if name.decode(errors="replace") != self.name or rest.strip(b"."):
            raise Wrong(f"{self.name} has a value of another key, or a damaged one: {value[:80]!r}")
        version = int(version)
        if version > self.issued or version < answered and version not in self.uncertain:
            raise Wrong(f"{self.name} has version {version}, and {answered} to {self.issued} were written")


# ---------------------------------------------------------------------------------------------- connections


class Connection:
    """A client of one protocol. An error that faults explain is an OSError or an EOFError."""

    def __init__(self, protocol, port):
        self.protocol, self.port = protocol, port
        self.reader = self.writer = None

    async def open(self):
        if self.writer is None:
            opening = asyncio.open_connection("127.0.0.1", self.port, limit=4 << 20)
            self.reader, self.writer = await patiently(opening)

    def close(self, reset=False):
        if self.writer is None:
            return
        if reset:
            # The transport has closed the socket already if the server has reset the connection.
            with contextlib.suppress(OSError):
                self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.writer.transport.abort()
        self.writer.close()
        self.writer = None

    async def line(self):
        line = await self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        return line[:-2]

    async def exactly(self, length):
        data = await self.reader.readexactly(length + 2)
        if not data.endswith(b"\r\n"):
            raise Wrong(f"a value without its end: {data[-20:]!r}")
        return data[:-2]

    def set_request(self, name, value):
        if self.protocol == "resp":
            return b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(name), name, len(value), value)
        return b"set %s 0 0 %d\r\n%s\r\n" % (name, len(value), value)

    def get_request(self, name):
        return b"GET %s\r\n" % name if self.protocol == "resp" else b"get %s\r\n" % name

    async def set(self, name, value):
        """Whether the server has answered that it is stored."""
        self.writer.write(self.set_request(name, value))
        await self.writer.drain()
        return self.succeeded(await self.line(), b"STORED", b"+OK")

    def succeeded(self, line, memcached, resp):
        if line == (resp if self.protocol == "resp" else memcached):
            return True
        if not line.startswith((b"SERVER_ERROR", b"ERROR", b"-")):
            raise Wrong(f"a reply that fits no request: {line[:80]!r}")
        return False

    async def get(self, name):
        """The value, or `None` for a miss or an error."""
        self.writer.write(self.get_request(name))
        await self.writer.drain()
        line = await self.line()
        if self.protocol == "resp":
            if line.startswith(b"$") and line != b"$-1":
                return await self.exactly(int(line[1:]))
            self.succeeded(line, b"", b"$-1")
            return None
        if not line.startswith(b"VALUE "):
            self.succeeded(line, b"END", b"")
            return None
        word, key, _, length = line.split()
        if key != name:
            raise Wrong(f"asked for {name!r}, answered {key!r}")
        value = await self.exactly(int(length))
        if await self.line() != b"END":
            raise Wrong("a reply without END")
        return value


FAULTS = (OSError, EOFError, asyncio.TimeoutError)


class Load:
    """Clients that write and read for a time, each its own keys, and read those of others."""

    def __init__(self, ports, connections, rng, keys=2000):
        self.ports, self.rng = ports, rng
        self.keys = [Key(f"key{number}") for number in range(keys)]
        self.connections = connections
        self.requests = self.errors = self.misses = self.hits = 0
        self.wrong = []
        self.ends = asyncio.Event()

    async def run(self, tasks=()):
        """Runs the clients, and the given tasks beside them, until `ends` is set."""
        clients = [self.client(number) for number in range(self.connections)]
        done = await asyncio.gather(*clients, *tasks, return_exceptions=True)
        self.wrong += [error for error in done if isinstance(error, BaseException)]
        if self.wrong:
            raise self.wrong[0]

    async def client(self, number):
        protocol = list(self.ports)[number % len(self.ports)]
        connection = Connection(protocol, self.ports[protocol])
        own = self.keys[number % len(self.keys)::self.connections] if self.connections <= len(self.keys) else []
        rng = random.Random(number)
        try:
            while not self.ends.is_set():
                try:
                    await connection.open()
                    await patiently(self.request(connection, own, rng))
                    self.requests += 1
                    if rng.random() < 0.002:
                        connection.close(reset=rng.random() < 0.5)
                except asyncio.TimeoutError:
                    raise Wrong(f"no answer over {protocol} for {PATIENCE} s") from None
                except FAULTS:
                    self.errors += 1
                    connection.close(reset=True)
                    await asyncio.sleep(0.05)
                # A thousand clients without a pause only measure the driver.
                await asyncio.sleep(rng.random() * 0.05)
        except Wrong:
            self.ends.set()
            raise
        finally:
            connection.close()

    async def request(self, connection, own, rng):
        if own and rng.random() < 0.3:
            key = rng.choice(own)
            size = rng.choice((20, 100, 1000, 30_000) if rng.random() < 0.2 else (20, 100))
            if await connection.set(key.name.encode(), key.next_value(size)):
                key.is_written()
            else:
                self.errors += 1
            return
        key = rng.choice(self.keys)
        answered = key.answered
        value = await connection.get(key.name.encode())
        if value is None:
            self.misses += 1
        else:
            self.hits += 1
            key.check(value, answered)


# ---------------------------------------------------------------------------------------------- misbehaving clients


async def half_open(ports, ends, rng):
    """Connections that begin a request and say nothing more, and are left to the server."""
    held = []
    while not ends.is_set():
        protocol = rng.choice(list(ports))
        connection = Connection(protocol, ports[protocol])
        try:
            await connection.open()
            request = connection.set_request(b"half", b"x" * 2000)
            connection.writer.write(request[:rng.randrange(len(request))])
            held.append(connection)
            if len(held) > 50:
                held.pop(rng.randrange(len(held))).close(reset=rng.random() < 0.5)
        except FAULTS:
            connection.close()
        await asyncio.sleep(0.02)
    for connection in held:
        connection.close(reset=True)


async def slow_reader(ports, ends, rng):
    """A client that asks for much and reads little, and then resets the connection."""
    while not ends.is_set():
        protocol = rng.choice(list(ports))
        connection = Connection(protocol, ports[protocol])
        try:
            await connection.open()
            connection.writer.transport.pause_reading()
            for _ in range(200):
                connection.writer.write(connection.get_request(b"key%d" % rng.randrange(100)) * 20)
            await asyncio.sleep(rng.random())
        except FAULTS:
            pass
        connection.close(reset=True)


async def slow_writer(ports, ends, rng):
    """A request byte by byte, whose reply must be right."""
    while not ends.is_set():
        protocol = rng.choice(list(ports))
        connection = Connection(protocol, ports[protocol])
        try:
            await connection.open()
            for byte in connection.get_request(b"slow"):
                connection.writer.write(bytes([byte]))
                await asyncio.sleep(0.01)
            line = await patiently(connection.line())
            if not connection.succeeded(line, b"END", b"$-1"):
                await asyncio.sleep(0.05)
        except FAULTS:
            await asyncio.sleep(0.05)
        connection.close()


async def quiet(process, base, what, descriptors=0, room=64 << 20):
    """Waits until a process has no more descriptors and threads than before, and not much more memory."""
    end = time.monotonic() + PATIENCE
    while True:
        now = process.resources()
        if now[1] <= base[1] + descriptors and now[2] <= base[2] and now[0] <= base[0] + room:
            return
        if time.monotonic() > end:
            names = ("resident bytes", "descriptors", "threads")
            raise Wrong(f"{what} has grown: " + ", ".join(f"{n} {b} to {a}" for n, b, a in zip(names, base, now)))
        await asyncio.sleep(0.1)


def raise_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def report(text):
    print(text, flush=True, file=sys.stdout)
