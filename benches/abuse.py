#!/usr/bin/env python3
"""Clients beside an abuser: their 99th percentile without it, beside it, and beside a program that takes as much processor time.

    cargo build --release && python3 benches/abuse.py [--rounds 5] [--seconds 3] [--only WORD]

The clients send 2,000 requests a second, and latency counts from the time at which each was due. An abuser takes processor
time from them wherever it spends it. So each round measures the clients alone, beside the abuser, and beside a process that
only computes, for as much processor time as the abuser and larder needed in that round beyond what the clients need. Both are
compared with the clients alone. Where the second ratio is the larger one, nothing in larder has waited: the abuser has taken its share
of the machine.
The longest latency is that beside the abuser. The figures of a row are medians of its rounds.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import os
import resource
import socket
import threading
import time

from servers import ask, bench, connect, larder, median, need, row, table

TICKS = os.sysconf("SC_CLK_TCK")
MILLION = 1_000_000


# ---------------------------------------------------------------------------------------------- what abusers do


def slowloris(port, ends, done):
    """1,000 connections on which a request arrives byte by byte."""
    sockets = [connect(port) for _ in range(1000)]
    for byte in itertools.cycle(b"get " + b"k" * 200):
        for s in sockets:
            s.send(bytes([byte]))
            done.value += 1
            if done.value % 10 == 0 and ends.wait(0.001):
                return


def silent(port, ends, done):
    """10,000 connections without a byte."""
    sockets = []
    while len(sockets) < 10_000:
        sockets.append(connect(port))
        done.value += 1
    ends.wait()


def short(port, ends, done):
    """Connections for one request each, 100,000 in all rounds."""
    while not ends.is_set():
        with connect(port) as s:
            ask(s, b"version\r\n", b"\r\n")
        done.value += 1


def hot_key(port, ends, done):
    """Reads and writes of one key of the clients, in pipelines and as fast as they are answered: one shard and its lock."""
    with connect(port) as s:
        value = b""
        while not value:
            value = ask(s, b"get %s\r\n" % HOT_KEY, b"END\r\n").partition(b"\r\n")[2].removesuffix(b"\r\nEND\r\n")
        requests = b"get %s\r\nset %s 0 0 %d noreply\r\n%s\r\n" % (HOT_KEY, HOT_KEY, len(value), value)
        expected = 50 * len(b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (HOT_KEY, len(value), value))
        while not ends.is_set():
            s.sendall(50 * requests)
            got = 0
            while got < expected:
                got += len(s.recv(65536))
            done.value += 100


def unread(port, ends, done):
    """A client that asks for 1 GiB and reads nothing, and comes back when it is closed."""
    with connect(port) as s:
        ask(s, b"set large 0 0 1000000\r\n" + b"x" * MILLION + b"\r\n", b"\r\n")
    while not ends.is_set():
        with connect(port) as s, contextlib.suppress(OSError):
            s.sendall(b"get large\r\n" * 1074)
            done.value += 1
            s.settimeout(0.1)
            while not ends.wait(0.1):
                s.sendall(b"version\r\n")


def half_sent(port, ends, done):
    """1,000 values of which the second half doesn't come; a hundred times a second, a connection that was closed comes back."""
    half = b"set half 0 0 1000000\r\n" + b"x" * 500_000
    sockets = [None] * 1000
    for number in itertools.cycle(range(1000)):
        if sockets[number] is None or is_closed(sockets[number]):
            sockets[number] = s = connect(port)
            s.settimeout(1)
            with contextlib.suppress(OSError):
                s.sendall(half)
            done.value += 1
            if done.value >= 1000 and ends.wait(0.01):
                return
        elif number == 0 and ends.wait(0.01):
            return


def is_closed(s):
    """Whether the server has closed it. It has sent nothing."""
    try:
        return s.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def colliding(port, ends, done):
    """Keys that have one hash where each byte is added to 31 times, or 33 times, the hash of those before it."""
    of_31 = itertools.product(("Aa", "BB", "C#"), repeat=9)
    of_33 = itertools.product(("Ez", "FY", "G8"), repeat=9)
    sets(port, ends, done, ["".join(parts) for parts in itertools.chain(of_31, of_33)])


def ordinary(port, ends, done):
    """The same number of keys of the same length."""
    sets(port, ends, done, [f"{number:018d}" for number in range(2 * 3**9)])


def sets(port, ends, done, keys):
    lines = [f"set {key} 0 0 1\r\nx\r\n".encode() for key in keys]
    with connect(port) as s:
        while not ends.is_set():
            for start in range(0, len(lines), 100):
                piece = lines[start:start + 100]
                s.sendall(b"".join(piece))
                got = 0
                while got < 8 * len(piece):
                    got += len(s.recv(65536))
                done.value += len(piece)


def again_and_again(line, end):
    """A request that is repeated as soon as it is answered."""
    def abuse(port, ends, done):
        with connect(port) as s:
            while not ends.is_set():
                read_reply(s, line, end)
                done.value += 1
    return abuse


