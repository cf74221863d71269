"""Clients of memcached's binary protocol: `binary.py ADDRESS pylibmc` or `… bmemcached`.

pylibmc is libmemcached with its option for the binary protocol, bmemcached (python-binary-memcached) is Python alone.
"""

import sys

from checks import address, check, equal, run, until

ADDRESS = address()
SERVER = ADDRESS if isinstance(ADDRESS, str) else "%s:%d" % ADDRESS


class Pylibmc:
    """pylibmc; it raises an error where other clients return False."""

    def __init__(self):
        import pylibmc

        self.not_found = pylibmc.NotFound
        behaviors = {"cas": True, "tcp_nodelay": True, "receive_timeout": 60_000_000}
        self.client = pylibmc.Client([SERVER], binary=True, behaviors=behaviors)
        self.client.flush_all()

    def __getattr__(self, name):
        return getattr(self.client, name)

    def replace(self, *arguments):
        return self.false_if_missing(self.client.replace, arguments)

    def cas(self, *arguments):
        return self.false_if_missing(self.client.cas, arguments)

    def false_if_missing(self, method, arguments):
        try:
            return method(*arguments)
        except self.not_found:
            return False

    def statistics(self):
        return {key: value.decode() for key, value in self.client.get_stats()[0][1].items()}


class Bmemcached:
    """python-binary-memcached."""

    def __init__(self):
        import bmemcached

        self.client = bmemcached.Client((SERVER,), socket_timeout=60)
        self.client.flush_all()

    def __getattr__(self, name):
        return getattr(self.client, name)

    def statistics(self):
        def text(part):
            return part.decode() if isinstance(part, bytes) else str(part)

        statistics = next(iter(self.client.stats().values()))
        return {text(key): text(value) for key, value in statistics.items()}


client = {"pylibmc": Pylibmc, "bmemcached": Bmemcached}[sys.argv[2]]


@check
def set_add_replace_and_get():
    c = client()
    equal(c.get("key"), None)
    equal(c.set("key", "value"), True)
    equal(c.get("key"), "value")
    equal(c.add("key", "other"), False)
    equal(c.add("new", "1"), True)
    equal(c.replace("key", "replaced"), True)
    equal(c.replace("missing", "x"), False)
    equal((c.get("key"), c.get("new"), c.get("missing")), ("replaced", "1", None))


@check
def cas_stores_only_what_nobody_changed():
    c = client()
    c.set("key", "one")
    value, unique = c.gets("key")
    equal(value, "one")
    equal(c.cas("key", "two", unique), True)
    equal(c.cas("key", "three", unique), False)
    equal(c.get("key"), "two")
    c.delete("key")
    equal(c.cas("key", "four", unique), False)
    equal(c.get("key"), None)


@check
def many_at_once():
    c = client()
    items = {f"key:{n}": f"value {n}" for n in range(500)}
    equal(c.set_multi(items), [])
    got = c.get_multi(list(items) + ["missing"])
    equal(got, items)
    equal(bool(c.delete_multi(list(items))), True)
    equal(c.get_multi(list(items)), {})


@check
def counters():
    c = client()
    c.set("n", 10 if sys.argv[2] == "pylibmc" else "10")
    equal(c.incr("n", 5), 15)
    equal(c.decr("n", 20), 0)
    equal(c.incr("n", 2**30), 2**30)
    equal(c.decr("n", 1), 2**30 - 1)


@check
def values_of_any_type_come_back():
    c = client()
    value = {"name": "Ada", "born": 1815, "tags": ["math", b"\0\r\n"]}
    for thing in [value, "text", b"bytes", 42, 2**80, 1.5, ["x" * 5000], "ü"]:
        equal(c.set("thing", thing), True)
        got = c.get("thing")
        equal((got, type(got)), (thing, type(thing)))


@check
def values_of_any_bytes_and_size():
    c = client()
    for value in [b"", b"\r\n", bytes(range(256)) * 40, b"\x80\x00" * 24, b"x" * 32768, b"x" * 1000000]:
        equal(c.set("key", value), True)
        equal(c.get("key"), value)


@check
def keys_of_any_length_that_is_allowed():
    c = client()
    longest = "k" * 250
    equal(c.set(longest, "x"), True)
    equal(c.get_multi([longest, "k" * 249]), {longest: "x"})


@check
def expiry():
    c = client()
    c.set("short", "x", time=1)
    until(lambda: c.get("short") is None, "an item of one second expires")
    if sys.argv[2] == "pylibmc":  # the other one has no touch
        c.set("key", "x", time=1000)
        equal(c.touch("key", 1), True)
        until(lambda: c.get("key") is None, "a touched item expires")
        equal(c.touch("key", 1000), False)


@check
def delete_and_flush():
    c = client()
    c.set("key", "x")
    equal(c.delete("key"), True)
    c.delete("key")
    equal(c.get("key"), None)
    c.set("key", "x")
    equal(bool(c.flush_all()), True)
    equal(c.get("key"), None)


@check
def statistics():
    c = client()
    before = c.statistics()
    c.set("key", "x")
    c.get("key")
    c.get("missing")
    after = c.statistics()
    for name, more in [("cmd_get", 2), ("cmd_set", 1), ("get_hits", 1), ("get_misses", 1)]:
        equal((name, int(after[name]) - int(before[name])), (name, more))
    assert after["version"].split(".")[0].isdigit(), after["version"]
    assert int(after["curr_connections"]) >= 1, after["curr_connections"]


@check
def connections_are_closed_and_opened_again():
    c = client()
    for n in range(20):
        equal(c.set("key", str(n)), True)
        c.disconnect_all()
        equal(c.get("key"), str(n))


@check
def two_clients_see_the_same_items():
    a, b = client(), client()
    a.set("key", "from a")
    equal(b.get("key"), "from a")
    b.delete("key")
    equal(a.get("key"), None)


run()
