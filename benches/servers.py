"""What the measuring scripts share: servers that are started and ended, larder bench, and the table.

Imported, not run. Servers listen on free ports of 127.0.0.1. LARDER_MEMCACHED, LARDER_REDIS and LARDER_VALKEY are paths of
programs to measure in place of the installed ones; Valkey is measured only if its variable is set.
"""

import contextlib
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LARDER = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "larder")
MEMCACHED = os.environ.get("LARDER_MEMCACHED", "memcached")
REDIS = os.environ.get("LARDER_REDIS", "redis-server")
VALKEY = os.environ.get("LARDER_VALKEY")
MIB = 1 << 20


# ---------------------------------------------------------------------------------------------- servers


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

    def __init__(self, name, args, memcached=None, resp=None, echo=None):
        self.name, self.memcached, self.resp, self.echo = name, memcached, resp, echo
        self.begun = time.monotonic()
        self.process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        if self.memcached:
            ask(connect(self.memcached), b"version\r\n", b"\r\n")
        else:
            ask(connect(self.resp or self.echo), b"PING\r\n", b"\r\n")
        self.ready = time.monotonic() - self.begun
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def resident(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024


def switches_of(process):
    """How often the threads of a process have waited, and have been interrupted, so far."""
    waits = interruptions = 0
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{thread}/status") as file:
            status = file.read()
        waits += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M)[1])
        interruptions += int(re.search(r"^nonvoluntary_ctxt_switches:\s+(\d+)", status, re.M)[1])
    return waits, interruptions


def pinned(core):
    """The beginning of a command whose process stays on one core."""
    return [] if core is None else ["taskset", "-c", str(core)]


def larder(*extra, core=None, program=LARDER):
    m, r = free_port(), free_port()
    args = [*pinned(core), program, "--memcached", f"127.0.0.1:{m}", "--resp", f"127.0.0.1:{r}", *extra]
    return Server("larder", args, m, r)


def echo():
    port = free_port()
    return Server("echo", [LARDER, "echo", "--listen", f"127.0.0.1:{port}"], echo=port)


def memcached(*extra, core=None):
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return Server("memcached", [*pinned(core), MEMCACHED, "-l", "127.0.0.1", "-p", str(port), *user, *extra], port)


def redis(*extra, name="redis", program=REDIS):
    port = free_port()
    args = [program, "--port", str(port), "--save", "", "--appendonly", "no", *extra]
    return Server(name, args, resp=port)


def valkey(*extra):
    return redis(*extra, name="valkey", program=VALKEY)


# ---------------------------------------------------------------------------------------------- larder bench


def bench(arguments, core=None):
    """The report of one run of larder bench. Wrong values and errors end the script."""
    command = [*pinned(core), LARDER, "bench", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def versus(ours, theirs, protocols, seconds, *load, core=None):
    """Two servers under the same load in short slices by turns: their figures, and the ratios of the pairs."""
    (a, b) = protocols if isinstance(protocols, tuple) else (protocols, protocols)
    same = ["--protocol", a] if a == b else []
    return bench([
        f"127.0.0.1:{getattr(ours, a)}", "--versus", f"127.0.0.1:{getattr(theirs, b)}", *same,
        "--pid", str(ours.process.pid), "--versus-pid", str(theirs.process.pid),
        "--seconds", str(seconds), "--slice", "0.25", "--warm-up", "0.3", *load,
    ], core)


def median(values):
    return statistics.median(values)


# The figures of a run: the name of each in the table, its place in a report and in its ratios, and its
# format.
FIGURES = {
    "operations/s": (lambda side: side["rate"], "rate", ",.0f"),
    "99th percentile, µs": (lambda side: side["all"]["p99_us"], "p99", ",.0f"),
    "99.9th percentile, µs": (lambda side: side["all"]["p99.9_us"], "p99.9", ",.0f"),
    "processor time, µs": (lambda side: side["server"]["processor_us_per_operation"], None, ",.2f"),
}


def report(what, found, theirs, goals):
    """A row for each figure that has a goal."""
    for name, goal in goals.items():
        figure, ratio, digits = FIGURES[name]
        one, other = figure(found["first"]), figure(found["second"])
        ratios = found["ratio"].get(ratio)
        times, middle = one / max(other, 1e-9), ""
        if ratios:
            times, middle = ratios["median"], f"{ratios['lower_quartile']:.2f}–{ratios['upper_quartile']:.2f}"
        row(f"{what}: {name}", f"{one:{digits}}", f"{theirs} {other:{digits}}", f"{times:.2f}", goal, middle)


# ---------------------------------------------------------------------------------------------- the table


def row(what, ours, theirs, ratio, goal, middle=""):
    print(f"{what:72} {ours:>9}  {theirs:27} {ratio:>5}  {middle:11}  {goal}".rstrip(), flush=True)


def version(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip().splitlines()[0]


def redis_version(program):
    words = version(program, "--version").split()
    return f"{words[0].lower()} {words[2].removeprefix('v=')}"


def need(*programs):
    """Ends the script if something that it starts is missing."""
    for program in programs:
        if not shutil.which(program):
            raise SystemExit(f"{program} is not installed")
    if not os.path.exists(LARDER):
        raise SystemExit(f"{LARDER} is not there: cargo build --release first")


def used_by_others():
    """The share of all cores' time that is used now, while this script does nothing."""
    def times():
        with open("/proc/stat") as stat:
            fields = [int(field) for field in stat.readline().split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    all_before, idle_before = times()
    time.sleep(2)
    all_after, idle_after = times()
    return 1 - (idle_after - idle_before) / (all_after - all_before)


@contextlib.contextmanager
def table(how, *more, beside="peer", spread="middle half"):
    """The heading with the machine and the versions of all that is measured; after the rows, how quiet the machine was."""
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    versions = [version(LARDER, "--version"), version(MEMCACHED, "-V"), redis_version(REDIS)]
    versions += [redis_version(VALKEY)] if VALKEY else []
    commit = version("git", "-C", ROOT, "rev-parse", "--short", "HEAD")
    print(f"{cpu}, {os.cpu_count()} cores shared by servers and load; Linux {platform.release().split('-')[0]}; "
          f"{', '.join([*versions, *more])}; commit {commit}, {time.strftime('%Y-%m-%d')}; {how}.\n")
    before = used_by_others()
    row("", "larder", beside, "ratio", "goal", spread)
    yield
    print(f"\nOther programs used {before:.0%} of the processor before these runs, and {used_by_others():.0%} after them.")
