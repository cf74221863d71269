#!/usr/bin/env python3
"""Load with faults: 1,000 clients beside misbehaving ones, while servers are frozen, killed, short of
descriptors and of disk, and their clock jumps.

    python3 tests/load/faults.py [--larder target/debug/larder] [--seconds 8] [--connections 1000] [--seed N] [--only WORD]

Each scenario ends with a check that larder has not ended, that it answers, that its descriptors and threads are as many as
before, and that its memory has grown no further. Any wrong or stale reply, and any request without an answer, is an error.
"""

import argparse
import asyncio
import contextlib
import glob
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from parts import (FAULTS, PATIENCE, RESET, Connection, Key, Load, Process, Wrong, half_open, patiently, quiet, raise_limit, report,
                   slow_reader, slow_writer)


def serve(options, *more, **how):
    arguments = ["--memcached", "127.0.0.1:0", "--resp", "127.0.0.1:0", "--memory", "64MiB", "--max-connections", "4000", "-qq"]
    return Process(options.larder, *arguments, *more, listeners=2, **how)


async def for_a_time(load, seconds):
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(load.ends.wait(), seconds)
    load.ends.set()


async def answers(ports):
    """Whether each listener answers on a new connection."""
    for protocol, port in ports.items():
        connection = Connection(protocol, port)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                await connection.open()
                await patiently(connection.set(b"last", b"last=1="))
                if await patiently(connection.get(b"last")) == b"last=1=":
                    break
            except FAULTS:
                connection.close()
            if time.monotonic() > end:
                raise Wrong(f"{protocol} does not answer any more")
            await asyncio.sleep(0.1)
        connection.close()


async def under_load(options, process, ports, what, faults=(), keys=2000, upstreams=0):
    """Two times of load with faults. The first shows what larder needs, the second that it needs no more, except for the
    descriptors of connections to upstreams, some of which may have been down after the first."""
    rng = random.Random(options.seed)
    bases = []
    for part in ("first", "second"):
        load = Load(ports, options.connections, rng, keys)
        for key in load.keys:
            key.name = f"{part}-{key.name}"
        beside = [half_open, slow_reader, slow_writer]
        tasks = [each(ports, load.ends, rng) for each in beside] + [fault(load.ends, rng) for fault in faults]
        await load.run([*tasks, for_a_time(load, options.seconds / 2)])
        if not process.is_running():
            raise Wrong(f"{what} has ended: {process.said()}")
        await answers(ports)
        if bases:
            await quiet(process, bases[0], what, upstreams)
        else:
            await asyncio.sleep(1)
        bases.append(process.resources())
        if not load.hits:
            raise Wrong(f"{what}: no request has found a value, so nothing was checked")
        report(f"{what}, {part}: {load.requests} requests, {load.hits} hits, {load.misses} misses, {load.errors} errors; "
               f"{bases[-1][0] >> 20} MiB, {bases[-1][1]} descriptors, {bases[-1][2]} threads")
    process.end()


# ---------------------------------------------------------------------------------------------- scenarios


async def the_server(options):
    """larder serve, both protocols on one store."""
    server = serve(options)
    await under_load(options, server, server.ports, "serve")


async def both_models(options):
    """The same with a thread for each connection, of which fewer can be open."""
    server = serve(options, "--model", "threads", "--workers", "64")
    fewer = argparse.Namespace(**{**vars(options), "connections": 40})
    await under_load(fewer, server, server.ports, "serve with threads")


def killed_now_and_then(servers):
    """One is killed, and started again with the same addresses."""
    async def fault(ends, rng):
        while not ends.is_set():
            await asyncio.sleep(rng.random() * 2)
            servers[rng.randrange(len(servers))].restart()
    return fault


def frozen_now_and_then(servers):
    async def fault(ends, rng):
        while not ends.is_set():
            server = rng.choice(servers)
            server.signal(signal.SIGSTOP)
            await asyncio.sleep(rng.random() * 1.5)
            server.signal(signal.SIGCONT)
            await asyncio.sleep(rng.random())
    return fault


