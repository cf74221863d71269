#!/usr/bin/env python3
"""Measures larder beside memcached and redis-server with larder bench, and prints a table.

    cargo build --release && python3 benches/measure.py [NAME ...] [--seconds N]

NAMEs: memcached shared large resp reconnect open idle items full start quiet (default: all). Needs memcached and redis-server
(Debian: memcached redis-server); Linux, Python 3.9 or later, nothing else. LARDER_MEMCACHED and LARDER_REDIS are paths of
newer ones, LARDER_VALKEY adds Valkey to the loads of RESP.

Rates and latencies are of short slices by turns, ours and theirs. The ratio is the median of the ratios of the pairs, and
the middle half of the pairs lies between the two numbers behind it: if 1 lies there too, the run doesn't tell the servers
apart. Load and servers share the machine's cores. Servers listen on free ports and are ended when the script ends.
"""

import argparse
import re
import resource
import subprocess
import sys
import time

from servers import (MEMCACHED, MIB, REDIS, VALKEY, ask, bench, connect, echo, larder, median, memcached, need, redis, report,
                     row, switches_of, table, valkey, versus)

ITEMS = ["--keys", "10000", "--key-size", "30", "--value-size", "100"]
GET, SET, MIX = ["--ratio", "1:0"], ["--ratio", "0:1"], ["--ratio", "9:1"]
RATE, TAIL, FAR_TAIL, PROCESSOR = "operations/s", "99th percentile, µs", "99.9th percentile, µs", "processor time, µs"


def connections(count):
    return ["--connections", str(count)]


# ---------------------------------------------------------------------------------------------- rates and latencies


def memcached_loads(options):
    """memcached's text protocol without pipelining."""
    goals = {RATE: "at least 1.4", TAIL: "at most 0.6"}
    with larder() as ours, memcached() as theirs:
        for count in (2, 8, 64, 256):
            found = versus(ours, theirs, "memcached", options.seconds, *ITEMS, *GET, *connections(count))
            report(f"memcached get, {count} connections", found, "memcached", goals)
        for what, ratio in (("set", SET), ("9:1", MIX)):
            found = versus(ours, theirs, "memcached", options.seconds, *ITEMS, *ratio, *connections(64))
            report(f"memcached {what}, 64 connections", found, "memcached", goals)


def shared(options):
    """The same beside others: two loads, a busy process, and one core for each side."""
    goals = {RATE: "at least 1.1", TAIL: "at most 1"}
    load = [*ITEMS, *MIX, *connections(64)]
    with larder() as ours, memcached() as theirs:
        found = versus(ours, theirs, "memcached", options.seconds, *load, "--threads", "2")
        report("memcached 9:1, 64 connections, 2 threads of load", found, "memcached", goals)
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        found = versus(ours, theirs, "memcached", options.seconds, *load)
        busy.kill()
        busy.wait()
        report("memcached 9:1, 64 connections, beside a busy process", found, "memcached", goals)
    with larder(core=1) as ours, memcached(core=1) as theirs:
        found = versus(ours, theirs, "memcached", options.seconds, *load, core=0)
        report("memcached 9:1, 64 connections, a core for each side", found, "memcached", goals)
    with larder(core=0) as ours, memcached(core=0) as theirs:
        for what, ratio in (("get", GET), ("set", SET)):
            found = versus(ours, theirs, "memcached", options.seconds, *ITEMS, *ratio, *connections(8), "--pipeline", "64",
                           core=0)
            report(f"memcached {what}, 64 in a packet, all on one core", found, "memcached",
                   {RATE: "", PROCESSOR: "at most 0.4"})
    with larder() as ours, echo() as theirs:
        found = versus(ours, theirs, ("memcached", "echo"), options.seconds, *ITEMS, *GET, *connections(64))
        report("memcached get, 64 connections, beside larder echo", found, "echo", {RATE: "at least 0.92"})


