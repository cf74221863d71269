"""Four traces for benches/hits.py, made from a seed: always the same requests. Imported, not run.

    zipf        keys of Zipf's distribution (exponent 0.99), and by chance a key that comes once and never again
    web         objects of a web site: sizes of a few hundred bytes to 256 KiB, half of the objects asked for once, and
                popularity that moves to newer objects
    sessions    visitors read and write their session with each page; it expires some seconds after the last one. Four
                of ten visitors see one page
    key-value   small values; a third of the requests write, a few delete, and the popular keys change slowly

The shapes follow what is published about such traces (Cloudflare's and Wikimedia's web caches; Twitter's cache-trace,
OSDI 2020; Meta's kvcache). A trace yields `Row`s. `time` is in seconds from the trace's begin; only a trace whose items
expire has it.
"""

import bisect
import heapq
import itertools
import math
import random
from typing import NamedTuple


class Row(NamedTuple):
    """A request: `get` (a miss is followed by a set), `set` or `delete`."""

    op: str
    key: str
    size: int
    ttl: int = 0
    time: float = 0.0


class Ranks:
    """Draws ranks from Zipf's distribution: 0 is the most popular."""

    def __init__(self, rng, count, exponent):
        self.rng = rng
        self.sums = list(itertools.accumulate(rank**-exponent for rank in range(1, count + 1)))

    def draw(self):
        return bisect.bisect_left(self.sums, self.rng.random() * self.sums[-1])


def mixed(number):
    """A fixed random number from 0 to 1 for each whole number."""
    number = (number ^ (number >> 16)) * 0x45D9F3B & 0xFFFFFFFF
    number = (number ^ (number >> 16)) * 0x45D9F3B & 0xFFFFFFFF
    return (number ^ (number >> 16)) / (1 << 32)


def log_normal(number, median, spread, least, most):
    """A fixed size for each whole number; most are near the median, and a few are much larger."""
    u, v = mixed(2 * number + 1) or 1e-9, mixed(2 * number + 2)
    normal = math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)
    return max(least, min(most, int(median * math.exp(spread * normal))))


def zipf(seed, requests):
    rng = random.Random(seed)
    keys = 2_000_000
    ranks, once = Ranks(rng, keys, 0.99), itertools.count(keys)
    for _ in range(requests):
        number = next(once) if rng.random() < 0.3 else ranks.draw()
        yield Row("get", f"key:{number:012}", 10 + int(mixed(number) * 991))


def web(seed, requests):
    rng = random.Random(seed)
    # The ranks count from the newest object: with each new one, all others become a little less popular.
    ranks, newest, once = Ranks(rng, 200_000, 0.9), 200_000, itertools.count(1 << 30)
    rank_of = {}
    for _ in range(requests):
        chance = rng.random()
        if chance < 0.15:
            number = next(once)
        else:
            if chance < 0.155:
                # A new object takes the popularity of a random older one.
                newest += 1
                rank_of[ranks.draw()] = newest
            rank = ranks.draw()
            number = rank_of.get(rank, rank)
        yield Row("get", f"/static/objects/{number:010}", log_normal(number, 4_000, 1.4, 200, 256 << 10))


def sessions(seed, requests):
    rng = random.Random(seed)
    lasts, visitors_a_second = 20, 600
    pages, visitors = [(0.0, 0, 0)], itertools.count(1)
    # A page is due at a time. Visitor 0 stands for the next new one.
    produced = 0
    while produced < requests:
        now, visitor, left = heapq.heappop(pages)
        if visitor == 0:
            heapq.heappush(pages, (now + rng.expovariate(visitors_a_second), 0, 0))
            visitor = next(visitors)
            left = 0 if rng.random() < 0.4 else int(rng.expovariate(1 / 8)) + 1
        key, size = f"session:{visitor:024x}", log_normal(visitor, 3_000, 0.7, 200, 32_000)
        # The page reads the session and then writes it, which makes it last anew.
        yield Row("get", key, size, lasts, now)
        yield Row("set", key, size, lasts, now)
        produced += 2
        if left:
            # Most pages follow soon, some after a pause, and some only when the session has expired.
            heapq.heappush(pages, (now + rng.lognormvariate(math.log(4), 1.0), visitor, left - 1))


def key_value(seed, requests):
    rng = random.Random(seed)
    ranks, shift = Ranks(rng, 3_000_000, 1.0), 0
    for request in range(requests):
        if request % 2_000 == 0:
            shift += 1
        # The popular ranks belong to other keys after a while.
        rank = ranks.draw()
        number = rank + (shift // (rank + 1)) * 3_000_000 if rank < 20_000 else rank
        size = log_normal(number, 250, 1.0, 10, 8_000)
        chance = rng.random()
        op = "get" if chance < 0.67 else "set" if chance < 0.98 else "delete"
        yield Row(op, f"kv:{number:020x}", size)


# Each trace and the number of its requests, unless the user says otherwise.
TRACES = {"zipf": (zipf, 4_000_000), "web": (web, 3_000_000), "sessions": (sessions, 1_000_000), "key-value": (key_value, 4_000_000)}