async def the_proxy(options):
    """larder proxy, before servers that are frozen."""
    for protocol in ("memcached", "resp"):
        upstreams = [serve(options) for _ in range(2)]
        addresses = [f"127.0.0.1:{upstream.ports[protocol]}" for upstream in upstreams]
        proxy = Process(options.larder, "proxy", "--protocol", protocol, "--listen", "127.0.0.1:0", "--max-connections", "4000",
                        "--read-timeout", "1", "-qq", *(word for address in addresses for word in ("--upstream", address)))
        await under_load(options, proxy, proxy.ports, f"proxy {protocol}",
                         [frozen_now_and_then(upstreams), killed_now_and_then(upstreams)], upstreams=16)
        for upstream in upstreams:
            upstream.end()


async def the_cluster(options):
    """larder proxy before a Redis Cluster of two nodes, which are frozen."""
    if not shutil.which("redis-server"):
        return report("cluster: skipped, there is no redis-server")
    with tempfile.TemporaryDirectory() as home:
        first = free_ports(4)
        ports, nodes = [first, first + 2], []
        for port in ports:
            os.mkdir(f"{home}/{port}")
            nodes.append(subprocess.Popen(
                ["redis-server", "--port", str(port), "--cluster-port", str(port + 1), "--cluster-enabled", "yes", "--save", "",
                 "--dir", f"{home}/{port}", "--cluster-node-timeout", "60000", "--cluster-require-full-coverage", "no"],
                stdout=subprocess.DEVNULL))
        try:
            for number, port in enumerate(ports):
                slots = f"{number * 8192} {number * 8192 + 8191}"
                until(lambda port=port, slots=slots: redis(port, f"CLUSTER ADDSLOTSRANGE {slots}") == "OK")
            redis(ports[0], f"CLUSTER MEET 127.0.0.1 {ports[1]} {ports[1] + 1}")
            until(lambda: all(redis(port, "CLUSTER SLOTS").count("127.0.0.1") == 2 for port in ports))
            proxy = Process(options.larder, "proxy", "--protocol", "resp", "--listen", "127.0.0.1:0", "--max-connections", "4000",
                            "--read-timeout", "1", "-qq", *(w for port in ports for w in ("--cluster", f"127.0.0.1:{port}")))
            await under_load(options, proxy, proxy.ports, "cluster", [frozen_now_and_then([Signals(node) for node in nodes])],
                             upstreams=16)
        finally:
            for node in nodes:
                node.send_signal(signal.SIGCONT)
                node.kill()
                node.wait()


def free_ports(count):
    """The first of so many neighbouring ports, below those that the system gives to clients."""
    while True:
        first = random.randrange(20_000, 30_000)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
                return first
            except OSError:
                continue


class Signals:
    def __init__(self, child):
        self.signal = child.send_signal


def redis(port, command):
    done = subprocess.run(["redis-cli", "-p", str(port), *command.split()], capture_output=True, text=True)
    return done.stdout.strip()


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("the cluster does not become ready")
        time.sleep(0.1)


async def descriptors(options):
    """larder serve with 150 descriptors now and then, and more clients than that."""
    server = serve(options)

    async def few_and_many(ends, rng):
        hard = resource.prlimit(server.child.pid, resource.RLIMIT_NOFILE)[1]
        while not ends.is_set():
            resource.prlimit(server.child.pid, resource.RLIMIT_NOFILE, (150, hard))
            await asyncio.sleep(rng.random())
            resource.prlimit(server.child.pid, resource.RLIMIT_NOFILE, (hard, hard))
            await asyncio.sleep(rng.random())

    await under_load(options, server, server.ports, "serve short of descriptors", [few_and_many])


@contextlib.contextmanager
def small_disk(kilobytes):
    """A file system of a few pages; `None` if none may be mounted."""
    with tempfile.TemporaryDirectory() as home:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", home], stderr=subprocess.DEVNULL)
        try:
            yield None if mounted.returncode else home
        finally:
            if not mounted.returncode:
                subprocess.run(["umount", "-l", home])


