#!/usr/bin/env python3
"""Measures larder proxy beside twemproxy (nutcracker), in front of the same servers, and prints a table.

    cargo build --release && python3 benches/proxy.py [NAME ...] [--rounds N] [--seconds N]

NAMEs: redis memcached crowd values (default: all). Needs what measure.py needs, and nutcracker (Debian: nutcracker).

Two redis-server, or two memcached, are shared by both proxies; load, proxies and servers share the machine's cores.
Proxies are measured in interleaved pairs, with their defaults but for the connections to each upstream: four for both.
"""

import argparse
import re
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack

from measure import LARDER, MIB, Server, ask, connect, free_port, heading, median, memcached, need, redis, row, version

CONNECTIONS = 4


class Proxy(Server):
    """A proxy, ready when it accepts: twemproxy closes the connection of who says PING by hand."""

    def __enter__(self):
        connect(self.memcached or self.resp).close()
        return self


def larder_proxy(stack, protocol, ports):
    port = free_port()
    upstreams = [f"127.0.0.1:{p}" for p in ports]
    args = [LARDER, "proxy", "--protocol", protocol, "--listen", f"127.0.0.1:{port}", "--connections", str(CONNECTIONS),
            "--upstream", *upstreams]
    return stack.enter_context(Proxy("larder", args, **{protocol: port}))


def nutcracker(stack, protocol, ports):
    port = free_port()
    config = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".yml"))
    servers = "".join(f"    - 127.0.0.1:{p}:1\n" for p in ports)
    config.write(f"pool:\n  listen: 127.0.0.1:{port}\n  hash: md5\n  distribution: ketama\n"
                 f"  redis: {'true' if protocol == 'resp' else 'false'}\n  server_connections: {CONNECTIONS}\n"
                 f"  servers:\n{servers}")
    config.flush()
    args = ["nutcracker", "-c", config.name, "-s", str(free_port()), "-a", "127.0.0.1"]
    return stack.enter_context(Proxy("twemproxy", args, **{protocol: port}))


def both(stack, protocol, server):
    """Two servers, and both proxies in front of them."""
    servers = [stack.enter_context(server()) for _ in range(2)]
    ports = [getattr(server, protocol) for server in servers]
    return servers, larder_proxy(stack, protocol, ports), nutcracker(stack, protocol, ports)


def rounds(options, ours, theirs, measure):
    """For each quantity that `measure` names: the medians of both, and the median of the ratios of the pairs."""
    results = []
    for turn in range(options.rounds):
        order = (ours, theirs) if turn % 2 == 0 else (theirs, ours)
        found = {server.name: measure(server) for server in order}
        results.append((found[ours.name], found[theirs.name]))
    return {
        name: (median(a[name] for a, _ in results), median(b[name] for _, b in results),
               median(a[name] / b[name] for a, b in results))
        for name in results[0][0]
    }


def report(what, found, goals):
    for name, (ours, theirs, ratio) in found.items():
        digits = ",.0f" if name == "operations/s" else ",.3f"
        row(f"{what}: {name}", f"{ours:{digits}}", f"twemproxy {theirs:{digits}}", f"{ratio:.2f}", goals[name])


def benchmark(port, clients, pipeline, requests, test, *extra):
    out = subprocess.run(
        ["redis-benchmark", "-p", str(port), "-t", test.lower(), "-n", str(requests), "-P", str(pipeline), "-c",
         str(clients), "-r", "100000", "-d", "100", "--csv", *extra],
        capture_output=True, text=True, check=True).stdout
    fields = re.search(rf'"{test}",(.*)', out)[1].replace('"', "").split(",")
    return {"operations/s": float(fields[0]), "99th percentile, ms": float(fields[5])}


def redis_rate(options):
    with ExitStack() as stack:
        _, ours, theirs = both(stack, "resp", redis)
        benchmark(ours.resp, 50, 16, 300_000, "SET")
        for test in ("GET", "SET"):
            for pipeline, rate, goal in ((1, 20_000, "at least 1"), (16, 150_000, "at least 1.3")):
                found = rounds(options, ours, theirs, lambda server: benchmark(
                    server.resp, 64, pipeline, rate * options.seconds, test))
                report(f"{test}, 64 clients, -P {pipeline}", found,
                       {"operations/s": goal, "99th percentile, ms": "at most 1"})


