#!/usr/bin/env python3
"""The cost of snapshots: the rate of a server while it writes one, and the time to load it at the next start.

    cargo build --release && python3 benches/snapshot.py [--gib 1] [--value-size 1000] [--rounds 7] [--seconds 3]

Fills a larder with values, then loads it by `larder bench` in slices of some seconds, by turns without a snapshot and while
one is written. A slice counts as written through if a snapshot was in progress all the time: the next one begins when one
ends. Then it is ended by TERM, which writes at full speed, and started again. The load time is that from the start of the
process until it answers, with its processor time. The directory of the file (--directory) decides what the disk costs.
"""

import argparse
import os
import signal
import tempfile
import threading
import time

from servers import MIB, ask, bench, connect, larder, median, need, row, used_by_others

GIB = 1 << 30
KEY = 16
TICKS = os.sysconf("SC_CLK_TCK")


def stats(server):
    lines = ask(connect(server.memcached), b"stats\r\n", b"END\r\n").decode().splitlines()
    return dict(line.split(" ", 2)[1:] for line in lines if line.startswith("STAT "))


class Writing(threading.Thread):
    """Keeps a snapshot in progress until it is stopped."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.running = server, True

    def run(self):
        while self.running:
            if stats(self.server)["snapshot_in_progress"] == "0":
                self.server.process.send_signal(signal.SIGUSR1)
            time.sleep(0.02)

    def stop(self):
        self.running = False
        self.join()


def processor_time(server):
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1)
    parser.add_argument("--value-size", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--directory", help="a directory on the disk to measure")
    options = parser.parse_args()
    need()
    before = used_by_others()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        path = os.path.join(directory, "snapshot")
        keys = int(options.gib * GIB / (KEY + options.value_size))
        memory = f"{int(options.gib * GIB * 1.4 / MIB + keys * 64 / MIB)}MiB"
        load = ["--keys", str(keys), "--key-size", str(KEY), "--value-size", str(options.value_size)]
        start = lambda: larder("--memory", memory, "--snapshot", path, "-qq")
        with start() as server:
            address = [f"127.0.0.1:{server.memcached}", "--protocol", "memcached", *load]
            bench([*address, "--requests", "1000"])
            without, meanwhile = [], []
            timed = [*address, "--no-fill", "--warm-up", "0.5", "--seconds", str(options.seconds)]
            for _ in range(options.rounds):
                without.append(bench(timed)["rate"])
                writing = Writing(server)
                writing.start()
                meanwhile.append(bench(timed)["rate"])
                writing.stop()
                while stats(server)["snapshot_in_progress"] == "1":
                    time.sleep(0.05)
            figures = stats(server)
            begun = time.monotonic()
        ended = time.monotonic() - begun
        size = os.path.getsize(path) / 1e6
        row("operations/s while a snapshot is written", f"{median(meanwhile):,.0f}", f"without {median(without):,.0f}",
            f"{median(meanwhile) / median(without):.2f}", "≥ 0.90")
        row("a snapshot while serving, s", f"{int(figures['snapshot_last_milliseconds']) / 1000:.1f}", f"{size:,.0f} MB", "", "")
        row("the snapshot at the end, s", f"{ended:.1f}", f"{size / ended:,.0f} MB/s", "", "")
        with start() as server:
            spent = processor_time(server)
            row("loaded at the start, s", f"{server.ready:.1f}", f"{size / server.ready:,.0f} MB/s", "", "≥ 200 MB/s")
            row("the same, processor time, s", f"{spent:.1f}", f"{size / spent:,.0f} MB/s", "", "")
            found = stats(server)["snapshot_loaded_items"]
            if int(found) != keys:
                raise SystemExit(f"{found} of {keys} items were loaded")
    print(f"\nOther programs used {before:.0%} of the processor before these runs, and {used_by_others():.0%} after them.")


if __name__ == "__main__":
    main()