async def full_disk(options):
    """larder serve whose log and snapshots are on a disk that is full now and then."""
    with small_disk(16_384) as home:
        if home is None:
            return report("full disk: skipped, nothing may be mounted")
        server = serve(options, "--snapshot", f"{home}/snapshot", "--snapshot-every", "1s", "--log-dir", home)

        async def full_and_free(ends, rng):
            while not ends.is_set():
                with open(f"{home}/filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
                    while True:
                        filler.write(b"x" * 4096)
                await asyncio.sleep(rng.random())
                os.unlink(f"{home}/filler")
                await asyncio.sleep(rng.random())

        await under_load(options, server, server.ports, "serve on a full disk", [full_and_free], keys=1000)


async def a_stale_value(options):
    """The clients find a server that answers with old values, and one that answers with those of other keys."""
    for planted in (b"first-key1=1=", b"first-key2=1="):
        server = serve(options)

        async def plant(ends, _, planted=planted, server=server):
            connection = Connection("memcached", server.ports["memcached"])
            await connection.open()
            while not ends.is_set():
                await connection.set(b"first-key1", planted)
                await asyncio.sleep(0.01)

        fewer = argparse.Namespace(**{**vars(options), "connections": 20, "seconds": 2 * PATIENCE})
        try:
            await under_load(fewer, server, server.ports, "planted", [plant], keys=20)
        except Wrong as found:
            report(f"found: {found}")
        else:
            raise SystemExit("a wrong value was not found")
        finally:
            server.kill()


async def a_reset_connection(_):
    """A client closes a connection that the server has reset, as it closes any other."""
    async def reset(_, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        connection = Connection("memcached", server.sockets[0].getsockname()[1])
        await connection.open()
        try:
            await connection.line()
        except FAULTS:
            connection.close(reset=True)
        else:
            raise SystemExit("the connection was not reset")


class JumpingClock:
    """A clock of dates for servers that are started with `env`, in hours from the right time. None of it without libfaketime."""

    def __init__(self, home):
        library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
        self.file = f"{home}/clock"
        self.env = library and {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": self.file, "FAKETIME_NO_CACHE": "1",
                                "DONT_FAKE_MONOTONIC": "1"}
        self.set(0)

    def set(self, hours):
        with open(f"{self.file}.new", "w") as file:
            file.write(f"{hours:+}h\n")
        os.rename(f"{self.file}.new", self.file)

    def shows(self):
        """What a program sees, in hours from the right time."""
        seen = subprocess.run(["date", "+%s"], env={**os.environ, **self.env}, capture_output=True, text=True, check=True)
        return round((int(seen.stdout) - time.time()) / 3600)

    def forget(self, pid):
        """Removes the shared memory that libfaketime leaves of a process that was killed."""
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"/dev/shm/{name}")

    async def jump(self, ends, rng):
        while not ends.is_set():
            self.set(rng.choice((-5, -1, 1, 5)))
            await asyncio.sleep(rng.random() / 2)


async def clock_jumps(options):
    """larder serve whose clock of dates jumps by hours, both ways. Its own time goes on, so no item expires too early."""
    with tempfile.TemporaryDirectory() as home:
        clock = JumpingClock(home)
        if not clock.env:
            return report("clock: skipped, there is no libfaketime")
        server = serve(options, env=clock.env)
        clock.set(5)
        if clock.shows() != 5:
            raise SystemExit("libfaketime has no effect")
        connection = Connection("resp", server.ports["resp"])
        await connection.open()
        connection.writer.write(b"SET brief brief EX 3600\r\n")
        await connection.line()

        async def times(ends, _):
            while not ends.is_set():
                connection.writer.write(b"TIME\r\n")
                lines = [await connection.line() for _ in range(5)]
                if abs(int(lines[2]) - time.time()) > 600 or await connection.get(b"brief") != b"brief":
                    raise Wrong(f"the time has jumped to {lines[2]!r}, or a key has expired")
                await asyncio.sleep(0.1)

        await under_load(options, server, server.ports, "serve whose clock jumps", [clock.jump, times])


async def invalidation(options):
    """larder invalidate is killed, its clock jumps, and its caches are frozen; at the end no answered delete is missing."""
    with tempfile.TemporaryDirectory() as home:
        clock = JumpingClock(home)
        caches = [serve(options) for _ in range(2)]
        with open(f"{home}/servers.txt", "w") as file:
            file.writelines(f"127.0.0.1:{cache.ports['memcached']} 1\n" for cache in caches)

        def start():
            return Process(options.larder, "invalidate", "--listen", "127.0.0.1:0", "--servers", "servers.txt", "--timeout", "1",
                           "--max-connections", "4000", "-qq", cwd=home, env=clock.env)

        state = {"larder": start()}
        keys = [Key(f"key{number}") for number in range(3000)]
        for key in keys:
            for cache in caches:
                await put(cache, key)
        ends, rng = asyncio.Event(), random.Random(options.seed)
        clients = [deleter(state, keys[number::100], ends) for number in range(100)]

        async def kills():
            end = time.monotonic() + options.seconds
            while time.monotonic() < end or any(not key.answered for key in keys):
                if time.monotonic() > end + PATIENCE:
                    raise Wrong("deletes are not answered any more")
                await asyncio.sleep(rng.random())
                if time.monotonic() < end and rng.random() < 0.3:
                    state["larder"].kill()
                    clock.forget(state["larder"].child.pid)
                    state["larder"] = start()
            ends.set()

        await asyncio.gather(*clients, kills(), frozen_now_and_then(caches)(ends, rng), clock.jump(ends, rng))
        await gone(caches, keys)
        larder, ports = state["larder"], state["larder"].ports
        base = larder.resources()
        again = asyncio.Event()
        tasks = [each(ports, again, rng) for each in (half_open, slow_reader)]
        misbehaving = asyncio.gather(*tasks)
        await asyncio.sleep(options.seconds / 2)
        again.set()
        await misbehaving
        await quiet(larder, base, "invalidate")
        report(f"invalidate: {len(keys)} deletes, each answered and delivered")
        for process in (larder, *caches):
            process.end()


async def put(cache, key):
    connection = Connection("memcached", cache.ports["memcached"])
    await connection.open()
    await connection.set(key.name.encode(), b"old")
    connection.close()


async def deleter(state, keys, ends):
    """Reports each key until it is answered."""
    connection = None
    for key in keys:
        while not key.answered and not ends.is_set():
            try:
                if connection is None:
                    connection = Connection("memcached", state["larder"].ports["memcached"])
                await connection.open()
                connection.writer.write(b"delete %s\r\n" % key.name.encode())
                line = await patiently(connection.line())
                key.answered = int(connection.succeeded(line, b"DELETED", b""))
            except asyncio.TimeoutError:
                raise Wrong(f"no answer to a delete for {PATIENCE} s") from None
            except FAULTS:
                if connection:
                    connection.close(reset=True)
                connection = None
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)
    if connection:
        connection.close()


