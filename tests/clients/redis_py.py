"""redis-py as programs use it, speaking RESP2 and RESP3: `redis_py.py ADDRESS PROTOCOL`."""

import sys
import threading

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from checks import address, authorities, check, equal, raises, run, until

ADDRESS = address()
TLS = {"ssl": True, "ssl_ca_certs": authorities()} if authorities() else {}
PROTOCOL = int(sys.argv[2])


def options(**more):
    """Where the server is, and that it is asked with this protocol."""
    place = {"unix_socket_path": ADDRESS} if isinstance(ADDRESS, str) else dict(zip(("host", "port"), ADDRESS))
    return {**place, "protocol": PROTOCOL, "socket_timeout": 60, **TLS, **more}


def client(**more):
    """A client on an emptied server."""
    made = redis.Redis(**options(**more))
    made.flushall()
    return made


@check
def strings():
    r = client()
    equal(r.get("key"), None)
    equal(r.set("key", "value"), True)
    equal(r.get("key"), b"value")
    equal(r.set("key", "x", nx=True), None)
    equal(r.set("key", "x", xx=True, get=True), b"value")
    equal(r.getset("key", "y"), b"x")
    equal(r.setnx("key", "z"), False)
    equal(r.append("key", "zz"), 3)
    equal(r.strlen("key"), 3)
    equal(r.getrange("key", 1, -1), b"zz")
    equal(r.setrange("key", 5, "!"), 6)
    equal(r.get("key"), b"yzz\0\0!")
    equal(r.getdel("key"), b"yzz\0\0!")
    equal(r.mset({"a": 1, "b": 2}), True)
    equal(r.mget("a", "missing", "b"), [b"1", None, b"2"])
    equal(r.msetnx({"b": 3, "c": 3}), False)
    everything = bytes(range(256)) * 4000
    r.set("large", everything)
    equal(r.get("large"), everything)


@check
def counters():
    r = client()
    equal([r.incr("n"), r.incr("n", 41), r.decr("n"), r.incrby("n", 9), r.decrby("n", 50)], [1, 42, 41, 50, 0])
    equal(r.incrbyfloat("f", 10.5), 10.5)
    equal(r.incrbyfloat("f", -0.25), 10.25)
    r.set("words", "words")
    raises(redis.ResponseError, "value is not an integer or out of range", lambda: r.incr("words"))


@check
def keys_and_expiry():
    r = client()
    r.set("key", "x", ex=100)
    assert 0 < r.ttl("key") <= 100
    assert 0 < r.pttl("key") <= 100000
    equal(r.persist("key"), True)
    equal(r.ttl("key"), -1)
    equal(r.ttl("missing"), -2)
    equal(r.expire("key", 50), True)
    equal(r.expire("key", 60, nx=True), False)
    equal(r.expire("key", 60, gt=True), True)
    equal(r.expireat("key", 33177117420), True)
    equal(r.expiretime("key"), 33177117420)
    equal(r.getex("key", px=1000000), b"x")
    r.psetex("short", 20, "x")
    until(lambda: r.get("short") is None, "a key of 20 ms expires")
    equal(r.set("key", "y", keepttl=True), True)
    assert r.ttl("key") > 900
    equal(r.exists("key", "key", "missing"), 2)
    equal(r.type("key"), b"string")
    equal(r.rename("key", "other"), True)
    raises(redis.ResponseError, "no such key", lambda: r.rename("key", "other"))
    equal(r.renamenx("other", "key"), True)
    equal(r.copy("key", "copy"), True)
    equal(r.touch("key", "copy"), 2)
    equal(sorted(r.keys("*")), [b"copy", b"key"])
    equal(r.keys("k?y"), [b"key"])
    assert r.randomkey() in [b"copy", b"key"]
    equal(r.dbsize(), 2)
    equal(r.delete("key", "missing"), 1)
    equal(r.unlink("copy"), 1)
    equal(r.object("encoding", "missing"), None)
    r.set("n", 1)
    equal(r.object("encoding", "n"), b"int")
    assert r.memory_usage("n") > 0


