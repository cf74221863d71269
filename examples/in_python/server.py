"""A memcached server by chapter 4, in Python: `python3 server.py PORT` (0 for a free one).

Bytes come in through Connection.handle, which hands step() all that has arrived and not yet been
used. step() takes one command from the front, or nothing while the command isn't whole.
"""

import re
import socketserver
import sys
import threading
import time
from collections import OrderedDict

MAX_ITEM = 1 << 20  # bytes of a key and its value
MAX_CACHE = 64 << 20  # bytes of all items, with OVERHEAD for each
OVERHEAD = 400  # roughly the memory of an item beside its bytes
MAX_LINE = 2048  # a line must end in these, unless it is a get
MAX_GET = 1 << 16
SEND_AT = 1 << 16  # replies are held back up to here

BAD = b"CLIENT_ERROR bad command line format\r\n"
BAD_TIME = b"CLIENT_ERROR invalid exptime argument\r\n"
NOT_NUMERIC = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
# A number for strtoull: blanks in front, and anything behind a blank or a NUL.
NUMBER = re.compile(rb"\s*([+-]?)0*(\d{1,20})(?:[\s\0].*)?", re.DOTALL)
# Words in a line, its name included: the fewest and the most.
WORDS = {b"set": (5, 6), b"add": (5, 6), b"replace": (5, 6), b"append": (5, 6),
         b"prepend": (5, 6), b"cas": (6, 7), b"get": (2, MAX_GET), b"gets": (2, MAX_GET),
         b"gat": (2, MAX_GET), b"gats": (2, MAX_GET), b"incr": (3, 4), b"decr": (3, 4),
         b"touch": (3, 4), b"delete": (2, 4), b"flush_all": (1, 3), b"verbosity": (2, 3)}


def number(text, low, high):
    """The number that a text spells if it is from low to high, or None."""
    found = NUMBER.fullmatch(text)
    value = int(found[1] + found[2]) if found else low - 1
    return value if low <= value <= high else None


def unsigned(text):
    return number(text, 0, 2**64 - 1)


def exptime(text):
    """A time: a number of 64 bits, of which memcached keeps 32."""
    value = number(text, -(2**63), 2**63 - 1)
    return None if value is None else (value + 2**31) % 2**32 - 2**31


class Item:
    def __init__(self, flags, end, value):
        self.flags, self.end, self.value = flags, end, value


