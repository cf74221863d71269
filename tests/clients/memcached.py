"""pymemcache as programs use it: the plain, the pooled, the hashing and the retrying client."""

import threading

from pymemcache import serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError, MemcacheUnknownCommandError

from checks import address, check, equal, raises, run, tls_context, until

ADDRESS = address()
TLS = {"tls_context": tls_context()}


def client(**options):
    """A client that waits for every answer, on an emptied server."""
    made = Client(ADDRESS, default_noreply=False, timeout=60, **TLS, **options)
    made.flush_all()
    return made


@check
def set_add_replace_and_get():
    c = client()
    equal(c.get("key"), None)
    equal(c.get("key", "default"), "default")
    equal(c.set("key", b"value"), True)
    equal(c.get("key"), b"value")
    equal(c.add("key", b"other"), False)
    equal(c.add("new", b"1"), True)
    equal(c.replace("key", b"replaced"), True)
    equal(c.replace("missing", b"x"), False)
    equal(c.get_many(["key", "missing", "new"]), {"key": b"replaced", "new": b"1"})


@check
def append_and_prepend():
    c = client()
    equal(c.append("key", b"x"), False)
    c.set("key", b"middle")
    equal(c.append("key", b" end"), True)
    equal(c.prepend("key", b"begin "), True)
    equal(c.get("key"), b"begin middle end")


@check
def cas_stores_only_what_nobody_changed():
    c = client()
    equal(c.gets("key"), (None, None))
    equal(c.cas("key", b"x", b"1"), None)
    c.set("key", b"one")
    value, unique = c.gets("key")
    equal(value, b"one")
    equal(c.cas("key", b"two", unique), True)
    equal(c.cas("key", b"three", unique), False)
    equal(c.get("key"), b"two")


@check
def many_at_once():
    c = client()
    items = {f"key:{n}": b"%d" % n for n in range(500)}
    equal(c.set_many(items), [])
    equal(c.get_many(items.keys()), items)
    got = c.gets_many(items.keys())
    equal({key: value for key, (value, _) in got.items()}, items)
    equal(len({unique for _, unique in got.values()}), 500)
    equal(c.delete_many(items.keys()), True)
    equal(c.get_many(items.keys()), {})


@check
def counters():
    c = client()
    equal(c.incr("n", 1), None)
    c.set("n", "10")
    equal(c.incr("n", 5), 15)
    equal(c.decr("n", 20), 0)
    c.set("n", str(2**64 - 1))
    equal(c.incr("n", 1), 0)
    c.set("n", "words")
    raises(MemcacheClientError, "non-numeric", lambda: c.incr("n", 1))


@check
def expiry_and_touch():
    c = client()
    c.set("gone", b"x", expire=-1)
    equal(c.get("gone"), None)
    c.set("short", b"x", expire=1)
    until(lambda: c.get("short") is None, "an item of one second expires")
    c.set("key", b"x", expire=1)
    equal(c.touch("key", 1000), True)
    equal(c.touch("missing", 1000), False)
    equal(c.touch("key", -1), True)
    equal(c.get("key"), None)


@check
def delete_and_flush():
    c = client()
    c.set("key", b"x")
    equal(c.delete("key"), True)
    equal(c.delete("key"), False)
    c.set("key", b"x")
    equal(c.flush_all(), True)
    equal(c.get("key"), None)
    c.set("key", b"x")
    equal(c.flush_all(delay=1000), True)
    equal(c.get("key"), b"x")
    c.flush_all()


@check
def noreply_is_silent_and_done():
    c = client()
    quiet = Client(ADDRESS, default_noreply=True, timeout=60, **TLS)
    for n in range(200):
        quiet.set(f"key:{n}", b"%d" % n)
    quiet.delete("key:0")
    quiet.add("key:1", b"kept as it was")
    quiet.append("key:2", b"!")
    quiet.incr("key:3", 10, noreply=True)
    quiet.touch("key:4", -1)
    quiet.set_many({"many:1": b"x", "many:2": b"y"})
    # An answered command on the same connection: all before it has been done, and nothing was answered.
    equal(quiet.get_many(["many:1", "many:2"]), {"many:1": b"x", "many:2": b"y"})
    equal(
        c.get_many([f"key:{n}" for n in range(6)]),
        {"key:1": b"1", "key:2": b"2!", "key:3": b"13", "key:5": b"5"},
    )