def crowd(options):
    with ExitStack() as stack:
        servers, ours, theirs = both(stack, "resp", redis)
        found = rounds(options, ours, theirs, lambda server: benchmark(
            server.resp, 200, 1, 20_000 * options.seconds, "GET"))
        report("GET, 200 clients, -P 1", found, {"operations/s": "at least 1", "99th percentile, ms": "at most 1"})
        theirs.process.terminate()
        theirs.process.wait()
        held = set()
        load = threading.Thread(target=benchmark, args=(ours.resp, 200, 1, 40_000, "GET"))
        load.start()
        watch = connect(servers[0].resp)
        while load.is_alive():
            info = b""
            watch.sendall(b"INFO clients\r\n")
            while not info.endswith(b"\r\n\r\n") and b"blocked_clients" not in info:
                info += watch.recv(65536)
            held.add(int(re.search(rb"connected_clients:(\d+)", info)[1]) - 1)
            time.sleep(0.05)
            watch.close()
            watch = connect(servers[0].resp)
        row("  and connections to each server, at most", str(max(held)), "", "", f"{CONNECTIONS}")


def memcached_rate(options):
    with ExitStack() as stack:
        _, ours, theirs = both(stack, "memcached", memcached)
        config = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".cfg"))
        config.write("key\n30 30 1\nvalue\n100 100 1\ncmd\n0 0.1\n1 0.9\n")
        config.flush()
        for what, extra in (("one key a get", []), ("16 keys a get", ["-d", "16"])):
            def measure(server):
                out = subprocess.run(
                    ["memcaslap", "-s", f"127.0.0.1:{server.memcached}", "-T", "2", "-c", "64", "-t",
                     f"{options.seconds}s", "-F", config.name, *extra],
                    capture_output=True, text=True, check=True).stdout
                return {"operations/s": int(re.search(r"TPS: (\d+)", out)[1])}

            found = rounds(options, ours, theirs, measure)
            report(f"memcaslap, 64 clients, {what}", found, {"operations/s": "at least 1"})


def values(_):
    """Resident memory while a value of 100 MB and ten of 10 MB at once pass."""
    large, each = 100 * 10**6, 10 * 10**6

    def take(port, key, size):
        s = connect(port)
        s.sendall(b"GET %s\r\n" % key)
        left = len(b"$%d\r\n" % size) + size + 2
        while left > 0:
            piece = s.recv(min(left, 1 << 16))
            if not piece:
                raise SystemExit("the proxy closed the connection in the middle of a value")
            left -= len(piece)

    for make in (larder_proxy, nutcracker):
        with ExitStack() as stack:
            server = stack.enter_context(redis())
            proxy = make(stack, "resp", [server.resp])
            direct = connect(server.resp)
            for key, size in [(b"large", large)] + [(b"value:%d" % n, each) for n in range(10)]:
                direct.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n" % (len(key), key, size) + b"x" * size + b"\r\n")
                ask(direct, b"", b"+OK\r\n")
            readers = [threading.Thread(target=take, args=(proxy.resp, b"large", large))]
            readers += [threading.Thread(target=take, args=(proxy.resp, b"value:%d" % n, each)) for n in range(10)]
            most = 0
            for reader in readers:
                reader.start()
            while any(reader.is_alive() for reader in readers):
                most = max(most, proxy.resident())
                time.sleep(0.002)
            found = most / MIB
            if proxy.name == "larder":
                ours = found
    row("resident while 100 MB and ten times 10 MB pass: MiB", f"{ours:.1f}", f"twemproxy {found:.1f}",
        f"{ours / found:.2f}", "under 64")


MEASURES = {"redis": redis_rate, "crowd": crowd, "memcached": memcached_rate, "values": values}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(MEASURES))
    parser.add_argument("--rounds", type=int, default=5, help="interleaved pairs per comparison (default 5)")
    parser.add_argument("--seconds", type=int, default=4, help="about how long one run takes (default 4)")
    options = parser.parse_args()
    for name in options.names:
        if name not in MEASURES:
            parser.error(f"{name} is none of: {' '.join(MEASURES)}")
    need("memcached", "redis-server", "redis-benchmark", "memcaslap", "nutcracker")
    heading(f"medians of {options.rounds} interleaved pairs", version("nutcracker", "-V").replace("This is nutcracker-", "nutcracker "))
    row("", "larder", "peer", "ratio", "goal")
    for name in options.names or MEASURES:
        MEASURES[name](options)


if __name__ == "__main__":
    main()