class Cache:
    """Items in the order of their use. One lock: each method is one step for other threads."""

    def __init__(self):
        self.items, self.lock = OrderedDict(), threading.Lock()
        self.used, self.unique, self.flush_at = 0, 0, None
        self.began = time.time() - time.monotonic()  # from here on, our clock can't be set

    def ends(self, seconds):
        """A date for an exptime; None is never."""
        now = time.monotonic() + self.began
        return None if seconds == 0 else seconds if seconds > 2592000 else now + seconds

    def expired(self, date):
        return date is not None and date <= time.monotonic() + self.began

    def find(self, key):
        if self.expired(self.flush_at):
            self.flush_at, self.used = None, 0
            self.items.clear()
        item = self.items.get(key)
        if item and self.expired(item.end):
            item = self.drop(key)
        return item

    def drop(self, key):
        self.used -= len(key) + len(self.items.pop(key).value) + OVERHEAD

    def put(self, key, item):
        if key in self.items:
            self.drop(key)
        self.used += len(key) + len(item.value) + OVERHEAD
        while self.used > MAX_CACHE and self.items:
            self.drop(next(iter(self.items)))
        self.unique += 1
        item.unique, self.items[key] = self.unique, item

    def get(self, key, seconds=None):
        with self.lock:
            if item := self.find(key):
                self.items.move_to_end(key)
                found = (item.flags, item.value, item.unique)
                if seconds is not None:
                    item.end = self.ends(seconds)
                return found

    def store(self, verb, key, flags, seconds, value, unique):
        with self.lock:
            old, end = self.find(key), self.ends(seconds)
            if verb == b"cas" and not old:
                return b"NOT_FOUND\r\n"
            if verb == b"cas" and old.unique != unique:
                return b"EXISTS\r\n"
            if (verb in (b"replace", b"append", b"prepend") and not old) or verb == b"add" and old:
                return b"NOT_STORED\r\n"
            if verb in (b"append", b"prepend"):
                flags, end = old.flags, old.end
                value = old.value + value if verb == b"append" else value + old.value
                if len(key) + len(value) > MAX_ITEM:
                    return b"NOT_STORED\r\n"
            self.put(key, Item(flags, end, value))
            return b"STORED\r\n"

    def count(self, key, delta):
        with self.lock:
            if not (item := self.find(key)):
                return b"NOT_FOUND\r\n"
            if (value := unsigned(item.value)) is None:
                return NOT_NUMERIC
            value = b"%d" % (max(value + delta, 0) % 2**64)
            self.put(key, Item(item.flags, item.end, value.ljust(len(item.value))))
            return value + b"\r\n"

    def delete(self, key):
        with self.lock:
            if not self.find(key):
                return b"NOT_FOUND\r\n"
            self.drop(key)
            return b"DELETED\r\n"

    def flush(self, seconds):
        with self.lock:
            if seconds <= 2592000 or not self.expired(seconds):  # a past date flushes nothing
                self.flush_at = self.ends(seconds) if seconds > 0 else 0
                self.find(b"")  # if the time has come, flush now
        return b"OK\r\n"


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        self.out, self.skip, data = bytearray(), 0, bytearray()
        try:
            while more := self.request.recv(1 << 16):
                data += more
                while data and (taken := self.step(data)) != 0:
                    if taken is None:
                        return self.send()
                    del data[:taken]
                self.send()
        except ConnectionError:
            pass  # the client has disconnected

    def send(self):
        self.request.sendall(self.out)
        self.out.clear()

    def say(self, text, quiet=False):
        self.out += b"" if quiet else text
        if len(self.out) > SEND_AT:
            self.send()

    def step(self, data):
        """The bytes of one command; 0 if it isn't whole, None to close the connection."""
        if self.skip:
            taken = min(self.skip, len(data))
            self.skip -= taken
            return taken
        end = data.find(b"\n")
        if end < 0:
            get = re.match(rb" {0,100}gets? ", data)
            return None if len(data) > (MAX_GET if get else MAX_LINE) else 0
        line = bytes(data[:end]).removesuffix(b"\r").split(b"\0")[0]
        words = [word for word in line.split(b" ") if word] or [b""]
        verb, end = words[0], end + 1
        if verb == b"quit":
            return None
        least, most = WORDS.get(verb, (1, 0))
        if least <= len(words) <= most:
            if least >= 5:
                return self.storage(words, data, end)
            # To a get, noreply is a key like any other.
            self.say(self.run(verb, words[1:]), quiet=words[-1] == b"noreply" and verb[:1] != b"g")
        elif verb == b"version":
            self.say(b"VERSION 1.0.0\r\n")
        elif verb == b"mn":
            self.say(b"MN\r\n")
        else:
            self.say(b"ERROR: shutdown not enabled\r\n" if verb == b"shutdown" else b"ERROR\r\n")
        return end

    def storage(self, words, data, line):
        """A command with a value, which begins in data behind the line."""
        verb, key = words[:2]
        quiet = words[-1] == b"noreply"
        flags, seconds, length = unsigned(words[2]), exptime(words[3]), number(words[4], 0, 2**31 - 3)
        unique = unsigned(words[5]) if verb == b"cas" else 0
        if len(key) > 250 or None in (flags, seconds, length, unique):
            self.say(BAD, quiet)
            return line
        if len(key) + length > MAX_ITEM:
            if verb == b"set":
                CACHE.delete(key)  # a miss is better than an old value
            self.skip = length + 2
            self.say(b"SERVER_ERROR object too large for cache\r\n", quiet)
            return line
        whole = line + length + 2
        if len(data) < whole:
            return 0
        if data[whole - 2 : whole] == b"\r\n":
            value = bytes(data[line : whole - 2])
            self.say(CACHE.store(verb, key, flags % 2**32, seconds, value, unique), quiet)
        else:
            self.say(b"CLIENT_ERROR bad data chunk\r\n", quiet)
        return whole

    def run(self, verb, words):
        """The reply to a command without a value."""
        if verb in (b"get", b"gets"):
            return self.retrieve(words, None, verb == b"gets")
        if verb in (b"gat", b"gats"):
            seconds = exptime(words[0])
            return BAD_TIME if seconds is None else self.retrieve(words[1:], seconds, verb == b"gats")
        if verb == b"verbosity":
            return BAD if number(words[0], 0, 2**32 - 1) is None else b"OK\r\n"
        if verb == b"flush_all":
            seconds = 0 if words in ([], [b"noreply"]) else exptime(words[0])
            return BAD_TIME if seconds is None else CACHE.flush(seconds)
        key = words[0]
        if len(key) > 250:
            return BAD
        if verb == b"delete":
            known = words[1:] in ([], [b"0"], [b"noreply"], [b"0", b"noreply"])
            usage = BAD[:-2] + b".  Usage: delete <key> [noreply]\r\n"
            return CACHE.delete(key) if known else usage
        if verb == b"touch":
            seconds = exptime(words[1])
            if seconds is None:
                return BAD_TIME
            return b"TOUCHED\r\n" if CACHE.get(key, seconds) else b"NOT_FOUND\r\n"
        delta = unsigned(words[1])
        if delta is None:
            return b"CLIENT_ERROR invalid numeric delta argument\r\n"
        return CACHE.count(key, delta if verb == b"incr" else -delta)

    def retrieve(self, keys, seconds, with_unique):
        if any(len(key) > 250 for key in keys):
            return BAD
        for key in keys:
            if found := CACHE.get(key, seconds):
                flags, value, unique = found
                tail = b" %d" % unique if with_unique else b""
                self.say(b"VALUE %s %d %d%s\r\n%s\r\n" % (key, flags, len(value), tail, value))
        return b"END\r\n"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


if __name__ == "__main__":
    CACHE = Cache()
    with Server(("127.0.0.1", int(sys.argv[1])), Connection) as server:
        print("listening on memcached %s:%d" % server.server_address, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