@check
def flags_come_back_through_serializers():
    value = {"name": "Ada", "born": 1815, "tags": ["math", b"\0\r\n"]}
    for serializer in [serde.pickle_serde, serde.compressed_serde]:
        c = client(serde=serializer)
        for thing in [value, "text", b"bytes", 42, 2**80, 1.5, None, ["x" * 5000]]:
            c.set("thing", thing)
            got = c.get("thing")
            equal((got, type(got)), (thing, type(thing)))
    c = client()
    c.set("key", b"x", flags=2**32 - 1)
    equal(c.raw_command(b"get key", b"END\r\n"), b"VALUE key 4294967295 1\r\nx\r\n")


@check
def values_of_any_bytes_and_size():
    c = client()
    for value in [b"", b"\r\n", b"END\r\n", bytes(range(256)) * 40, b"VALUE x 0 1\r\n\r\n", b"x" * 1000000]:
        equal(c.set("key", value), True)
        equal(c.get("key"), value)
    raises(MemcacheServerError, "too large", lambda: c.set("key", b"x" * 1100000))
    equal(c.get("key"), None)
    equal(c.set("key", b"goes on"), True)


@check
def keys_of_any_length_that_is_allowed():
    c = client()
    longest = "k" * 250
    equal(c.set(longest, b"x"), True)
    equal(c.get_many([longest, "k" * 249]), {longest: b"x"})
    prefixed = client(key_prefix=b"app:")
    prefixed.set("key", b"mine")
    equal(prefixed.get_many(["key"]), {"key": b"mine"})
    equal(c.get("app:key"), b"mine")
    unicode = client(allow_unicode_keys=True)
    unicode.set("clé", b"x")
    equal(unicode.get("clé"), b"x")


@check
def version_and_statistics():
    c = client()
    assert c.version().split(b".")[0].isdigit(), c.version()
    before = c.stats()
    c.set("key", b"x")
    c.get("key")
    c.get("missing")
    after = c.stats()
    for name in [b"pid", b"uptime", b"curr_connections", b"limit_maxbytes", b"threads", b"evictions"]:
        assert isinstance(after[name], int), (name, after[name])
    for name, more in [(b"cmd_get", 2), (b"cmd_set", 1), (b"get_hits", 1), (b"get_misses", 1)]:
        equal((name, after[name] - before[name]), (name, more))
    assert after[b"curr_items"] >= 1, after[b"curr_items"]
    assert b"maxbytes" in c.stats("settings")
    assert c.stats("items"), "stats items"


@check
def what_is_unknown_leaves_the_connection_in_order():
    c = client()
    raises(MemcacheUnknownCommandError, "", lambda: c._misc_cmd([b"nonsense\r\n"], b"nonsense", False))
    equal(c.set("key", b"x"), True)
    equal(c.get("key"), b"x")


@check
def quit_and_use_again():
    c = client()
    c.quit()
    equal(c.set("key", b"x"), True)
    c.close()
    equal(c.get("key"), b"x")


@check
def a_pool_shared_by_threads():
    client()
    pool = PooledClient(ADDRESS, max_pool_size=8, timeout=60, default_noreply=False, **TLS)
    pool.set("n", "0")
    problems = []

    def work(thread):
        try:
            for n in range(100):
                key = f"{thread}:{n}"
                pool.set(key, key)
                assert pool.get(key) == key.encode(), key
                pool.incr("n", 1)
        except Exception as error:  # shown by the main thread
            problems.append(repr(error))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(problems, [])
    equal(pool.get("n"), b"800")


@check
def the_hashing_and_the_retrying_client():
    client()
    c = HashClient([ADDRESS], default_noreply=False, timeout=60, use_pooling=True, **TLS)
    equal(c.set_many({"a": b"1", "b": b"2"}), [])
    equal(c.get_many(["a", "b", "c"]), {"a": b"1", "b": b"2"})
    equal(c.gets("a")[0], b"1")
    equal(c.delete("a"), True)
    retrying = RetryingClient(Client(ADDRESS, timeout=60, **TLS), attempts=2)
    equal(retrying.get("b"), b"2")


@check
def lines_in_pieces():
    client()
    c = Client(ADDRESS, timeout=60, default_noreply=False, no_delay=not isinstance(ADDRESS, str), **TLS)
    c.get("connects")
    for byte in b"set slow 0 0 5\r\nhello\r\n":
        c.sock.sendall(bytes([byte]))
    equal(c.sock.recv(100), b"STORED\r\n")


run()
