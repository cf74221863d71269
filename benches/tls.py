#!/usr/bin/env python3
"""The cost of TLS: larder with and without it, beside Redis's own TLS and beside stunnel in front of larder.

    cargo build --release && python3 benches/tls.py [--requests 100000] [--rounds 5]

Needs redis-server, redis-benchmark, openssl and stunnel (Debian: redis-server, redis-tools, openssl, stunnel4). Every round
loads each server once with redis-benchmark, in an order that changes; the figures are medians. Processor time is the
server's, and stunnel's is added to that of its larder. The client encrypts on the same cores.
"""

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
import time

from servers import LARDER, REDIS, connect, free_port, need, redis_version, used_by_others, version

TICKS = os.sysconf("SC_CLK_TCK")
LOADS = {
    "GET of 100 bytes, 50 connections": ["-t", "get", "-d", "100", "-c", "50"],
    "GET of 100 bytes, 50 connections, 16 in a packet": ["-t", "get", "-d", "100", "-c", "50", "-P", "16"],
    "SET of 100 bytes, 50 connections": ["-t", "set", "-d", "100", "-c", "50"],
    "GET of 16 KiB, 50 connections": ["-t", "get", "-d", "16384", "-c", "50"],
}


def started(command, port):
    """A process that listens on this port."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    connect(port).close()
    return process


def processor_time(processes):
    """Seconds in all threads of these processes."""
    total = 0
    for process in processes:
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def servers(directory):
    """Each server: its name, its port, whether it has TLS, its processes."""
    cert, key = f"{directory}/cert.pem", f"{directory}/key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
    plain, tls, behind, front = (free_port() for _ in range(4))
    larder = [LARDER, "--memcached", "off", "--workers", "1", "-q", "--resp"]
    redis = [REDIS, "--save", "", "--appendonly", "no", "--dir", directory, "--port"]
    redis_plain, redis_tls = free_port(), free_port()
    with open(f"{directory}/stunnel.conf", "w", encoding="ascii") as file:
        file.write(f"foreground = yes\npid =\n[larder]\naccept = 127.0.0.1:{front}\nconnect = 127.0.0.1:{behind}\n"
                   f"cert = {cert}\nkey = {key}\nTIMEOUTclose = 0\n")
    yield "larder", plain, False, [started([*larder, f"127.0.0.1:{plain}"], plain)]
    yield "larder, TLS", tls, True, [
        started([*larder, f"127.0.0.1:{tls}", "--tls-cert", cert, "--tls-key", key], tls)]
    server = started([*larder, f"127.0.0.1:{behind}"], behind)
    yield "larder behind stunnel", front, True, [server, started(["stunnel", f"{directory}/stunnel.conf"], front)]
    yield "redis", redis_plain, False, [started([*redis, str(redis_plain)], redis_plain)]
    yield "redis, TLS", redis_tls, True, [started(
        [*redis, "0", "--tls-port", str(redis_tls), "--tls-cert-file", cert, "--tls-key-file", key,
         "--tls-ca-cert-file", cert, "--tls-auth-clients", "no"], redis_tls)]


def load(port, tls, processes, options, requests, directory):
    """Requests in a second, and microseconds of processor time for each."""
    command = ["redis-benchmark", "-p", str(port), "--csv", "-n", str(requests), "-r", "10000", *options]
    if tls:
        command += ["--tls", "--cacert", f"{directory}/cert.pem"]
    before = processor_time(processes)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent = processor_time(processes) - before
    return float(printed.strip().splitlines()[-1].split(",")[1].strip('"')), spent / requests * 1e6


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    need("redis-benchmark", "openssl", "stunnel", REDIS)
    printed = subprocess.run(["stunnel", "-version"], capture_output=True, text=True).stderr
    stunnel = next(line for line in printed.splitlines() if line.startswith("stunnel")).split(" on ")[0]
    print(f"{os.cpu_count()} cores shared by servers and load; Linux {platform.release().split('-')[0]}; "
          f"{version(LARDER, '--version')}, {redis_version(REDIS)}, {stunnel}; {time.strftime('%Y-%m-%d')}; medians of "
          f"{given.rounds} rounds of {given.requests:,} requests.\nOther programs used {used_by_others():.0%} of the "
          "processor before the runs.")
    with tempfile.TemporaryDirectory() as directory:
        sides = []
        try:
            sides.extend(servers(directory))
            for name, options in LOADS.items():
                found = {side[0]: [] for side in sides}
                for side in sides:  # the keys
                    fill = ["-t", "set", "-d", options[options.index("-d") + 1], "-c", "50", "-P", "16"]
                    load(*side[1:], fill, 20_000, directory)
                for number in range(given.rounds):
                    for side in sides[number % len(sides):] + sides[:number % len(sides)]:
                        found[side[0]].append(load(*side[1:], options, given.requests, directory))
                print(f"\n{name}\n{'':24}{'requests/s':>12}{'µs of processor':>18}")
                for side, runs in found.items():
                    rate, cost = (statistics.median(column) for column in zip(*runs))
                    print(f"{side:24}{rate:12,.0f}{cost:18.2f}", flush=True)
        finally:
            for side in sides:
                for process in side[3]:
                    process.kill()


if __name__ == "__main__":
    main()
