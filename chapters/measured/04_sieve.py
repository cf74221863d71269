"""Hit ratios of FIFO, LRU and SIEVE on two made-up loads, each with room for a tenth of the popular keys.

popular: 100,000 keys, the nth asked for in proportion to 1/n^0.9. scans: the same, and every tenth request asks for a
key that no client requests again. Run in the checkout: python3 chapters/measured/04_sieve.py > chapters/measured/04_sieve.txt
"""

import itertools
import random
from bisect import bisect
from collections import OrderedDict

KEYS, ROOM, REQUESTS = 100_000, 10_000, 1_000_000


def load(scans):
    rng = random.Random(4)
    weights = list(itertools.accumulate(1 / n**0.9 for n in range(1, KEYS + 1)))
    for number in range(REQUESTS):
        if scans and number % 10 == 0:
            yield KEYS + number
        else:
            yield bisect(weights, rng.random() * weights[-1])


class Fifo:
    def __init__(self):
        self.items = OrderedDict()

    def hit(self, key):
        pass

    def add(self, key):
        if len(self.items) == ROOM:
            self.items.popitem(last=False)
        self.items[key] = False


class Lru(Fifo):
    def hit(self, key):
        self.items.move_to_end(key)


class Sieve:
    """The queue is a list of [key, newer], so that the hand can stay where it is."""

    def __init__(self):
        self.items, self.newer, self.older = {}, {}, {}
        self.newest = self.oldest = self.hand = None

    def hit(self, key):
        self.items[key] = True

    def add(self, key):
        if len(self.items) == ROOM:
            self.evict()
        self.items[key] = False
        self.older[key], self.newer[key] = self.newest, None
        if self.newest is None:
            self.oldest = key
        else:
            self.newer[self.newest] = key
        self.newest = key

    def evict(self):
        key = self.oldest if self.hand is None else self.hand
        while self.items[key]:
            self.items[key] = False
            key = self.newer[key]
            key = self.oldest if key is None else key
        self.hand = self.newer[key]
        newer, older = self.newer.pop(key), self.older.pop(key)
        if newer is None:
            self.newest = older
        else:
            self.older[newer] = older
        if older is None:
            self.oldest = newer
        else:
            self.newer[older] = newer
        del self.items[key]


print(f"{KEYS:,} popular keys, room for {ROOM:,}, {REQUESTS:,} requests; share of hits on popular keys")
print()
for name, scans in ("popular", False), ("scans", True):
    for policy in Fifo, Lru, Sieve:
        cache, hits, asked = policy(), 0, 0
        for key in load(scans):
            asked += key < KEYS
            if key in cache.items:
                cache.hit(key)
                hits += 1
            else:
                cache.add(key)
        print(f"{name:8} {policy.__name__.upper():6} {100 * hits / asked:.1f} %")
