#!/usr/bin/env python3
"""Measures larder proxy beside twemproxy (nutcracker), in front of the same servers, and prints a table.

    cargo build --release && python3 benches/proxy.py [NAME ...] [--seconds N]

NAMEs: redis memcached crowd values (default: all). Needs what measure.py needs, and nutcracker (Debian: nutcracker).

Two redis-server, or two memcached, are shared by both proxies; load, proxies and servers share the machine's cores.
Proxies are measured by turns, with larder bench and with their defaults but for the connections to each upstream: four for
both.
"""

import argparse
import re
import tempfile
import threading
import time
from contextlib import ExitStack

from servers import (LARDER, MEMCACHED, MIB, REDIS, Server, ask, bench, connect, free_port, memcached, need, redis, report,
                     row, table, version, versus)

CONNECTIONS = 4
RATE, TAIL = "operations/s", "99th percentile, µs"


class Proxy(Server):
    """A proxy, ready when it accepts: twemproxy closes the connection of a client that sends PING as a line."""

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


ITEMS = ["--keys", "10000", "--key-size", "30", "--value-size", "100"]


def rates(options, protocol, server, loads):
    """Loads of both proxies in front of the same two servers."""
    with ExitStack() as stack:
        _, ours, theirs = both(stack, protocol, server)
        for what, load, goals in loads:
            found = versus(ours, theirs, protocol, options.seconds, *load)
            report(f"{protocol} {what}", found, "twemproxy", goals)


def redis_rate(options):
    """RESP: 8 and 64 clients, one request at a time and 16 in a packet, and large values."""
    loads = []
    for count in (8, 64):
        for what, ratio in (("GET", "1:0"), ("SET", "0:1")):
            load = [*ITEMS, "--ratio", ratio, "--connections", str(count)]
            loads.append((f"{what}, {count} clients", load, {RATE: "at least 1.3", TAIL: "at most 0.8"}))
            if count == 64:
                goals = {RATE: "at least 3", TAIL: "at most 0.8"}
                loads.append((f"{what}, {count} clients, 16 in a packet", [*load, "--pipeline", "16"], goals))
    large = ["--keys", "500", "--value-size", "64KiB", "--ratio", "1:0", "--connections", "8"]
    loads.append(("GET of 64 KiB, 8 clients", large, {RATE: "at least 1.5", TAIL: "at most 0.8"}))
    rates(options, "resp", redis, loads)


def memcached_rate(options):
    """memcached: one key a get, and sixteen."""
    load = [*ITEMS, "--connections", "64"]
    rates(options, "memcached", memcached, [
        ("9:1, 64 clients", load, {RATE: "at least 1.3", TAIL: "at most 0.8"}),
        ("9:1, 64 clients, 16 keys a get", [*load, "--multi-get", "16"], {RATE: "at least 1.3", TAIL: ""}),
        ("9:1, 64 clients, 16 in a packet", [*load, "--pipeline", "16"], {RATE: "at least 3", TAIL: "at most 0.8"}),
    ])


def crowd(options):
    """200 clients, and the connections to a server that they share."""
    with ExitStack() as stack:
        servers, ours, theirs = both(stack, "resp", redis)
        load = [*ITEMS, "--ratio", "1:0", "--connections", "200"]
        found = versus(ours, theirs, "resp", options.seconds, *load)
        report("resp GET, 200 clients", found, "twemproxy", {RATE: "at least 1.3", TAIL: "at most 0.8"})
        theirs.process.terminate()
        theirs.process.wait()
        held = set()
        address = f"127.0.0.1:{ours.resp}"
        busy = threading.Thread(target=bench, args=([address, "--protocol", "resp", *load, "--seconds", "1"],))
        busy.start()
        while busy.is_alive():
            watch, info = connect(servers[0].resp), b""
            watch.sendall(b"INFO clients\r\n")
            while not info.endswith(b"\r\n\r\n") and b"blocked_clients" not in info:
                info += watch.recv(65536)
            held.add(int(re.search(rb"connected_clients:(\d+)", info)[1]) - 1)
            watch.close()
            time.sleep(0.05)
        row("  and connections to each server, at most", str(max(held)), "", "", f"{CONNECTIONS}")


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
    parser.add_argument("--seconds", type=float, default=4, help="how long each proxy is measured in a comparison (default 4)")
    options = parser.parse_args()
    for name in options.names:
        if name not in MEASURES:
            parser.error(f"{name} is none of: {' '.join(MEASURES)}")
    need(MEMCACHED, REDIS, "nutcracker")
    with table(f"{options.seconds:g} s for each proxy, in slices of 0.25 s by turns",
               version("nutcracker", "-V").replace("This is nutcracker-", "nutcracker ")):
        for name in options.names or MEASURES:
            MEASURES[name](options)


if __name__ == "__main__":
    main()
