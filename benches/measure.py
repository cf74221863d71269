#!/usr/bin/env python3
"""Measures larder beside memcached and redis-server, and prints a table.

    cargo build --release && python3 benches/measure.py [NAME ...] [--rounds N] [--seconds N]

NAMEs: memcached redis idle items full start (default: all). Needs memcached, redis-server, redis-benchmark and
memcaslap (Debian: memcached redis-server redis-tools libmemcached-tools); Linux, Python 3.9 or later, nothing else.

Every comparison runs in interleaved pairs, ours and theirs by turns, and gives the median of the rounds, because one
run differs from the next by a fifth on a busy machine. Load and servers share the machine's cores. All servers listen
on free ports of 127.0.0.1 and are ended when the script ends.
"""

import argparse
import os
import platform
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LARDER = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "larder")
MIB = 1 << 20


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(port, deadline=10.0):
    """A connection to 127.0.0.1:port, tried until the server accepts."""
    end = time.monotonic() + deadline
    while True:
        try:
            s = socket.create_connection(("127.0.0.1", port), timeout=30)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return s
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.001)


def ask(s, line, end):
    s.sendall(line)
    got = b""
    while not got.endswith(end):
        piece = s.recv(65536)
        if not piece:
            raise SystemExit(f"connection closed after {got!r}")
        got += piece
    return got