def read_reply(s, line, end):
    s.sendall(line)
    tail = b""
    while not tail.endswith(end):
        piece = s.recv(1 << 20)
        if not piece:
            raise SystemExit(f"closed after {line[:40]!r}")
        tail = (tail + piece)[-64:]


def reads_what_is_written(port, ends, done):
    """HGETALL for ever, while another connection changes fields all over the hash, one after the other."""
    writer = threading.Thread(target=writes_fields, args=(port, ends))
    writer.start()
    again_and_again(b"HGETALL big\r\nECHO end\r\n", b"$3\r\nend\r\n")(port, ends, done)
    writer.join()


def writes_fields(port, ends):
    with connect(port) as s:
        for number in itertools.count(step=7919):
            if ends.is_set():
                return
            ask(s, b"HSET big f%d w\r\n" % (number % MILLION), b"\r\n")


def renames(port, ends, done):
    with connect(port) as s:
        names = itertools.cycle([(b"big", b"other"), (b"other", b"big")])
        while not (ends.is_set() and done.value % 2 == 0):
            if ask(s, b"RENAME %s %s\r\n" % next(names), b"\r\n") != b"+OK\r\n":
                raise SystemExit("RENAME is refused")
            done.value += 1


def in_the_middle(line, end):
    """One request, a second after the clients' load has begun."""
    def abuse(port, ends, done):
        with connect(port) as s:
            if not ends.wait(1):
                read_reply(s, line, end)
                done.value += 1
                ends.wait()
    return abuse


# ---------------------------------------------------------------------------------------------- what they need


def million_fields(server):
    """A hash of a million fields, which is a tree for memcached's nested keys."""
    with connect(server.resp) as s:
        for start in range(0, MILLION, 1000):
            fields = b" ".join(b"f%d v" % number for number in range(start, start + 1000))
            ask(s, b"HSET big " + fields + b"\r\n", b"\r\n")


def million_fields_one_expiring(server):
    million_fields(server)
    with connect(server.memcached) as s:
        ask(s, b"set big f0 0 3600 1\r\nv\r\n", b"\r\n")


def million_keys(server, exptime=0):
    with connect(server.memcached) as s:
        for start in range(0, MILLION, 1000):
            lines = [b"set many:%d %d %d 1 noreply\r\nx\r\n" % (n, 0, exptime) for n in range(start, start + 1000)]
            s.sendall(b"".join(lines))
        ask(s, b"version\r\n", b"\r\n")


def two_databases(server):
    with connect(server.resp) as s:
        s.sendall(b"SELECT 1\r\n")
        ask(s, b"SET other v\r\n", b"+OK\r\n+OK\r\n")
    million_keys(server)


def expiring_keys(server):
    """They expire when about half of the next measurement has passed."""
    expiring_keys.at = int(time.time()) + 12
    million_keys(server, expiring_keys.at)


def nothing(_):
    pass


# Name, protocol of the clients, what is prepared, the abuser, and whether it is prepared for each round.
ABUSES = [
    ("slowloris, 1,000 connections", "memcached", nothing, slowloris, False),
    ("10,000 silent connections", "memcached", nothing, silent, False),
    ("short connections", "memcached", nothing, short, False),
    ("one of four keys of the clients, for ever", "memcached", nothing, hot_key, False),
    ("1 GiB of unread replies", "memcached", nothing, unread, False),
    ("1,000 half-sent large values", "memcached", nothing, half_sent, False),
    ("keys that collide in common hashes", "memcached", nothing, colliding, False),
    ("as many ordinary keys, to compare", "memcached", nothing, ordinary, False),
    ("a million keys that expire in one second", "memcached", expiring_keys, None, True),
    ("flush_all of a million keys", "memcached", million_keys, in_the_middle(b"flush_all\r\n", b"OK\r\n"), True),
    ("FLUSHALL of a million keys", "resp", million_keys, in_the_middle(b"FLUSHALL\r\n", b"OK\r\n"), True),
    ("DEL of a million fields", "resp", million_fields, in_the_middle(b"DEL big\r\n", b":1\r\n"), True),
    ("SET over a million fields", "resp", million_fields, in_the_middle(b"SET big v\r\n", b"+OK\r\n"), True),
    ("a hash of a million fields that expires", "resp", million_fields, in_the_middle(b"PEXPIRE big 1\r\n", b":1\r\n"), True),
    ("FLUSHDB of a million keys beside another database", "resp", two_databases, in_the_middle(b"FLUSHDB\r\n", b"OK\r\n"), True),
    ("HGET in a hash where one of a million fields expires", "resp", million_fields_one_expiring,
     again_and_again(b"HGET big f1\r\n", b"v\r\n"), False),
    ("RENAME of a million fields, for ever", "resp", million_fields, renames, False),
    ("HGETALL of a million fields, for ever", "resp", million_fields,
     again_and_again(b"HGETALL big\r\nECHO end\r\n", b"$3\r\nend\r\n"), False),
    ("HGETALL of a million fields, written all the time", "resp", million_fields, reads_what_is_written, False),
    ("COPY of a million fields, for ever", "resp", million_fields,
     again_and_again(b"COPY big copy REPLACE\r\n", b":1\r\n"), False),
    ("HRANDFIELD of half a million fields, for ever", "resp", million_fields,
     again_and_again(b"HRANDFIELD big 500000\r\nECHO end\r\n", b"$3\r\nend\r\n"), False),
    ("KEYS of a million keys, for ever", "resp", million_keys,
     again_and_again(b"KEYS many:*\r\nECHO end\r\n", b"$3\r\nend\r\n"), False),
    ("getch of a million children, for ever", "memcached", million_fields, again_and_again(b"getch big\r\n", b"END\r\n"), False),
]