def large(options):
    """Several keys in a get, and values of 16 and of 512 KiB."""
    for protocol, peer in (("memcached", memcached), ("resp", redis)):
        with larder() as ours, peer() as theirs:
            loads = [("get of 100 keys, 8 connections", [*ITEMS, *GET, "--multi-get", "100", *connections(8)],
                      {RATE: "at least 2", TAIL: "", PROCESSOR: ""})]
            for what, ratio in (("get", GET), ("set", SET)):
                loads.append((f"{what} of 16 KiB, 64 connections",
                              [*ratio, "--keys", "1000", "--value-size", "16KiB", *connections(64)],
                              {RATE: "at least 1.2", TAIL: ""}))
                loads.append((f"{what} of 512 KiB, 8 connections",
                              [*ratio, "--keys", "50", "--value-size", "512KiB", *connections(8)],
                              {RATE: "at least 1.2", TAIL: "", PROCESSOR: "at most 1"}))
            for what, load, goals in loads:
                report(f"{protocol} {what}", versus(ours, theirs, protocol, options.seconds, *load), theirs.name, goals)


def resp_loads(options):
    """RESP with 50 connections, one request at a time and 32 in a packet."""
    for peer in (redis, valkey) if VALKEY else (redis,):
        with larder() as ours, peer() as theirs:
            for pipeline, goals in ((1, {RATE: "at least 1.2", TAIL: "at most 0.8"}), (32, {RATE: "at least 2.2", TAIL: ""})):
                for what, ratio in (("GET", GET), ("SET", SET)):
                    load = [*ITEMS, *ratio, *connections(50), "--pipeline", str(pipeline)]
                    found = versus(ours, theirs, "resp", options.seconds, *load)
                    report(f"{theirs.name} {what}, 50 connections, {pipeline} in a packet", found, theirs.name, goals)


def reconnect(options):
    """Connect, one get, close, by four threads."""
    load = [*ITEMS, *GET, *connections(4), "--threads", "4", "--reconnect"]
    for protocol, peer in (("memcached", memcached), ("resp", redis)):
        with larder() as ours, peer() as theirs:
            found = versus(ours, theirs, protocol, options.seconds, *load)
            report(f"{protocol}, a connection for each get", found, theirs.name, {RATE: "at least 1.1"})


def open_loop(options):
    """Half of the peer's highest rate, at fixed times. A pause of the machine decides a slice, so it takes four times as many."""
    for protocol, peer in (("memcached", memcached), ("resp", redis)):
        load = [*ITEMS, *MIX, *connections(50)]
        with larder() as ours, peer() as theirs:
            most = bench([f"127.0.0.1:{getattr(theirs, protocol)}", "--protocol", protocol, *load, "--seconds", "2"])["rate"]
            found = versus(ours, theirs, protocol, 4 * options.seconds, *load, "--rate", f"{most / 2:.0f}")
            report(f"{protocol} 9:1, 50 connections, open loop", found, theirs.name,
                   {TAIL: "at most 1", FAR_TAIL: "at most 1"})


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


def quiet(_):
    """How often an idle server wakes up in five seconds."""
    with larder() as ours, memcached() as theirs, redis() as other:
        servers = (ours, theirs, other)
        for server in servers:
            if server.memcached:
                fill(server.memcached, 1000)
        time.sleep(1)
        before = [switches_of(server.process)[0] for server in servers]
        time.sleep(5)
        woken = [switches_of(server.process)[0] - was for server, was in zip(servers, before)]
    row("an idle server: wake-ups in 5 s", f"{woken[0]}", f"memcached {woken[1]}, redis {woken[2]}", "", "0")


# ---------------------------------------------------------------------------------------------- the table


MEASURES = {
    "memcached": memcached_loads, "shared": shared, "large": large, "resp": resp_loads, "reconnect": reconnect,
    "open": open_loop, "idle": idle, "items": items, "full": full, "start": start, "quiet": quiet,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(MEASURES))
    parser.add_argument("--seconds", type=float, default=4, help="how long each server is measured in a comparison (default 4)")
    options = parser.parse_args()
    for name in options.names:
        if name not in MEASURES:
            parser.error(f"{name} is none of: {' '.join(MEASURES)}")
    need(MEMCACHED, REDIS, *([VALKEY] if VALKEY else []), "taskset")
    resource.setrlimit(resource.RLIMIT_NOFILE, (12_000, max(12_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with table(f"{options.seconds:g} s for each server, in slices of 0.25 s by turns"):
        for name in options.names or MEASURES:
            MEASURES[name](options)


if __name__ == "__main__":
    main()
