"""redis-py where keys of one command may be in different slots: `redis_py_slots.py ADDRESS PROTOCOL`.

All of it is true of one Redis, and of a Redis Cluster behind a proxy that makes it look like one.
"""

import sys
import threading

import redis

from checks import address, check, equal, raises, run, until

ADDRESS = address()
PROTOCOL = int(sys.argv[2])


def options(**more):
    """Where the server is, and that it is asked with this protocol."""
    place = {"unix_socket_path": ADDRESS} if isinstance(ADDRESS, str) else dict(zip(("host", "port"), ADDRESS))
    return {**place, "protocol": PROTOCOL, "socket_timeout": 60, "decode_responses": True, **more}


def client(**more):
    """A client on an emptied server."""
    made = redis.Redis(**options(**more))
    made.flushall()
    return made


KEYS = [f"key:{n}" for n in range(200)]


@check
def many_keys_in_one_command():
    r = client()
    equal(r.mset({key: key for key in KEYS}), True)
    equal(r.mget(KEYS), KEYS)
    equal(r.mget("key:1", "missing", "key:1"), ["key:1", None, "key:1"])
    equal(r.exists(*KEYS, "missing"), 200)
    equal(r.touch(*KEYS), 200)
    equal(sorted(r.keys("*")), sorted(KEYS))
    equal(r.dbsize(), 200)
    equal(r.unlink(*KEYS[:50], "missing"), 50)
    equal(r.delete(*KEYS), 150)
    equal(r.dbsize(), 0)


@check
def single_keys():
    r = client()
    for key in KEYS:
        equal(r.set(key, key, ex=100), True)
        equal(r.get(key), key)
        equal(r.ttl(key) > 0, True)
    equal([r.incr("n"), r.incrby("n", 41), r.decr("n")], [1, 42, 41])
    raises(redis.ResponseError, "not an integer", lambda: r.incr("key:1"))
    raises(redis.ResponseError, "WRONGTYPE", lambda: r.lpush("key:1", "x"))


@check
def large_values():
    r = client()
    large = {key: key * 20000 for key in KEYS[:40]}
    equal(r.mset({key: "x" for key in large}), True)
    for key, value in large.items():
        r.set(key, value)
    equal(r.mget(list(large)) == list(large.values()), True)
    r.set("huge", "x" * 5000000)
    equal(len(r.get("huge")), 5000000)


@check
def structures():
    r = client()
    for n in range(50):
        equal(r.hset(f"hash:{n}", mapping={"a": n, "b": 2}), 2)
        equal(r.hgetall(f"hash:{n}"), {"a": str(n), "b": "2"})
        equal(r.rpush(f"list:{n}", "a", "b", "c"), 3)
        equal(r.lrange(f"list:{n}", 0, -1), ["a", "b", "c"])
        equal(r.sadd(f"set:{n}", "a", "b"), 2)
        equal(r.zadd(f"zset:{n}", {"a": 1, "b": 2}), 2)
        equal(r.zrange(f"zset:{n}", 0, -1), ["a", "b"])
    equal(sorted(r.hscan_iter("hash:7")), [("a", "7"), ("b", "2")])


@check
def keys_that_a_hash_tag_keeps_together():
    r = client()
    equal(r.msetnx({"{t}a": 1, "{t}b": 2}), True)
    equal(r.rename("{t}a", "{t}c"), True)
    equal(r.copy("{t}c", "{t}d"), True)
    r.sadd("{t}s", "a", "b")
    r.sadd("{t}u", "b", "c")
    equal(r.sinter("{t}s", "{t}u"), {"b"})
    equal(r.sunionstore("{t}all", "{t}s", "{t}u"), 3)


@check
def pipelines():
    r = client()
    pipe = r.pipeline(transaction=False)
    for n in range(1000):
        pipe.set(f"key:{n}", n).incr(f"key:{n}").get(f"key:{n}")
    answers = pipe.execute()
    equal(answers[0::3], [True] * 1000)
    equal(answers[1::3], list(range(1, 1001)))
    equal(answers[2::3], [str(n) for n in range(1, 1001)])


@check
def transactions():
    r = client()
    for n in range(50):
        tag = "{%d}" % n
        equal(r.pipeline().set(tag + "a", 1).incr(tag + "a").hset(tag + "h", "f", "v").execute(), [True, 2, 1])

    def work():
        mine = redis.Redis(**options())
        for _ in range(25):
            mine.transaction(lambda pipe: (n := int(pipe.get("n")), pipe.multi(), pipe.set("n", n + 1)), "n")

    r.set("n", 0)
    in_threads(4, work)
    equal(r.get("n"), "100")


@check
def scripts():
    r = client()
    add = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    for n in range(50):
        equal(add(keys=[f"n:{n}"], args=[n]), n)
    equal(r.eval("return {KEYS[1], KEYS[2]}", 2, "{t}a", "{t}b"), ["{t}a", "{t}b"])


@check
def blocking():
    r = client()
    for n in range(20):
        found = []
        waiting = threading.Thread(target=lambda: found.append(redis.Redis(**options()).blpop(f"list:{n}", timeout=60)))
        waiting.start()
        r.rpush(f"list:{n}", "x")
        waiting.join()
        equal([list(pair) for pair in found], [[f"list:{n}", "x"]])


@check
def channels():
    r = client()
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("a", "b")
    pubsub.psubscribe("c*")
    heard = set()

    def hears():
        for channel in ["a", "b", "c1"]:
            r.publish(channel, "hello")
        message = pubsub.get_message(timeout=0.1)
        if message:
            heard.add(message["channel"])
        return len(heard) == 3

    until(hears, "a message on each channel")
    pubsub.close()


@check
def a_pool_shared_by_threads():
    r = client()

    def work():
        name = threading.current_thread().name
        for n in range(100):
            key = f"{name}:{n}"
            r.set(key, key)
            equal(r.get(key), key)
            r.incr("n")

    in_threads(12, work)
    equal(r.get("n"), "1200")
    equal(r.dbsize(), 1201)


def in_threads(number, work):
    """Runs the work in threads and shows the first problem of any."""
    problems = []

    def careful():
        try:
            work()
        except Exception as error:
            problems.append(repr(error))

    threads = [threading.Thread(target=careful) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(problems, [])


run()
