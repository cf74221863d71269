"""meta-memcache, which speaks memcached's meta commands: `meta.py HOST:PORT`."""

import sys
import time

from checks import address, check, equal, run, until
from meta_memcache import CacheClient, Key, ServerAddress, connection_pool_factory_builder
from meta_memcache.configuration import LeasePolicy, RecachePolicy, StalePolicy
from meta_memcache.protocol import SetMode

HOST, PORT = address()


def client():
    pools = connection_pool_factory_builder(connection_timeout=60, recv_timeout=60)
    cache = CacheClient.cache_client_from_servers(
        servers=[ServerAddress(HOST, PORT)], connection_pool_factory_fn=pools
    )
    return cache


names = iter(range(10**9))


def fresh():
    """A key that no other check uses."""
    return Key(f"key:{next(names)}:{time.time_ns()}")


@check
def set_and_get():
    c, key = client(), fresh()
    equal(c.get(key), None)
    equal(c.set(key, "value", ttl=100), True)
    equal(c.get(key), "value")


@check
def values_of_any_type_come_back():
    c, key = client(), fresh()
    for value in ["text", b"bytes\r\n\0", 42, 1.5, {"a": [1, "ü"]}]:
        equal(c.set(key, value, ttl=100), True)
        equal(c.get(key), value)


@check
def the_modes_of_set():
    c, key = client(), fresh()
    equal(c.set(key, "x", ttl=100, set_mode=SetMode.REPLACE), False)
    equal(c.set(key, b"b", ttl=100, set_mode=SetMode.ADD), True)
    equal(c.set(key, b"x", ttl=100, set_mode=SetMode.ADD), False)
    equal(c.set(key, b"c", ttl=100, set_mode=SetMode.APPEND), True)
    equal(c.set(key, b"a", ttl=100, set_mode=SetMode.PREPEND), True)
    equal(c.get(key), b"abc")


@check
def many_at_once():
    c = client()
    keys = [fresh() for _ in range(200)]
    for n, key in enumerate(keys):
        equal(c.set(key, n, ttl=100), True)
    missing = fresh()
    equal(c.multi_get(keys + [missing]), {**{key: n for n, key in enumerate(keys)}, missing: None})


@check
def cas():
    c, key = client(), fresh()
    c.set(key, "one", ttl=100)
    value, token = c.get_cas(key)
    equal(value, "one")
    equal(c.set(key, "two", ttl=100, cas_token=token), True)
    equal(c.set(key, "three", ttl=100, cas_token=token), False)
    equal(c.get(key), "two")


@check
def counters():
    c, key = client(), fresh()
    equal(c.delta(key, 1), False)
    equal(c.delta_initialize(key, 1, initial_value=10, initial_ttl=100), True)
    equal(c.delta_and_get(key, 5), 15)
    equal(c.delta_and_get(key, -20), 0)
    equal(c.delta_initialize_and_get(fresh(), 1, initial_value=7, initial_ttl=100), 7)


@check
def touch_and_expiry():
    c, key = client(), fresh()
    equal(c.touch(key, 100), False)
    c.set(key, "x", ttl=1000)
    equal(c.touch(key, 1), True)
    until(lambda: c.get(key) is None, "it expires")


@check
def delete_and_invalidate():
    c, key = client(), fresh()
    equal(c.delete(key), False)
    equal(c.invalidate(key), True)
    c.set(key, "x", ttl=100)
    equal(c.delete(key), True)
    equal(c.get(key), None)


@check
def keys_that_are_not_ascii():
    c = client()
    for name in ["ключ", "with space", "k" * 300]:
        key = Key(name)
        equal(c.set(key, name, ttl=100), True)
        equal(c.get(key), name)
        c.delete(key)


@check
def one_of_many_gets_the_lease():
    c, key = client(), fresh()
    policy = LeasePolicy(ttl=30, miss_retries=1, miss_retry_wait=0.01)
    value, token = c.get_or_lease_cas(key, lease_policy=policy)
    equal(value, None)
    assert token is not None
    equal(c.get_or_lease(key, lease_policy=policy), None)
    equal(c.set(key, "made", ttl=100, cas_token=token), True)
    equal(c.get_or_lease(key, lease_policy=policy), "made")


@check
def a_stale_value_is_served_while_one_recaches():
    c, key = client(), fresh()
    c.set(key, "old", ttl=100)
    equal(c.delete(key, stale_policy=StalePolicy(mark_stale_on_deletion_ttl=30)), True)
    policy = RecachePolicy(ttl=30)
    first = c.get(key, recache_policy=policy)
    second = c.get(key, recache_policy=policy)
    equal((first, second), (None, "old"))
    c.set(key, "new", ttl=100)
    equal(c.get(key, recache_policy=policy), "new")


run()