@check
def hashes():
    r = client()
    equal(r.hset("user:1", mapping={"name": "Ada", "born": 1815}), 2)
    equal(r.hset("user:1", "field", "math"), 1)
    equal(r.hget("user:1", "name"), b"Ada")
    equal(r.hmget("user:1", ["name", "missing"]), [b"Ada", None])
    equal(r.hgetall("user:1"), {b"name": b"Ada", b"born": b"1815", b"field": b"math"})
    equal(r.hgetall("missing"), {})
    equal(sorted(r.hkeys("user:1")), [b"born", b"field", b"name"])
    equal(sorted(r.hvals("user:1")), [b"1815", b"Ada", b"math"])
    equal(r.hexists("user:1", "name"), True)
    equal(r.hsetnx("user:1", "name", "Bea"), 0)
    equal(r.hincrby("user:1", "born", 1), 1816)
    equal(r.hincrbyfloat("user:1", "height", 1.5), 1.5)
    equal(r.hlen("user:1"), 4)
    equal(r.hstrlen("user:1", "name"), 3)
    assert r.hrandfield("user:1") in [b"name", b"born", b"field", b"height"]
    equal(len(r.hrandfield("user:1", 3)), 3)
    equal(r.hdel("user:1", "height", "missing"), 1)
    equal(r.type("user:1"), b"hash")
    raises(redis.ResponseError, "WRONGTYPE", lambda: r.get("user:1"))
    raises(redis.ResponseError, "WRONGTYPE", lambda: r.execute_command("HGET", r.set("s", 1) and "s", "f"))
    equal(r.hdel("user:1", "name", "born", "field"), 3)
    equal(r.exists("user:1"), 0)


@check
def scans_give_every_key_once():
    r = client()
    r.mset({f"key:{n}": n for n in range(1000)})
    r.hset("hash", mapping={f"field:{n}": n for n in range(1000)})
    found = list(r.scan_iter(match="key:*", count=50))
    equal((len(found), len(set(found))), (1000, 1000))
    equal(sorted(r.scan_iter(_type="hash")), [b"hash"])
    fields = list(r.hscan_iter("hash", count=10))
    equal({key: int(value) for key, value in fields}, {b"field:%d" % n: n for n in range(1000)})
    equal(len(list(r.hscan_iter("hash", match="field:1*"))), 111)


@check
def pipelines():
    r = client()
    pipe = r.pipeline(transaction=False)
    for n in range(1000):
        pipe.set(f"key:{n}", n).get(f"key:{n}")
    answers = pipe.execute()
    equal(answers[0::2], [True] * 1000)
    equal(answers[1::2], [b"%d" % n for n in range(1000)])
    r.set("s", "text")
    answers = r.pipeline(transaction=False).incr("s").set("t", 1).execute(raise_on_error=False)
    assert isinstance(answers[0], redis.ResponseError), answers
    equal(answers[1], True)


@check
def transactions():
    r = client()
    equal(r.pipeline().set("a", 1).incr("a").hset("h", "f", "v").hgetall("h").execute(), [True, 2, 1, {b"f": b"v"}])
    with r.pipeline() as pipe:
        pipe.watch("a")
        before = int(pipe.get("a"))
        r.set("a", 10)  # someone else, in between
        pipe.multi()
        pipe.set("a", before + 1)
        raises(redis.WatchError, "", pipe.execute)
    equal(r.get("a"), b"10")

    def add_one(pipe):
        value = int(pipe.get("a"))
        pipe.multi()
        pipe.set("a", value + 1)

    equal(r.transaction(add_one, "a"), [True])
    equal(r.get("a"), b"11")
    raises(redis.ResponseError, "not an integer", lambda: r.pipeline().set("s", "x").incr("s").get("s").execute())
    equal(r.get("s"), b"x")
    raises(redis.ResponseError, "unknown command", lambda: r.pipeline().set("s", "y").execute_command("NONSENSE").execute())
    equal(r.get("s"), b"x")


@check
def a_watched_counter_under_threads():
    r = client()
    r.set("n", 0)

    def work():
        mine = redis.Redis(**options())
        for _ in range(25):
            mine.transaction(lambda pipe: (n := int(pipe.get("n")), pipe.multi(), pipe.set("n", n + 1)), "n")

    in_threads(4, work)
    equal(r.get("n"), b"100")


@check
def the_hello_and_its_protocol():
    r = client()
    hello = r.execute_command("HELLO")
    if PROTOCOL == 2:
        hello = dict(zip(hello[0::2], hello[1::2])) if isinstance(hello, list) else hello
    equal(hello[b"proto"], PROTOCOL)
    equal((hello[b"server"], hello[b"role"], hello[b"mode"]), (b"redis", b"master", b"standalone"))
    equal(r.ping(), True)
    equal(r.echo("text"), b"text")
    raises(redis.ResponseError, "NOPROTO", lambda: r.execute_command("HELLO", 4))
    # Replies that differ on the wire come back as redis-py's types for that protocol.
    r.hset("h", "f", "v")
    equal(r.hgetall("h"), {b"f": b"v"})
    equal(r.hrandfield("h", 1, withvalues=True), [[b"f", b"v"]] if PROTOCOL == 3 else [b"f", b"v"])


