#!/usr/bin/env python3
"""TCP clients beside a flood of datagrams: the rate of their requests, and the datagrams that larder answers meanwhile.

    cargo build --release && python3 benches/udp.py [--rounds 5] [--seconds 2]

The process that sends the datagrams takes processor time from the server and its clients, wherever it sends them. So the
clients are measured by turns alone, beside a flood to a socket that nobody reads, and beside the same flood to larder. The
last two differ by larder's own work. A quarter of the datagrams are malformed.
"""

import argparse
import multiprocessing
import socket
import time

from servers import ask, bench, connect, free_port, larder, median, need, row, used_by_others

# Requests, with their header of 8 bytes: number of the request, of the datagram, of all datagrams, reserved.
HEADER = b"\0\1\0\0\0\1\0\0"
DATAGRAMS = [
    HEADER + b"get key:000000000001\r\n",
    HEADER + b"get " + b" ".join(b"k%d" % number for number in range(200)) + b"\r\n",
    HEADER + b"stats\r\n",
    b"short",
]


def send(port, sent, ends):
    """Sends datagrams as fast as it can, and drops what comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port))
        s.setblocking(False)
        while not ends.is_set():
            for datagram in DATAGRAMS:
                try:
                    s.send(datagram)
                    sent.value += 1
                    s.recv(65536)
                except (BlockingIOError, ConnectionRefusedError):
                    pass


class Flood:
    """A process that sends to this port until the block that it is used in ends."""

    def __init__(self, port):
        self.sent = multiprocessing.Value("Q", 0, lock=False)
        self.ends = multiprocessing.Event()
        self.process = multiprocessing.Process(target=send, args=(port, self.sent, self.ends), daemon=True)

    def __enter__(self):
        self.begun = time.monotonic()
        self.process.start()
        while not self.sent.value:
            time.sleep(0.001)
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.process.join()
        self.rate = self.sent.value / (time.monotonic() - self.begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()
    need()
    before = used_by_others()
    udp = free_port()
    alone, unread, flooded, sent = [], [], [], []
    with larder("--udp", f"127.0.0.1:{udp}", "-qq") as server, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        load = [f"127.0.0.1:{server.memcached}", "--protocol", "memcached", "--connections", "16", "--ratio", "9:1",
                "--keys", "1000", "--value-size", "100", "--seconds", str(options.seconds), "--warm-up", "0.3"]
        for _ in range(options.rounds):
            alone.append(bench(load)["rate"])
            with Flood(sink.getsockname()[1]):
                unread.append(bench(load)["rate"])
            with Flood(udp) as flood:
                flooded.append(bench(load)["rate"])
            sent.append(flood.rate)
        ask(connect(server.memcached), b"version\r\n", b"\r\n")
    row("requests/s by TCP beside a flood that nobody reads", f"{median(unread):,.0f}", f"alone {median(alone):,.0f}",
        f"{median(unread) / median(alone):.2f}", "")
    row("requests/s by TCP beside a flood that larder reads", f"{median(flooded):,.0f}", f"unread {median(unread):,.0f}",
        f"{median(flooded) / median(unread):.2f}", "")
    row("  and datagrams/s sent to larder", f"{median(sent):,.0f}", "", "", "")
    print(f"\nOther programs used {before:.0%} of the processor before these runs, and {used_by_others():.0%} after them.")


if __name__ == "__main__":
    main()
