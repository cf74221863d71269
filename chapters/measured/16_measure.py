#!/usr/bin/env python3
"""The figures of chapter 16: python3 chapters/measured/16_measure.py [NAME ...], in the checkout, with a release build.

NAMEs: stopped stages regex switches spinning (default: all). `spinning` needs target/spinning/spinning and
target/spinning/sleeping, which 16_measure.sh builds.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches"))

from servers import LARDER, bench, larder, median, memcached, redis, switches_of  # noqa: E402

EXAMPLES = pathlib.Path(LARDER).parent / "examples"
BUILDS = ROOT / "target" / "spinning"
GET, SET = ["--ratio", "1:0"], ["--ratio", "0:1"]


def load(address, seconds, *more):
    return [address, "--seconds", str(seconds), "--warm-up", "0.2", *more]


# ---------------------------------------------------------------------------------------------- a server that stops


def stopped():
    """larder, stopped for a second by a signal, seen by a closed loop and by an open one."""
    shares = (("p50_us", "2"), ("p90_us", "10"), ("p99_us", "100"), ("p99.9_us", "1,000"), ("p99.99_us", "10,000"))

    def show(what, latencies):
        print(f"{what}: {latencies['requests']:,} requests")
        for name, share in shares:
            print(f"1 of {share} took at least {latencies[name] / 1000:.3f}ms")
        print(f"the slowest took {latencies['max_us'] / 1000:.0f}ms\n", flush=True)

    with larder() as server:
        address = f"127.0.0.1:{server.memcached}"
        for rate in ([], ["--rate", "10000"]):
            command = [LARDER, "bench", *load(address, 5, "--connections", "16", *rate), "--json"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
                time.sleep(2)
                server.process.send_signal(signal.SIGSTOP)
                time.sleep(1)
                server.process.send_signal(signal.SIGCONT)
                report = json.loads(running.stdout.read())
            if rate:
                show("open loop of 10,000 requests a second", report["all"])
                show("the open loop, counted from sending", report["from_sending"])
            else:
                show("closed loop of 16 connections", report["all"])


# ---------------------------------------------------------------------------------------------- all stages


@contextmanager
def stage(name, protocol, *arguments):
    """A stage of the book on a free port: the address of its listener for a protocol."""
    process = subprocess.Popen([EXAMPLES / name, "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        for line in process.stdout:
            if line.startswith(f"listening on {protocol} "):
                yield line.split()[-1]
                return
        raise SystemExit(f"{name} doesn't listen for {protocol}")
    finally:
        process.kill()
        process.wait()


def stages():
    """Every stage of the book, larder and the real servers under the same load: 4 connections, as many as stage 2 has threads."""
    with ExitStack() as stack:
        cache, store = stack.enter_context(memcached()), stack.enter_context(redis())
        servers = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".txt"))
        servers.write(f"127.0.0.1:{cache.memcached} 1\n")
        servers.flush()
        spool = os.path.join(stack.enter_context(tempfile.TemporaryDirectory(dir=ROOT / "target")), "spool.redb")
        both = stack.enter_context(larder())
        memcached_get, resp_get = ("memcached", GET), ("resp", GET)
        change = ("memcached", [*SET, "--no-fill"])
        several = [
            ("1 echo", stage("01_echo", "echo"), "echo", []),
            ("2 pool", stage("02_pool", "echo"), "echo", []),
            ("3 lines", stage("03_lines", "memcached"), *memcached_get),
            ("4 store", stage("04_store", "memcached"), *memcached_get),
            ("5 paths", stage("05_paths", "memcached"), *memcached_get),
            ("6 RESP", stage("06_resp", "resp"), *resp_get),
            ("7 turns", stage("07_turns", "memcached"), *memcached_get),
            ("8 forward", stage("08_forward", "resp", f"127.0.0.1:{store.resp}"), *resp_get),
            ("9 ketama", stage("09_ketama", "memcached", servers.name), *memcached_get),
            ("10 failing", stage("10_failing", "memcached", servers.name), *memcached_get),
            ("11 invalidate", stage("11_invalidate", "invalidate", servers.name), *change),
            ("12 spool", stage("12_spool", "invalidate", servers.name, spool), *change),
        ]
        running = [(name, stack.enter_context(started), ["--protocol", protocol, *more])
                   for name, started, protocol, more in several]
        running += [
            ("larder, memcached", f"127.0.0.1:{both.memcached}", GET),
            ("larder, RESP", f"127.0.0.1:{both.resp}", GET),
            ("memcached", f"127.0.0.1:{cache.memcached}", GET),
            ("redis-server", f"127.0.0.1:{store.resp}", GET),
        ]
        found = {name: [] for name, _, _ in running}
        for turn in range(3):
            for name, address, more in running if turn % 2 == 0 else reversed(running):
                report = bench(load(address, 0.7, "--connections", "4", "--keys", "1000", *more))
                found[name].append((report["rate"], report["all"]["p50_us"], report["all"]["p99_us"]))
    print("all stages, 4 connections, one request at a time, medians of 3 runs by turns")
    for name, runs in found.items():
        rate, half, most = (median(run[figure] for run in runs) for figure in range(3))
        print(f"{name}: {rate:,.0f} requests/s, half within {half:,.0f}µs, 99% within {most:,.0f}µs")
    print(flush=True)


# ---------------------------------------------------------------------------------------------- the regex


def regex():
    """Nanoseconds of reading a line, with and without the scanner in front of the regex, and of a whole request."""
    command = ["cargo", "bench", "-q", "--locked", "--bench", "operations", "--", "--warm-up-time", "0.5", "--measurement-time", "1",
               "parsers"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    print("reading one request, by Criterion: the middle of its interval")
    for name, middle in re.findall(r"parsers/(.+?)\s+time:\s+\[\S+ \S+ (\S+ \S+) \S+ \S+\]", out):
        value, unit = middle.split()
        print(f"{name}: {float(value) * {'ns': 1, 'µs': 1000}[unit]:.1f} ns")
    with larder() as server:
        for pipeline in ("1", "64"):
            report = bench(load(f"127.0.0.1:{server.memcached}", 2, "--connections", "16", "--pipeline", pipeline, *GET,
                                "--pid", str(server.process.pid)))
            spent = report["server"]["processor_us_per_operation"]
            print(f"a whole get in the server, {pipeline} in a packet: {spent * 1000:,.0f} ns of processor time")
    print(flush=True)


# ---------------------------------------------------------------------------------------------- context switches


def switches():
    """How often the system changes from one thread to another for 1,000 requests of 64 connections."""
    print("context switches of the server for 1,000 gets of 64 connections")
    for name, server in (
        ("larder, 1 worker", larder("--workers", "1")),
        ("larder, 2 workers", larder("--workers", "2")),
        ("larder, a thread for each connection", larder("--model", "threads")),
        ("memcached, 4 threads", memcached()),
        ("redis-server, through RESP", redis()),
    ):
        with server:
            address = f"127.0.0.1:{server.memcached or server.resp}"
            bench(load(address, 0.2))
            before = switches_of(server.process)
            # The same connections are filled, warmed up and measured: all of it counts on both sides of the division.
            report = bench([address, "--seconds", "2", "--warm-up", "0", "--connections", "64", "--no-fill", *GET,
                            "--pid", str(server.process.pid)])
            waits, taken = ((after - was) / report["requests"] * 1000
                            for was, after in zip(before, switches_of(server.process)))
            spent = report["server"]["processor_us_per_operation"]
        print(f"{name}: {waits:.0f} waits, {taken:.0f} interruptions; {report['rate']:,.0f} requests/s, "
              f"{spent:.2f}µs of processor time each", flush=True)
    print(flush=True)


# ---------------------------------------------------------------------------------------------- spinning


def spinning():
    """The tail with workers that look again before they sleep, and without."""
    loads = (
        ("8 connections", ["--connections", "8", *GET]),
        ("64 connections", ["--connections", "64", *GET]),
        ("64 connections, sets", ["--connections", "64", *SET]),
        ("64, two threads of load", ["--connections", "64", "--threads", "2", *GET]),
        ("8, 32 in a packet", ["--connections", "8", "--pipeline", "32", *GET]),
    )
    old, patched = BUILDS / "spinning", BUILDS / "sleeping"
    with ExitStack() as stack:
        servers = [
            ("memcached", memcached()),
            ("2 workers that look 4 times", larder("--workers", "2", program=old)),
            ("2 workers that sleep", larder("--workers", "2", program=patched)),
            ("1 worker that sleeps", larder("--workers", "1", program=patched)),
            ("larder today", larder()),
        ]
        addresses = [(name, f"127.0.0.1:{stack.enter_context(server).memcached}") for name, server in servers]
        for what, more in loads:
            found = {name: [] for name, _ in addresses}
            for turn in range(5):
                for name, address in addresses if turn % 2 == 0 else reversed(addresses):
                    report = bench(load(address, 0.4, "--keys", "1000", *more))
                    found[name].append((report["rate"], report["all"]["p50_us"], report["all"]["p99_us"]))
            print(f"load: {what}")
            for name, runs in found.items():
                rate, half, most = (median(run[figure] for run in runs) for figure in range(3))
                print(f"{name}: {rate:,.0f} requests/s, half within {half:,.0f}µs, 99% within {most:,.0f}µs")
            print(flush=True)


SECTIONS = {section.__name__: section for section in (stopped, stages, regex, switches, spinning)}

if __name__ == "__main__":
    for name in sys.argv[1:] or SECTIONS:
        SECTIONS[name]()