class Server:
    """A server process on free ports, ended with the block that it is used in."""

    def __init__(self, name, args, memcached=None, resp=None):
        self.name, self.memcached, self.resp = name, memcached, resp
        self.begun = time.monotonic()
        self.process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        if self.memcached:
            ask(connect(self.memcached), b"version\r\n", b"\r\n")
        else:
            ask(connect(self.resp), b"PING\r\n", b"\r\n")
        self.ready = time.monotonic() - self.begun
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def resident(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024


def larder(*extra):
    m, r = free_port(), free_port()
    return Server("larder", [LARDER, "--memcached", f"127.0.0.1:{m}", "--resp", f"127.0.0.1:{r}", *extra], m, r)


def memcached(*extra):
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return Server("memcached", ["memcached", "-l", "127.0.0.1", "-p", str(port), *user, *extra], port)


def redis(*extra):
    port = free_port()
    args = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", *extra]
    return Server("redis", args, resp=port)


def median(values):
    return statistics.median(values)


def pairs(ours, theirs, rounds, measure):
    """Medians of `measure` over interleaved rounds, and the median of the ratios of each pair."""
    with ours as a, theirs as b:
        results = []
        for turn in range(rounds):
            first, second = (a, b) if turn % 2 == 0 else (b, a)
            one = {first.name: measure(first)}
            one[second.name] = measure(second)
            results.append((one[a.name], one[b.name]))
    return (
        median(x for x, _ in results),
        median(y for _, y in results),
        median(x / y for x, y in results),
    )


def row(what, ours, theirs, ratio, goal):
    print(f"{what:57} {ours:>9}  {theirs:27} {ratio:>5}  {goal}".rstrip(), flush=True)


# ---------------------------------------------------------------------------------------------- rates


def memcached_rate(options):
    """64 connections, 90% get, 10% set, 30-byte keys, 100-byte values, by memcaslap."""
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        config.write("key\n30 30 1\nvalue\n100 100 1\ncmd\n0 0.1\n1 0.9\n")
        config.flush()

        def measure(server):
            out = subprocess.run(
                ["memcaslap", "-s", f"127.0.0.1:{server.memcached}", "-T", "2", "-c", "64",
                 "-t", f"{options.seconds}s", "-F", config.name],
                capture_output=True, text=True, check=True).stdout
            misses = re.search(r"get_misses: (\d+)", out)
            if misses and int(misses[1]) > 0:
                print(f"note: {server.name} missed {misses[1]} gets", file=sys.stderr)
            return int(re.search(r"TPS: (\d+)", out)[1])

        ours, theirs, ratio = pairs(larder(), memcached(), options.rounds, measure)
    row("memcaslap, 64 connections, 90% get: operations/s", f"{ours:,.0f}", f"memcached {theirs:,.0f}",
        f"{ratio:.2f}", "at least 1")


def redis_rate(options):
    for test in ("GET", "SET"):
        for pipeline, requests in ((1, 150_000), (32, 2_000_000)):
            def measure(server):
                subprocess.run(["redis-cli", "-p", str(server.resp), "set", "key:__rand_int__", "xxx"],
                               capture_output=True, check=True)
                out = subprocess.run(
                    ["redis-benchmark", "-p", str(server.resp), "-t", test.lower(), "-n", str(requests),
                     "-P", str(pipeline), "-c", "50", "--csv"],
                    capture_output=True, text=True, check=True).stdout
                return float(re.search(rf'"{test}","([\d.]+)"', out)[1])

            ours, theirs, ratio = pairs(larder(), redis(), options.rounds, measure)
            row(f"redis-benchmark -P {pipeline} {test}: operations/s", f"{ours:,.0f}", f"redis {theirs:,.0f}",
                f"{ratio:.2f}", "at least 1")


# ---------------------------------------------------------------------------------------------- memory


def idle(_):
    """Resident memory of 10,000 quiet connections, and what an active client loses beside them.

    The loss is between two servers of the same kind, one with the crowd and one without, asked by turns for a third of a
    second each.
    """
    count = 10_000

    def rate(active, hello, end):
        begun, done = time.monotonic(), 0
        while time.monotonic() - begun < 0.3:
            for _ in range(100):
                ask(active, hello, end)
            done += 100
        return done / (time.monotonic() - begun)

    def cost(start, protocol, hello, end):
        with start() as crowded, start() as lonely:
            port = getattr(crowded, protocol)
            first, second = connect(port), connect(getattr(lonely, protocol))
            rate(first, hello, end)
            before = crowded.resident()
            crowd = [connect(port) for _ in range(count)]
            for s in crowd:
                ask(s, hello, end)
            each = (crowded.resident() - before) / count
            losses = []
            for turn in range(30):
                order = ((first, second), (second, first))[turn % 2]
                rates = {s: rate(s, hello, end) for s in order}
                losses.append(1 - rates[first] / rates[second])
            for s in crowd:
                s.close()
            return crowded.name, each, median(losses)

    memcached_get, resp_get = (b"get a\r\n", b"END\r\n"), (b"GET a\r\n", b"$-1\r\n")
    ours, peers = lambda: larder("--max-connections", "11000"), (
        ("memcached", memcached_get, lambda: memcached("-c", "11000")),
        ("resp", resp_get, lambda: redis("--maxclients", "11000")),
    )
    for protocol, conversation, theirs in peers:
        _, each, loss = cost(ours, protocol, *conversation)
        name, their_each, their_loss = cost(theirs, protocol, *conversation)
        row(f"10,000 idle {protocol} connections: bytes each", f"{each:,.0f}", f"{name} {their_each:,.0f}",
            f"{each / their_each:.2f}", "under 1,024")
        row("  and an active client beside them is slower by", f"{loss:.1%}", f"{name} {their_loss:.1%}", "",
            "at most 5%")


def fill(port, count, value=100):
    """Stores `count` items of 30-byte keys."""
    s, body = connect(port), b"x" * value
    for begin in range(0, count, 1000):
        s.sendall(b"".join(
            b"set key:%026d 0 0 %d noreply\r\n%s\r\n" % (i, value, body) for i in range(begin, min(begin + 1000, count))))
    ask(s, b"version\r\n", b"\r\n")


def stat(port, name):
    text = ask(connect(port), b"stats\r\n", b"END\r\n").decode()
    return int(re.search(rf"STAT {name} (\d+)", text)[1])


def items(_):
    """Resident memory of a million items."""
    count, found = 1_000_000, {}
    for server in (larder("--memory", "1GiB"), memcached("-m", "1024")):
        with server:
            fill(server.memcached, count)
            if stat(server.memcached, "curr_items") != count:
                raise SystemExit(f"{server.name} did not keep {count} items")
            found[server.name] = server.resident() / count
    row("1,000,000 items of 30 + 100 bytes: bytes an item",
        f"{found['larder']:.1f}", f"memcached {found['memcached']:.1f}",
        f"{found['larder'] / found['memcached']:.2f}", "at most memcached's")


def full(_):
    """Resident memory of a full cache of 64 MiB."""
    with larder("--memory", "64MiB") as server:
        empty = server.resident()
        fill(server.memcached, 2_000_000)
        held, kept = server.resident(), stat(server.memcached, "curr_items")
    with memcached("-m", "64") as peer:
        their_empty = peer.resident()
        fill(peer.memcached, 2_000_000)
        theirs, their_kept = peer.resident(), stat(peer.memcached, "curr_items")
    row("64 MiB full of 100-byte values: × 64 MiB above empty",
        f"{(held - empty) / (64 * MIB):.3f}", f"memcached {(theirs - their_empty) / (64 * MIB):.3f}", "", "at most 1.15")
    row("  and the items that it keeps", f"{kept:,}", f"memcached {their_kept:,}", f"{kept / their_kept:.2f}", "")


def start(_):
    """Milliseconds from starting the process to its first answer."""
    found = {}
    for make in (larder, memcached, redis):
        times = []
        for _ in range(20):
            with make() as server:
                times.append(server.ready * 1000)
        found[server.name] = median(times)
    row("start to first answer, median of 20: ms", f"{found['larder']:.1f}",
        f"memcached {found['memcached']:.1f}, redis {found['redis']:.1f}", "", "under 50")


# ---------------------------------------------------------------------------------------------- the table


def version(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip().splitlines()[0]


def need(*programs):
    """Ends the script if something that it starts is missing."""
    for program in programs:
        if not shutil.which(program):
            raise SystemExit(f"{program} is not installed")
    if not os.path.exists(LARDER):
        raise SystemExit(f"{LARDER} is not there: cargo build --release first")


def heading(how, *more):
    """Prints the machine and the versions of all that is measured."""
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    redis_version = version("redis-server", "--version").split()[2].removeprefix("v=")
    versions = [version(LARDER, "--version"), version("memcached", "-V"), f"redis {redis_version}", *more]
    print(f"{cpu}, {os.cpu_count()} cores shared by servers and load; Linux {platform.release().split('-')[0]}; "
          f"{', '.join(versions)}; {time.strftime('%Y-%m-%d')}; {how}.\n")


MEASURES = {"memcached": memcached_rate, "redis": redis_rate, "idle": idle, "items": items, "full": full, "start": start}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(MEASURES))
    parser.add_argument("--rounds", type=int, default=5, help="interleaved pairs per comparison (default 5)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run of memcaslap (default 5)")
    options = parser.parse_args()
    for name in options.names:
        if name not in MEASURES:
            parser.error(f"{name} is none of: {' '.join(MEASURES)}")
    need("memcached", "redis-server", "redis-benchmark", "redis-cli", "memcaslap")
    resource.setrlimit(resource.RLIMIT_NOFILE, (12_000, max(12_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    heading(f"medians of {options.rounds} interleaved pairs")
    row("", "larder", "peer", "ratio", "goal")
    for name in options.names or MEASURES:
        MEASURES[name](options)


if __name__ == "__main__":
    main()