@check
def client_commands():
    r = client(client_name="one", single_connection_client=True)
    equal(r.client_getname() in ("one", b"one"), True)
    equal(r.client_setname("two"), True)
    mine = r.client_id()
    entry = [entry for entry in r.client_list() if int(entry["id"]) == mine][0]
    equal((entry["name"], entry["cmd"]), ("two", "client|list"))
    equal({"addr", "laddr", "age", "idle", "db", "resp"} <= set(entry), True)
    equal(int(r.client_info()["id"]), mine)
    other = redis.Redis(**options(single_connection_client=True, retry=Retry(ConstantBackoff(0), 0)))
    equal(r.client_kill_filter(_id=other.client_id()), 1)
    raises(redis.ConnectionError, "", other.ping)
    equal(r.client_no_evict("ON") in (True, "OK", b"OK"), True)


@check
def databases():
    r = client()
    other = redis.Redis(**options(db=3))
    other.set("key", "three")
    equal(r.get("key"), None)
    r.set("mine", "zero")
    equal(r.move("mine", 3), True)
    equal(sorted(other.keys()), [b"key", b"mine"])
    equal(r.swapdb(0, 3), True)
    equal(r.get("key"), b"three")
    raises(redis.ResponseError, "out of range", lambda: redis.Redis(**options(db=16)).ping())
    equal(r.flushdb(), True)
    equal(r.dbsize(), 0)


@check
def answers_decoded():
    r = client(decode_responses=True)
    r.set("clé", "välue")
    equal(r.get("clé"), "välue")
    r.hset("h", mapping={"é": "ü"})
    equal(r.hgetall("h"), {"é": "ü"})
    equal(list(r.scan_iter("cl*")), ["clé"])
    equal(list(r.hscan_iter("h")), [("é", "ü")])
    equal(r.type("h"), "hash")


@check
def information_and_configuration():
    r = client()
    r.set("key", "x", ex=1000)
    info = r.info()
    equal(info["redis_version"].split(".")[0], "7")
    equal((info["redis_mode"], info["role"]), ("standalone", "master"))
    equal((info["db0"]["keys"], info["db0"]["expires"]), (1, 1))
    for name in ["connected_clients", "used_memory", "uptime_in_seconds", "keyspace_hits", "total_commands_processed"]:
        assert isinstance(info[name], int), (name, info[name])
    equal(list(r.info("keyspace")), ["db0"])
    assert int(r.config_get("maxmemory")["maxmemory"]) >= 0
    raises(redis.ResponseError, "Unknown option", lambda: r.config_set("nonsense", 1))
    equal(r.command_count() > 50, True)
    assert "get" in r.command(), "COMMAND tells of get"
    seconds, microseconds = r.time()
    assert seconds > 1600000000 and 0 <= microseconds < 1000000


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


@check
def a_connection_pool_shared_by_threads():
    client()
    more = {"max_connections": 4, "protocol": PROTOCOL, "socket_timeout": 60}
    pool = redis.BlockingConnectionPool.from_url(url(), **more)
    r = redis.Redis(connection_pool=pool)

    def work():
        name = threading.current_thread().name
        for n in range(100):
            key = f"{name}:{n}"
            r.set(key, key)
            equal(r.get(key), key.encode())
            r.incr("n")

    in_threads(12, work)
    equal(r.get("n"), b"1200")
    equal(r.dbsize(), 1201)


def url():
    """The server's address as a URL."""
    if isinstance(ADDRESS, str):
        return f"unix://{ADDRESS}"
    host, port = ADDRESS
    return f"rediss://{host}:{port}?ssl_ca_certs={authorities()}" if TLS else f"redis://{host}:{port}"


@check
def what_it_does_not_know_disturbs_nothing():
    r = client(single_connection_client=True)
    raises(redis.ResponseError, "unknown command 'NONSENSE'", lambda: r.execute_command("NONSENSE", "a"))
    raises(redis.ResponseError, "wrong number of arguments for 'get'", lambda: r.execute_command("GET"))
    raises(redis.ResponseError, "syntax error", lambda: r.execute_command("SET", "a", "b", "NONSENSE"))
    equal(r.set("key", "x"), True)
    equal(r.get("key"), b"x")


run()
