#!/usr/bin/env python3
"""Changes the sizes of values under a limit of memory, and watches what the server keeps resident.

    cargo build --release && python3 benches/memory.py [NAME ...] [--scale N] [--memcached PROGRAM]

NAMEs: memcached resp (default: both). `memcached` fills larder and memcached, each with 128 MiB, with values of one size
after the other, lets a million of them expire, deletes and flushes; `resp` grows 3,000 keys of larder with 64 MiB by
SETRANGE among 900,000 small ones. --scale 0.1 does a tenth of each. Linux, Python 3.9 or later.

Resident memory is read from /proc every five milliseconds. Beside the load another process sends one request at a time, a
set and a get by turns, and notes how long each took: the slowest is the longest pause, that of the machine included.
"""

import argparse
import multiprocessing
import os
import random
import threading
import time

from servers import LARDER, MIB, Server, ask, connect, free_port

VALUE = os.urandom(600_000).replace(b"\r", b".").replace(b"\n", b".")
BATCH = 256 << 10


def resident(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Memory(threading.Thread):
    """Reads a process's resident memory until it is stopped; `peak` is the largest since it was last set to 0."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.running = pid, 0, True

    def run(self):
        while self.running:
            self.peak = max(self.peak, resident(self.pid))
            time.sleep(0.005)


def probe(requests, port, stop, slowest):
    """Sends one request at a time until it is stopped; `slowest` is the longest time of one, in seconds."""
    s = connect(port)
    while not stop.is_set():
        for request, end in requests:
            begun = time.perf_counter()
            ask(s, request, end)
            slowest.value = max(slowest.value, time.perf_counter() - begun)
        time.sleep(0.0005)


class Batches:
    """Requests that are sent some hundred kilobytes at a time; `sync` waits for the answer to all of a batch."""

    def __init__(self, port, sync):
        self.socket, self.sync = connect(port), sync
        self.parts, self.bytes, self.requests = [], 0, 0

    def add(self, *parts):
        self.parts += parts
        self.bytes += sum(map(len, parts))
        self.requests += 1
        if self.bytes > BATCH:
            self.flush()

    def flush(self):
        self.socket.sendall(b"".join(self.parts))
        self.sync(self.socket, self.requests)
        self.parts, self.bytes, self.requests = [], 0, 0


def value(length):
    start = random.randrange(len(VALUE) - length + 1) if length < 1000 else 0
    return VALUE[start : start + length]


# --- memcached


def memcached_sync(s, _):
    ask(s, b"version\r\n", b"\r\n")


def sets(name, count, length, exptime=0):
    def run(batches):
        for i in range(count):
            data = value(length())
            batches.add(b"set %s:%d 0 %d %d noreply\r\n" % (name, i, exptime, len(data)), data, b"\r\n")

    return run


def changes(keys, rounds):
    def run(batches):
        for i in range(keys * rounds):
            data = value(random.choice((10, 100, 1000, 10_000, 60_000)))
            batches.add(b"set change:%d 0 0 %d noreply\r\n" % (random.randrange(keys), len(data)), data, b"\r\n")

    return run


def expire(batches):
    batches.flush()
    time.sleep(4)


def deletes(name, count):
    def run(batches):
        for i in range(count):
            batches.add(b"delete %s:%d noreply\r\n" % (name, i))

    return run


def flush_all(batches):
    batches.add(b"flush_all noreply\r\n")
    batches.flush()
    time.sleep(1)


def memcached_phases(scale):
    def n(count):
        return max(1, int(count * scale))

    return [
        (f"{n(1_500_000):,} of 100 bytes", sets(b"a", n(1_500_000), lambda: 100)),
        (f"{n(60_000):,} of 4 KB", sets(b"b", n(60_000), lambda: 4000)),
        (f"{n(60_000):,} of 10 to 60,000 bytes", sets(b"c", n(60_000), lambda: random.randint(10, 60_000))),
        (f"{n(1_500_000):,} of 100 bytes again", sets(b"d", n(1_500_000), lambda: 100)),
        (f"{n(600):,} of 500 KB", sets(b"e", n(600), lambda: 500_000)),
        (f"{n(50_000):,} keys that change size", changes(n(50_000), 3)),
        (f"{n(1_000_000):,} of 20 bytes for 2 s", sets(b"f", n(1_000_000), lambda: 20, exptime=2)),
        ("4 s later", expire),
        (f"{n(60_000):,} of 10 to 60,000 bytes", sets(b"g", n(60_000), lambda: random.randint(10, 60_000))),
        (f"{n(60_000):,} deletes", deletes(b"g", n(60_000))),
        (f"{n(1_500_000):,} of 100 bytes again", sets(b"h", n(1_500_000), lambda: 100)),
        ("flush_all", flush_all),
        (f"{n(600):,} of 500 KB", sets(b"i", n(600), lambda: 500_000)),
    ]


MEMCACHED_PROBE = [(b"set probe 0 0 5\r\nvalue\r\n", b"STORED\r\n"), (b"get probe\r\n", b"END\r\n")]

# --- RESP


def resp_sync(s, requests):
    got = 0
    while got < requests:
        got += s.recv(1 << 20).count(b"\n")


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def small(name, count):
    def run(batches):
        for i in range(count):
            batches.add(command(b"SET", b"%s:%d" % (name, i), value(50)))

    return run


def growing(count, keys):
    def run(batches):
        for i in range(count):
            round, key = divmod(i, keys)
            end = 50_000 * (round + 1) * keys // count
            batches.add(command(b"SETRANGE", b"grow:%d" % key, b"%d" % max(0, end - 100), value(100)))

    return run


def fields(count):
    def run(batches):
        for i in range(count):
            batches.add(command(b"HSET", b"hash:%d" % (i // 5), b"field:%d" % (i % 5), b"value"))

    return run


def resp_phases(scale):
    def n(count):
        return max(1, int(count * scale))

    keys, grown = n(3000), n(200_000)
    return [
        (f"{n(900_000):,} of 50 bytes", small(b"a", n(900_000))),
        (f"{grown:,} SETRANGE that grow {keys:,} keys to 50 KB", growing(grown, keys)),
        (f"{n(900_000):,} of 50 bytes again", small(b"b", n(900_000))),
        (f"{n(1_000_000):,} fields of hashes of five", fields(n(1_000_000))),
        (f"{n(900_000):,} of 50 bytes again", small(b"c", n(900_000))),
        (f"{grown:,} SETRANGE again", growing(grown, keys)),
    ]


# A full cache may have evicted the item in between: then the reply is a null.
RESP_PROBE = [(command(b"SET", b"probe", b"value"), b"+OK\r\n"), (command(b"GET", b"probe"), b"\r\n")]


def run(server, port, phases, requests, sync, limit):
    memory = Memory(server.process.pid)
    empty = resident(server.process.pid)
    memory.start()
    stop, slowest = multiprocessing.Event(), multiprocessing.Value("d", 0.0)
    prober = multiprocessing.Process(target=probe, args=(requests, port, stop, slowest), daemon=True)
    prober.start()
    batches = Batches(port, sync)
    print(f"{server.name}, limit {limit} MiB, empty {empty / MIB:.1f} MiB: resident MiB")
    print(f"  {'':52} {'largest':>8} {'at the end':>11} {'above empty':>12} {'slowest request':>16} {'seconds':>8}")
    random.seed(1)
    most = pause = 0
    for name, phase in phases:
        memory.peak, slowest.value, begun = 0, 0.0, time.monotonic()
        phase(batches)
        batches.flush()
        time.sleep(0.2)
        peak, now, slow = memory.peak, resident(server.process.pid), slowest.value
        most, pause = max(most, peak), max(pause, slow)
        above = f"{(peak - empty) / MIB / limit:.3f} ×"
        seconds = time.monotonic() - begun
        print(f"  {name:52} {peak / MIB:8.1f} {now / MIB:11.1f} {above:>12} {slow * 1000:13.1f} ms {seconds:8.1f}", flush=True)
    above = f"{(most - empty) / MIB / limit:.3f} ×"
    print(f"  {'all':52} {most / MIB:8.1f} {now / MIB:11.1f} {above:>12} {pause * 1000:13.1f} ms", flush=True)
    stop.set()
    prober.join()
    memory.running = False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=["memcached", "resp"])
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--larder", default=LARDER)
    parser.add_argument("--memcached", default="memcached")
    options = parser.parse_args()
    if "memcached" in options.names:
        for name in ("larder", "memcached"):
            port = free_port()
            if name == "larder":
                args = [options.larder, "--memcached", f"127.0.0.1:{port}", "--resp", "off", "--memory", "128MiB"]
            else:
                args = [options.memcached, "-l", "127.0.0.1", "-p", str(port), "-m", "128", "-u", "nobody"]
            with Server(name, args, memcached=port) as server:
                run(server, port, memcached_phases(options.scale), MEMCACHED_PROBE, memcached_sync, 128)
    if "resp" in options.names:
        port = free_port()
        args = [options.larder, "--memcached", "off", "--resp", f"127.0.0.1:{port}", "--memory", "64MiB"]
        with Server("larder", args, resp=port) as server:
            run(server, port, resp_phases(options.scale), RESP_PROBE, resp_sync, 64)


if __name__ == "__main__":
    main()
