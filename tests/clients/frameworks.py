"""The cache backends of frameworks: `frameworks.py ADDRESS BACKEND`, with a BACKEND of the table below.

Django's are PyMemcacheCache, and PyLibMCCache by text and by the binary protocol. dogpile.cache has four backends for
memcached.
"""

import sys

from checks import address, check, equal, run, until

ADDRESS = address()
SERVER = ADDRESS if isinstance(ADDRESS, str) else "%s:%d" % ADDRESS
BACKEND = sys.argv[2]


class Django:
    """Django's cache API, on an emptied server."""

    def __init__(self, backend, options=None):
        from django.conf import settings
        from django.core.cache import caches

        # A Unix socket has its prefix with pymemcache, and none with pylibmc.
        location = SERVER
        cache = {"BACKEND": f"django.core.cache.backends.memcached.{backend}", "LOCATION": location}
        if options:
            cache["OPTIONS"] = options
        if not settings.configured:
            settings.configure(CACHES={"default": cache}, USE_TZ=True)
        self.cache = caches["default"]
        self.cache.clear()
        self.missing = None

    def set(self, key, value, seconds=None):
        self.cache.set(key, value, seconds)

    def get(self, key):
        return self.cache.get(key)

    def delete(self, key):
        self.cache.delete(key)

    def set_many(self, items):
        self.cache.set_many(items, None)

    def get_many(self, keys):
        return self.cache.get_many(keys)

    def delete_many(self, keys):
        self.cache.delete_many(keys)


class Dogpile:
    """A region of dogpile.cache, on an emptied server."""

    def __init__(self, backend, arguments=None):
        from dogpile.cache import make_region
        from dogpile.cache.api import NO_VALUE

        self.seconds = None
        self.url = list(ADDRESS) if backend == "pymemcache_tuple" else SERVER
        self.region = make_region().configure(
            f"dogpile.cache.{backend}",
            arguments={"url": [self.url], "distributed_lock": True, **(arguments or {})},
        )
        self.missing = NO_VALUE
        self.client = self.region.backend.client
        self.client.flush_all()

    def set(self, key, value, seconds=None):
        self.region.set(key, value)

    def get(self, key):
        value = self.region.get(key)
        return None if value is self.missing else value

    def delete(self, key):
        self.region.delete(key)

    def set_many(self, items):
        self.region.set_multi(items)

    def get_many(self, keys):
        keys = list(keys)
        found = zip(keys, self.region.get_multi(keys))
        return {key: value for key, value in found if value is not self.missing}

    def delete_many(self, keys):
        self.region.delete_multi(list(keys))


BACKENDS = {
    "django-pymemcache": lambda: Django("PyMemcacheCache", {"connect_timeout": 60, "timeout": 60}),
    "django-pylibmc-text": lambda: Django("PyLibMCCache", {"binary": False}),
    "django-pylibmc-binary": lambda: Django("PyLibMCCache", {"binary": True}),
    "dogpile-memcached": lambda: Dogpile("memcached"),
    "dogpile-pylibmc": lambda: Dogpile("pylibmc", {"binary": True, "behaviors": {"cas": True}}),
    "dogpile-pymemcache": lambda: Dogpile("pymemcache"),
    "dogpile-bmemcached": lambda: Dogpile("bmemcached"),
}
open_cache = BACKENDS[BACKEND]


@check
def set_and_get():
    c = open_cache()
    equal(c.get("key"), None)
    c.set("key", "value")
    equal(c.get("key"), "value")


@check
def values_of_any_type_come_back():
    c = open_cache()
    for value in ["text", b"bytes\r\n\0", 42, 2**70, 1.5, {"a": [1, 2, {"b": "ü"}]}, ("t", 1)]:
        c.set("thing", value)
        got = c.get("thing")
        equal((got, type(got)), (value, type(value)))


@check
def a_value_replaces_another():
    c = open_cache()
    c.set("key", "one")
    c.set("key", "two")
    equal(c.get("key"), "two")


@check
def delete():
    c = open_cache()
    c.set("key", "value")
    c.delete("key")
    c.delete("key")
    equal(c.get("key"), None)


@check
def many_at_once():
    c = open_cache()
    items = {f"key:{n}": {"number": n} for n in range(200)}
    c.set_many(items)
    equal(c.get_many(list(items) + ["missing"]), items)
    c.delete_many(items)
    equal(c.get_many(items), {})


@check
def large_values():
    c = open_cache()
    import random

    value = random.Random(1).randbytes(500_000)
    c.set("key", value)
    equal(c.get("key"), value)


@check
def keys_with_colons_and_at_their_longest():
    c = open_cache()
    for key in ["user:1:profile", "a" * 200, "k/&?=;,"]:
        c.set(key, key)
        equal(c.get(key), key)


@check
def two_clients_see_the_same_items():
    a = open_cache()
    b = a if isinstance(a, Django) else open_cache()
    a.set("key", "from a")
    equal(b.get("key"), "from a")


@check
def an_item_expires():
    c = open_cache()
    if isinstance(c, Django):
        c.set("key", "value", 1)
        until(lambda: c.get("key") is None, "it expires")
    else:
        lasting = c.region.get_or_create("key", lambda: "value", expiration_time=100)
        equal(lasting, "value")


@check
def what_the_framework_does_for_its_users():
    c = open_cache()
    if isinstance(c, Django):
        cache = c.cache
        equal((cache.add("new", 1), cache.add("new", 2)), (True, False))
        equal((cache.incr("new"), cache.decr("new", 2)), (2, 0))
        equal(cache.touch("new", 100), True)
        equal(cache.touch("missing", 100), False)
        equal(cache.get_or_set("made", lambda: "by need", 100), "by need")
        equal(cache.get("made"), "by need")
        equal("made" in cache, True)
        cache.clear()
        equal(cache.get("made"), None)
        return
    made = []

    def create():
        made.append(1)
        return len(made)

    equal([c.region.get_or_create("made", create) for _ in range(3)], [1, 1, 1])
    mutex = c.region.backend.get_mutex("lock")
    equal(mutex.acquire(False), True)
    equal(c.region.backend.get_mutex("lock").acquire(False), False)
    mutex.release()
    equal(c.region.backend.get_mutex("lock").acquire(False), True)


run()