# What an abuser does before the clients' load begins: so many connections.
FIRST = {silent: 10_000, half_sent: 1000}

# What an abuser does at least in all rounds, which become more until then: so many connections.
IN_ALL = {short: 100_000}

# Clients of other than 1,000 keys, and the first key of bench.
KEYS = {hot_key: 4}
HOT_KEY = b"key:000000000000"

# ---------------------------------------------------------------------------------------------- the rounds


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def compute(share, ends):
    """Takes this share of a core."""
    while not ends.is_set():
        begun = time.monotonic()
        while time.monotonic() - begun < 0.01 * share:
            pass
        time.sleep(0.01 * (1 - share) + 0.00001)


@contextlib.contextmanager
def processes(target, arguments):
    """Processes that run until the block ends."""
    ends = multiprocessing.Event()
    running = [multiprocessing.Process(target=target, args=(*each, ends), daemon=True) for each in arguments]
    for process in running:
        process.start()
    try:
        yield running
    finally:
        ends.set()
        for process in running:
            process.join()


def abuser(abuse, port, done, ends):
    abuse(port, ends, done)


class Clients:
    """The clients' load on a server, and how much processor time the server took meanwhile."""

    def __init__(self, server, protocol, seconds, keys):
        self.server, self.seconds = server, seconds
        self.load = [f"127.0.0.1:{getattr(server, protocol)}", "--protocol", protocol, "--connections", "8", "--rate", "2000",
                     "--keys", str(keys), "--key-size", str(len(HOT_KEY)), "--value-size", "100", "--seconds", str(seconds), "--warm-up", "0.3"]

    def run(self):
        before, begun = processor_seconds(self.server.process.pid), time.monotonic()
        found = bench(self.load)["all"]
        took = processor_seconds(self.server.process.pid) - before
        return found["p99_us"], found["max_us"], took / (time.monotonic() - begun)


def one_round(server, clients, port, prepare, abuse, each):
    """The clients alone, beside the abuser and beside as much computing; and what the abuser has done."""
    alone, _, used_alone = clients.run()
    if each:
        prepare(server)
    done = multiprocessing.Value("Q", 0, lock=False)
    if abuse is None:
        time.sleep(max(0, expiring_keys.at - time.time() - clients.seconds / 2))
        beside, longest, used = clients.run()
        done.value, abuser_used = MILLION, 0
    else:
        with processes(abuser, [(abuse, port, done)]) as running:
            while done.value < FIRST.get(abuse, 0):
                time.sleep(0.01)
            before, begun = processor_seconds(running[0].pid), time.monotonic()
            beside, longest, used = clients.run()
            abuser_used = (processor_seconds(running[0].pid) - before) / (time.monotonic() - begun)
    share = max(0.0, used - used_alone) + abuser_used
    shares = [(min(1.0, share - whole),) for whole in range(0, int(share) + 1) if share - whole > 0.01]
    with processes(compute, shares):
        computing, _, _ = clients.run()
    return alone, beside, computing, longest, share, done.value


def measure(name, protocol, prepare, abuse, each, options):
    with larder("--memory", "1GiB", "--max-connections", "12000", "-qq") as server:
        if not each:
            prepare(server)
        clients = Clients(server, protocol, options.seconds, KEYS.get(abuse, 1000))
        port = getattr(server, protocol)
        rounds, in_all = [], 0
        while len(rounds) < options.rounds or in_all < IN_ALL.get(abuse, 0):
            rounds.append(one_round(server, clients, port, prepare, abuse, each))
            in_all += rounds[-1][-1]
        ask(connect(server.memcached), b"version\r\n", b"\r\n")
    alone, beside, computing, longest, share, done = map(median, zip(*rounds))
    row(name, f"{beside:,.0f}", f"alone {alone:,.0f}", f"{beside / alone:.2f}", "at most 2", f"{longest / 1000:,.0f} ms")
    row(f"  beside as much computing, {share:.0%} of a core; {done:,.0f} done", f"{computing:,.0f}", "", f"{computing / alone:.2f}", "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", default="", help="rows whose name has this word")
    options = parser.parse_args()
    need()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    how = f"99th percentiles in µs, medians of {options.rounds} rounds of {options.seconds:g} s"
    with table(how, beside="alone", spread="longest"):
        for name, *abuse in ABUSES:
            if options.only in name:
                measure(name, *abuse, options)


if __name__ == "__main__":
    main()
