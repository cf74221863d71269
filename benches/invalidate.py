#!/usr/bin/env python3
"""Measures larder invalidate: what an answer costs, how soon a delete is applied, what ten million pending keys take.

    cargo build --release && python3 benches/invalidate.py [NAME ...] [--rounds N] [--seconds N] [--keys N]

NAMEs: rates latency pending (default: all). Needs memcached and memcaslap (Debian: memcached libmemcached-tools).

rates    50 connections that write, against larder serve and against larder invalidate with each durability, by turns; the
         caches that it tells are two memcached on the same cores. And what the disk's own fsync does alone.
latency  10,000 deletes a second; from each answer to the moment when a cache reads the delete.
pending  keys of 30 bytes for a cache that is away: resident memory, and how fast they are replayed when it is there.
"""

import argparse
import multiprocessing
import os
import re
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack

from servers import LARDER, MIB, Server, ask, connect, free_port, larder, median, memcached, need, row, table

DIRECTORY = os.environ.get("LARDER_BENCH_DIR")


def invalidate(stack, ports, *extra):
    """larder invalidate in front of caches at these ports, its spool in a directory of its own."""
    home = stack.enter_context(tempfile.TemporaryDirectory(dir=DIRECTORY))
    servers = os.path.join(home, "servers.txt")
    with open(servers, "w") as file:
        file.writelines(f"127.0.0.1:{port} 1\n" for port in ports)
    port = free_port()
    args = [LARDER, "invalidate", "--listen", f"127.0.0.1:{port}", "--servers", servers,
            "--spool", os.path.join(home, "spool"), *extra]
    server = stack.enter_context(Server("larder invalidate", args, port))
    server.home = home
    return server


def stats(server):
    """The statistics, those of all caches added up."""
    text = ask(connect(server.memcached), b"stats invalidate\r\n", b"END\r\n").decode()
    found = {}
    for name, value in re.findall(r"STAT (?:\S+:)?(\S+) (\d+)\r\n", text):
        found[name] = found.get(name, 0) + int(value)
    return found


# ---------------------------------------------------------------------------------------------- rates


def fsyncs():
    """How often a second the disk's fsync returns after a write of 4 KiB."""
    with tempfile.NamedTemporaryFile(dir=DIRECTORY) as file:
        begun, count = time.monotonic(), 0
        while time.monotonic() < begun + 2:
            os.pwrite(file.fileno(), b"x" * 4096, (count % 1024) * 4096)
            os.fdatasync(file.fileno())
            count += 1
        return count / 2


def rates(options):
    with ExitStack() as stack:
        config = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".cfg"))
        config.write("key\n30 30 1\nvalue\n100 100 1\ncmd\n0 1\n1 0\n")
        config.flush()

        def measure(server):
            out = subprocess.run(
                ["memcaslap", "-s", f"127.0.0.1:{server.memcached}", "-T", "2", "-c", "50", "-t", f"{options.seconds}s",
                 "-F", config.name], capture_output=True, text=True, check=True).stdout
            return int(re.search(r"TPS: (\d+)", out)[1])

        serve = stack.enter_context(larder())
        caches = [stack.enter_context(memcached()).memcached for _ in range(2)]
        results = {name: [] for name in ("serve", "none", "os", "fsync")}
        groups = []
        for _ in range(options.rounds):
            results["serve"].append(measure(serve))
            for durability in ("none", "os", "fsync"):
                with ExitStack() as inner:
                    server = invalidate(inner, caches, "--durability", durability)
                    results[durability].append(measure(server))
                    if durability == "fsync":
                        counted = stats(server)
                        groups.append(counted["recorded"] / counted["commits"])
        own = median(results["serve"])
        for durability, goal in (("none", "at least 0.60"), ("os", "at least 20,000"), ("fsync", "")):
            ratios = [x / y for x, y in zip(results[durability], results["serve"])]
            row(f"50 connections, set, --durability {durability}: answers/s", f"{median(results[durability]):,.0f}",
                f"larder serve {own:,.0f}", f"{median(ratios):.2f}", goal)
        row("changes a transaction with fsync", f"{median(groups):.0f}", f"the disk: {fsyncs():,.0f} fsync/s", "", "")


# ---------------------------------------------------------------------------------------------- latency