async def gone(caches, keys):
    """Waits until no key is left where it belongs. Each key was put into both caches; its delete reaches the one that owns it."""
    end = time.monotonic() + PATIENCE
    while True:
        left = []
        for key in keys:
            found = []
            for cache in caches:
                connection = cache.__dict__.setdefault("reads", Connection("memcached", cache.ports["memcached"]))
                await connection.open()
                found.append(await patiently(connection.get(key.name.encode())))
            if all(found):
                left.append(key.name)
        if not left:
            break
        if time.monotonic() > end:
            raise Wrong(f"{len(left)} deletes were answered and not delivered, {left[0]} first")
        await asyncio.sleep(0.2)
    for cache in caches:
        cache.reads.close()


SCENARIOS = [a_stale_value, a_reset_connection, the_server, both_models, the_proxy, the_cluster, descriptors, full_disk, clock_jumps,
             invalidation]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--larder", default="target/debug/larder")
    parser.add_argument("--seconds", type=float, default=8, help="the time of each scenario")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", default="", help="scenarios whose name has this word")
    options = parser.parse_args()
    options.larder = os.path.abspath(options.larder)
    options.seed = random.randrange(1 << 32) if options.seed is None else options.seed
    raise_limit()
    report(f"seed {options.seed}")
    for scenario in SCENARIOS:
        if options.only in scenario.__name__:
            asyncio.run(scenario(options))


if __name__ == "__main__":
    main()