def witness(port, count, out):
    """A cache that has nothing, and notes when it reads each delete."""
    listener = socket.create_server(("127.0.0.1", port))
    poller, open_ = __import__("selectors").DefaultSelector(), {}
    poller.register(listener, 1)
    times = [0] * count
    left = count
    while left:
        for key, _ in poller.select():
            if key.fileobj is listener:
                s, _ = listener.accept()
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                poller.register(s, 1)
                open_[s] = b""
                continue
            s = key.fileobj
            data = s.recv(65536)
            now = time.monotonic_ns()
            if not data:
                poller.unregister(s)
                continue
            *lines, open_[s] = (open_[s] + data).split(b"\r\n")
            reply = []
            for line in lines:
                if line.startswith(b"delete "):
                    times[int(line[7:])] = now
                    left -= 1
                    reply.append(b"NOT_FOUND\r\n")
                else:
                    reply.append(b"VERSION 1\r\n")
            s.sendall(b"".join(reply))
    out.send(times)


def latency(options):
    rate, count = 10_000, 10_000 * options.seconds
    with ExitStack() as stack:
        port = free_port()
        here, there = multiprocessing.Pipe(False)
        process = multiprocessing.Process(target=witness, args=(port, count, there), daemon=True)
        process.start()
        connect(port).close()
        server = invalidate(stack, [port])
        s = connect(server.memcached)
        answered = []
        begun = time.monotonic()
        sent = 0
        # Ten a millisecond: the deletes that are due are sent at once, then the answers are read.
        while sent < count:
            due = min(count, int((time.monotonic() - begun) * rate))
            if due == sent:
                time.sleep(0.0005)
                continue
            s.sendall(b"".join(b"delete %d\r\n" % number for number in range(sent, due)))
            got = 0
            while got < 9 * (due - sent):
                got += len(s.recv(65536))
                answered += [time.monotonic_ns()] * (got // 9 - (len(answered) - sent))
            sent = due
        took = time.monotonic() - begun
        applied = here.recv()
        process.join()
        late = sorted((b - a) / 1e6 for a, b in zip(answered, applied))
        at = lambda part: f"{max(late[int(part * (count - 1))], 0):.2f} ms"
        row(f"from answer to delete at {count / took:,.0f}/s: 99%", at(0.99), f"half {at(0.5)}, 99.9% {at(0.999)}", "",
            "under 5 ms")


# ---------------------------------------------------------------------------------------------- pending


def pending(options):
    with ExitStack() as stack:
        away = free_port()
        server = invalidate(stack, [away], "--max-pending", str(2 * options.keys))
        s = connect(server.memcached)
        begun, most = time.monotonic(), 0
        step = 10_000
        for first in range(0, options.keys, step):
            # Keys in no order, as hashes of users and pages are.
            numbers = ((n * 0x9E3779B97F4A7C15) % (1 << 64) for n in range(first, first + step))
            s.sendall(b"".join(b"delete key:%026x noreply\r\n" % n for n in numbers))
            ask(s, b"mn\r\n", b"MN\r\n")
            if first % 500_000 == 0:
                most = max(most, server.resident())
        while stats(server)["recorded"] < options.keys:
            time.sleep(0.1)
        took = time.monotonic() - begun
        most = max(most, server.resident())
        waiting = stats(server)["pending"]
        size = os.path.getsize(os.path.join(server.home, "spool", "spool.redb"))
        row(f"{waiting:,} keys pending: resident, most", f"{most / MIB:.0f} MiB", f"spool {size / MIB:,.0f} MiB", "",
            "under 256 MiB")
        row("recorded meanwhile: keys/s", f"{options.keys / took:,.0f}", "", "", "")
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        cache = stack.enter_context(
            Server("memcached", ["memcached", "-l", "127.0.0.1", "-p", str(away), *user], away))
        while stats(server)["pending"] == waiting:
            time.sleep(0.001)
        begun, before = time.monotonic(), stats(server)["pending"]
        while (left := stats(server)["pending"]) > 0:
            most = max(most, server.resident())
            time.sleep(0.01)
        took = time.monotonic() - begun
        row("replayed: keys/s", f"{(before - left) / took:,.0f}", f"resident, most {most / MIB:.0f} MiB", "",
            "at least 50,000")
        del cache


MEASURES = {"rates": rates, "latency": latency, "pending": pending}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(MEASURES))
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the rates (default 3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run (default 5)")
    parser.add_argument("--keys", type=int, default=10_000_000, help="pending keys (default 10000000)")
    options = parser.parse_args()
    for name in options.names:
        if name not in MEASURES:
            parser.error(f"{name} is none of: {' '.join(MEASURES)}")
    need("memcached", "redis-server", "memcaslap")
    with table(f"medians of {options.rounds} rounds", beside="beside"):
        for name in options.names or MEASURES:
            MEASURES[name](options)


if __name__ == "__main__":
    main()
