//! The answers to clients of `larder invalidate`, and the deletes that real caches have received by
//! then.

mod invalidate_support;
mod proxy_support;
mod support;

use std::time::Duration;

use invalidate_support::{
    Invalidator, Witness, directory, forgotten, get, list, pool, put, real, redis_get, redis_put,
    settings,
};
use larder::invalidate::{
    Durability, ForgetMethod, ReadPolicy, Settings, Target, TargetKind, TargetMode,
};
use proxy_support::{Client, Real, eventually};

macro_rules! real {
    ($program:literal, $count:literal) => {
        match real($program, $count) {
            Some(servers) => servers,
            None => support::skip!("there is no {}", $program),
        }
    };
}

#[test]
fn every_write_is_answered_as_a_server_would_and_deletes_the_key_from_the_pool() {
    let caches = real!("memcached", 3);
    let addresses: Vec<_> = caches.iter().map(|cache| cache.address).collect();
    let spool = directory();
    let larder = Invalidator::start(settings(spool.path()), vec![pool(&addresses)]);
    let long = "k".repeat(250);
    let odd = "a\tb\u{1}ü:{}%";
    let keys = [
        "set", "add", "replace", "append", "prepend", "cas", "delete", "touch", "incr", "quiet",
        "ms", "md", "mq", "user:42", &long, odd,
    ];
    for key in keys {
        addresses.iter().for_each(|cache| put(*cache, key, "old"));
    }
    let mut client = larder.client();
    for verb in ["set", "add", "replace", "append", "prepend"] {
        client.ask(format!("{verb} {verb} 0 0 3\r\nnew\r\n"), "STORED\r\n");
    }
    client.ask("cas cas 0 0 3 7\r\nnew\r\n", "STORED\r\n");
    client.ask("delete delete\r\n", "DELETED\r\n");
    client.ask("touch touch 10\r\n", "TOUCHED\r\n");
    client.ask("incr incr 1\r\n", "NOT_FOUND\r\n");
    client.ask("ms ms 3 T10\r\nnew\r\n", "HD\r\n");
    client.ask("md md\r\n", "HD\r\n");
    client.send("md mq q\r\nset quiet 0 0 3 noreply\r\nnew\r\n");
    for key in ["user:42", &long, odd] {
        client.ask(format!("delete {key}\r\n"), "DELETED\r\n");
    }
    for request in ["md a k", "ms a 1 Oopaque\r\nx", "ma a", "mg a v"] {
        client.send(format!("{request}\r\n"));
        assert!(
            client
                .line()
                .starts_with("SERVER_ERROR larder invalidate accepts"),
            "{request}"
        );
    }
    larder.settle();
    let pool = larder::pool::Ring::new(&list(&addresses), larder::pool::Placement::Ketama);
    for key in keys {
        let home = pool.server(key.as_bytes());
        for (number, cache) in addresses.iter().enumerate() {
            let value = get(*cache, key);
            assert_eq!(value.is_none(), number == home, "{key} at {number}");
        }
    }
}

// The value was read as a command, so that it could flush every cache.
#[test]
fn the_value_of_a_refused_storage_command_reports_nothing() {
    let caches = real!("memcached", 1);
    let cache = caches[0].address;
    let spool = directory();
    let larder = Invalidator::start(settings(spool.path()), vec![pool(&[cache])]);
    put(cache, "kept", "old");
    let mut client = larder.client();
    let long = "k".repeat(251);
    for line in [
        "set a 0 abc 9".to_owned(),
        "set a abc 0 9".to_owned(),
        "cas a 0 0 9 abc".to_owned(),
        format!("set {long} 0 0 9"),
    ] {
        client.send(format!("{line}\r\nflush_all\r\n"));
        let refusal = client.line();
        assert!(refusal.starts_with("CLIENT_ERROR"), "{line}: {refusal}");
    }
    client.send("version\r\n");
    assert!(client.line().starts_with("VERSION 1.6.45"));
    assert_eq!(larder.stat("recorded"), 0);
    larder.settle();
    assert_eq!(get(cache, "kept").as_deref(), Some("old"));
}

#[test]
fn a_pipeline_is_answered_in_order_and_recorded_in_few_transactions() {
    let caches = real!("memcached", 1);
    let spool = directory();
    let larder = Invalidator::start(settings(spool.path()), vec![pool(&[caches[0].address])]);
    let mut client = larder.client();
    let mut requests = String::new();
    let mut replies = String::new();
    for number in 0..5000 {
        match number % 3 {
            0 => {
                requests += &format!("set k{number} 0 0 1\r\nx\r\n");
                replies += "STORED\r\n";
            }
            1 => {
                requests += &format!("delete k{number}\r\n");
                replies += "DELETED\r\n";
            }
            _ => {
                requests += "get k\r\n";
                replies += "SERVER_ERROR larder invalidate accepts writes only; start it with --reads forward to read through it\r\n";
            }
        }
    }
    std::thread::scope(|threads| {
        let mut writer = Client(client.0.try_clone().expect("a second handle"));
        threads.spawn(move || writer.send(requests));
        client.expect(replies);
    });
    larder.settle();
    assert_eq!(larder.stat("recorded"), 3334);
    assert!(larder.stat("commits") < 1000, "{}", larder.stat("commits"));
    assert_eq!(larder.stat("delivered"), 3334);
}

#[test]
fn a_flush_empties_every_cache() {
    let caches = real!("memcached", 2);
    let redis = real!("redis-server", 1);
    let addresses = [caches[0].address, caches[1].address];
    let spool = directory();
    let mut other = Target::new("redis", list(&[redis[0].address]));
    other.kind = TargetKind::Redis;
    let larder = Invalidator::start(settings(spool.path()), vec![pool(&addresses), other]);
    larder.settle();
    addresses.iter().for_each(|cache| put(*cache, "a", "old"));
    redis_put(redis[0].address, "a", "old");
    let mut client = larder.client();
    client.ask("flush_all\r\n", "OK\r\n");
    addresses.iter().for_each(|cache| forgotten(*cache, "a"));
    eventually("Redis to be flushed", || {
        redis_get(redis[0].address, "a").is_none()
    });
    larder.settle();
    assert_eq!(larder.stat("flushes"), 3);
    client.ask(
        "flush_all 10\r\n",
        "SERVER_ERROR larder invalidate has no delayed flush_all; nothing is recorded\r\n",
    );
    addresses.iter().for_each(|cache| put(*cache, "a", "old"));
    larder.resp().ask("FLUSHALL\r\n", "+OK\r\n");
    addresses.iter().for_each(|cache| forgotten(*cache, "a"));
}

#[test]
fn one_write_reaches_the_pool_the_replicas_and_redis_under_their_own_names() {
    let caches = real!("memcached", 3);
    let redis = real!("redis-server", 1);
    let spool = directory();
    let mut replicas = Target::new("replicas", list(&[caches[1].address, caches[2].address]));
    replicas.mode = TargetMode::Replicas;
    replicas.prefix = b"user:".to_vec();
    let mut other = Target::new("redis", list(&[redis[0].address]));
    other.kind = TargetKind::Redis;
    other.template = "app:{key}:v1".to_owned();
    other.pattern = regex::bytes::Regex::new("^user:[0-9]+$").ok();
    other.database = 3;
    let targets = vec![pool(&[caches[0].address]), replicas, other];
    let larder = Invalidator::start(settings(spool.path()), targets);
    let mut redis = Client::connect(redis[0].address);
    redis.ask("SELECT 3\r\n", "+OK\r\n");
    redis.ask(
        "MSET app:user:1:v1 old app:user:x:v1 old app:item:1:v1 old\r\n",
        "+OK\r\n",
    );
    for cache in &caches {
        for key in ["user:1", "user:x", "item:1"] {
            put(cache.address, key, "old");
        }
    }
    let mut client = larder.client();
    for key in ["user:1", "user:x", "item:1"] {
        client.ask(format!("delete {key}\r\n"), "DELETED\r\n");
    }
    larder.settle();
    for key in ["user:1", "user:x", "item:1"] {
        assert_eq!(get(caches[0].address, key), None);
    }
    for cache in &caches[1..] {
        assert_eq!(get(cache.address, "user:1"), None);
        assert_eq!(get(cache.address, "user:x"), None);
        assert_eq!(get(cache.address, "item:1").as_deref(), Some("old"));
    }
    redis.ask(
        "MGET app:user:1:v1 app:user:x:v1 app:item:1:v1\r\n",
        "*3\r\n$-1\r\n$3\r\nold\r\n$3\r\nold\r\n",
    );
}

#[test]
fn resp_clients_report_changes_in_their_words() {
    let redis = real!("redis-server", 1);
    let address = redis[0].address;
    let spool = directory();
    let mut target = Target::new("redis", list(&[address]));
    target.kind = TargetKind::Redis;
    let larder = Invalidator::start(settings(spool.path()), vec![target]);
    let mut client = larder.resp();
    for (request, keys, reply) in [
        ("DEL a", "a", ":1"),
        ("UNLINK a b c", "a b c", ":3"),
        ("SET a 1", "a", "+OK"),
        ("SET a 1 EX 10", "a", "+OK"),
        ("set a 1 keepttl", "a", "+OK"),
        ("SETEX a 10 1", "a", "+OK"),
        ("PSETEX a 10 1", "a", "+OK"),
        ("MSET a 1 b 2", "a b", "+OK"),
        ("EXPIRE a 10", "a", ":1"),
        ("PEXPIREAT a 10", "a", ":1"),
        ("PERSIST a", "a", ":1"),
    ] {
        for key in ["a", "b", "c", "d"] {
            redis_put(address, key, "old");
        }
        client.ask(format!("{request}\r\n"), format!("{reply}\r\n"));
        larder.settle();
        for key in ["a", "b", "c", "d"] {
            let gone = keys.split(' ').any(|gone| gone == key);
            assert_eq!(redis_get(address, key).is_none(), gone, "{request}: {key}");
        }
    }
    // Any bytes are a key to Redis.
    let mut other = Client::connect(address);
    let key = "*3\r\n$3\r\nSET\r\n$5\r\na \0\r\n\r\n$1\r\nx\r\n";
    other.ask(key, "+OK\r\n");
    client.ask("*2\r\n$3\r\nDEL\r\n$5\r\na \0\r\n\r\n", ":1\r\n");
    larder.settle();
    other.ask("*2\r\n$6\r\nEXISTS\r\n$5\r\na \0\r\n\r\n", ":0\r\n");

    let recorded = larder.stat("recorded");
    for (request, part) in [
        ("SET a 1 NX", "nothing is recorded"),
        ("SET a 1 GET", "nothing is recorded"),
        ("SET a 1 EX 0", "invalid expire time"),
        ("SET a 1 EX", "syntax error"),
        ("SET a", "wrong number of arguments"),
        ("MSET a 1 b", "wrong number of arguments"),
        ("EXPIRE a soon", "not an integer"),
        ("EXPIRE a 10 NX", "can't be answered"),
        ("EXPIRE a", "wrong number of arguments for 'expire'"),
        ("LPUSH a 1", "nothing is recorded"),
        ("GETSET a 1", "nothing is recorded"),
        ("MULTI", "nothing is recorded"),
        ("SUBSCRIBE a", "nothing is recorded"),
        ("GET a", "--reads forward"),
        ("COMMAND", "not possible"),
        ("NONSENSE", "nothing is recorded"),
    ] {
        client.send(format!("{request}\r\n"));
        let line = client.line();
        assert!(
            line.starts_with('-') && line.contains(part),
            "{request}: {line}"
        );
    }
    client.ask("PING\r\n", "+PONG\r\n");
    client.ask("SELECT 1\r\n", "+OK\r\n");
    client.send("DEL a\r\n");
    assert!(client.line().contains("database 0"));
    assert_eq!(larder.stat("recorded"), recorded);
    client.send("INFO invalidate\r\n");
    let length = client.line();
    assert!(length.starts_with('$'), "{length}");
    assert_eq!(client.line(), "# Invalidate");
}

// They were dropped without a word.
#[test]
fn keys_that_memcached_can_not_be_sent_a_delete_for_are_counted() {
    let cache = larder::Server::start().expect("free ports");
    let mut redis = pool(&[cache.resp_addr()]);
    (redis.name, redis.kind) = ("redis".into(), TargetKind::Redis);
    let targets = vec![pool(&[cache.memcached_addr()]), redis];
    let spool = directory();
    let larder = Invalidator::start(settings(spool.path()), targets);
    let (fits, does_not) = ("a b".repeat(62), "a b".repeat(63));
    redis_put(cache.resp_addr(), &format!("'{does_not}'"), "old");
    for key in [&fits, &does_not, &does_not] {
        let length = key.len();
        larder.resp().ask(
            format!("*2\r\n$3\r\nDEL\r\n${length}\r\n{key}\r\n"),
            ":1\r\n",
        );
    }
    larder.settle();
    let counts = larder.stats("undeliverable");
    let counts: Vec<&str> = counts.iter().map(|(_, count)| count.as_str()).collect();
    assert_eq!(counts, ["2", "0"]);
    assert_eq!(redis_get(cache.resp_addr(), &format!("'{does_not}'")), None);
}

#[test]
fn reads_are_forwarded_if_configured() {
    let caches = real!("memcached", 2);
    let redis = real!("redis-server", 1);
    let spool = directory();
    let mut other = Target::new("redis", list(&[redis[0].address]));
    other.kind = TargetKind::Redis;
    let settings = Settings {
        reads: ReadPolicy::Forward,
        ..settings(spool.path())
    };
    let addresses = [caches[0].address, caches[1].address];
    let larder = Invalidator::start(settings, vec![pool(&addresses), other]);
    for key in ["a", "b", "c"] {
        addresses.iter().for_each(|cache| put(*cache, key, "old"));
    }
    redis_put(redis[0].address, "a", "old");
    let mut client = larder.client();
    client.ask(
        "get a b c\r\n",
        "VALUE a 0 3\r\nold\r\nVALUE b 0 3\r\nold\r\nVALUE c 0 3\r\nold\r\nEND\r\n",
    );
    client.ask("delete b\r\n", "DELETED\r\n");
    eventually("the delete", || {
        client.send("get a b\r\n");
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != "END") {
            lines.push(client.line());
        }
        lines == ["VALUE a 0 3", "old", "END"]
    });
    let mut client = larder.resp();
    client.ask("GET a\r\n", "$3\r\nold\r\n");
    client.send("LPUSH a 1\r\n");
    assert!(client.line().starts_with("-ERR larder invalidate accepts"));
}

/// The error advised to start it with `--reads forward`, as it was.
#[test]
fn a_read_of_a_protocol_without_servers_has_an_error_that_says_so() {
    let cache = larder::Server::start().expect("free ports");
    let spool = directory();
    let settings = Settings {
        reads: ReadPolicy::Forward,
        ..settings(spool.path())
    };
    let larder = Invalidator::start(settings, vec![pool(&[cache.memcached_addr()])]);
    larder.client().ask("get a\r\n", "END\r\n");
    larder.resp().ask(
        "GET a\r\n",
        "-ERR larder invalidate has no servers of this protocol to read from; read over the other one\r\n",
    );
}

#[test]
fn a_stale_value_is_answered_while_one_reader_refills() {
    let caches = real!("memcached", 1);
    let address = caches[0].address;
    let spool = directory();
    let mut target = pool(&[address]);
    target.forget = ForgetMethod::Stale;
    let larder = Invalidator::start(settings(spool.path()), vec![target]);
    put(address, "a", "old");
    larder.client().ask("delete a\r\n", "DELETED\r\n");
    larder.settle();
    let mut reader = Client::connect(address);
    // The first wins the right to refill, the second gets the value marked stale.
    reader.ask("mg a v t\r\n", "VA 3 t30 X W\r\nold\r\n");
    reader.ask("mg a v t\r\n", "VA 3 t30 Z X\r\nold\r\n");
    larder.client().ask("delete missing\r\n", "DELETED\r\n");
    larder.settle();
}

#[test]
fn the_new_value_is_written_behind_if_configured() {
    let caches = real!("memcached", 1);
    let redis = real!("redis-server", 1);
    let (cache, redis) = (caches[0].address, redis[0].address);
    let spool = directory();
    let mut one = pool(&[cache]);
    one.forget = ForgetMethod::Update;
    let mut two = Target::new("redis", list(&[redis]));
    two.kind = TargetKind::Redis;
    two.forget = ForgetMethod::Update;
    let larder = Invalidator::start(settings(spool.path()), vec![one, two]);
    let mut client = larder.client();
    client.ask("set a 7 100 3\r\nnew\r\n", "STORED\r\n");
    larder.settle();
    let mut reader = Client::connect(cache);
    reader.ask("get a\r\n", "VALUE a 7 3\r\nnew\r\nEND\r\n");
    reader.send("mg a t\r\n");
    let time = reader.line();
    assert!(
        ["HD t100", "HD t99", "HD t98"].contains(&time.as_str()),
        "{time}"
    );
    assert_eq!(redis_get(redis, "a").as_deref(), Some("new"));
    let mut ttl = Client::connect(redis);
    ttl.send("TTL a\r\n");
    let line = ttl.line();
    let left = line.strip_prefix(':').and_then(|left| left.parse().ok());
    assert!(
        left.is_some_and(|left: u32| (1..=100).contains(&left)),
        "{line}"
    );
    // A key without a value, or with one that expires at once, is deleted.
    for request in ["append a 0 0 1\r\nx\r\n", "set a 0 -1 1\r\nx\r\n"] {
        put(cache, "a", "old");
        redis_put(redis, "a", "old");
        client.ask(request, "STORED\r\n");
        larder.settle();
        assert_eq!(get(cache, "a"), None, "{request}");
        assert_eq!(redis_get(redis, "a"), None, "{request}");
    }
    larder.resp().ask("SET a other\r\n", "+OK\r\n");
    larder.settle();
    assert_eq!(get(cache, "a").as_deref(), Some("other"));
    assert_eq!(redis_get(redis, "a").as_deref(), Some("other"));
}

#[test]
fn a_value_that_a_cache_does_not_take_is_deleted_there() {
    let cache = proxy_support::free_port();
    let Some(_cache) = Real::start_with("memcached", cache, &["-I", "1m"]) else {
        support::skip!("there is no memcached");
    };
    let spool = directory();
    let mut target = pool(&[cache]);
    target.forget = ForgetMethod::Update;
    let larder = Invalidator::start(settings(spool.path()), vec![target]);
    put(cache, "a", "old");
    // With its own overhead it exceeds that limit, with the line it is within the proxy's.
    let value = "x".repeat((1 << 20) - 26);
    let request = format!(
        "set b 0 0 1\r\nx\r\nset a 0 0 {}\r\n{value}\r\nset c 0 0 1\r\nx\r\n",
        value.len()
    );
    larder
        .client()
        .ask(request, "STORED\r\nSTORED\r\nSTORED\r\n");
    larder.settle();
    assert_eq!(get(cache, "a"), None);
    assert_eq!(get(cache, "b").as_deref(), Some("x"));
    assert_eq!(get(cache, "c").as_deref(), Some("x"));
}

#[test]
fn a_value_of_any_size_is_a_report_that_its_key_has_changed() {
    let caches = real!("memcached", 1);
    let cache = caches[0].address;
    let spool = directory();
    let larder = Invalidator::start(settings(spool.path()), vec![pool(&[cache])]);
    ["a", "b", "c"]
        .iter()
        .for_each(|key| put(cache, key, "old"));
    let value = "x".repeat(10 << 20);
    let length = value.len();
    let mut client = larder.client();
    client.ask(
        format!("delete b\r\nset a 0 0 {length}\r\n{value}\r\ndelete c\r\n"),
        "DELETED\r\nSTORED\r\nDELETED\r\n",
    );
    ["a", "b", "c"].iter().for_each(|key| forgotten(cache, key));
    client.ask(
        format!("ms a {length}\r\n{value}\r\ndelete c\r\n"),
        "SERVER_ERROR object too large for cache\r\nDELETED\r\n",
    );
    let mut client = larder.resp();
    client.send(format!(
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n${length}\r\n{value}\r\nPING\r\n"
    ));
    assert!(client.line().contains("report the key with DEL"));
    client.expect("+PONG\r\n");
}

#[test]
fn a_second_delete_follows_for_a_reader_that_stores_too_late() {
    let cache = Witness::start();
    let spool = directory();
    let start = || {
        let mut target = pool(&[cache.address]);
        target.again = Some(Duration::from_millis(300));
        Invalidator::start(settings(spool.path()), vec![target])
    };
    let larder = start();
    larder.client().ask("delete a\r\n", "DELETED\r\n");
    eventually("the second", || {
        cache.received() == ["delete a", "delete a"]
    });
    larder.settle();
    // It survives the end of the process: one notes it, the next one delivers it.
    cache.forget();
    larder.client().ask("delete b\r\n", "DELETED\r\n");
    eventually("the first", || !cache.received().is_empty());
    cache.down();
    larder.stop();
    cache.up();
    let larder = start();
    eventually("the second", || cache.received().len() >= 2);
    assert!(
        cache
            .received()
            .iter()
            .all(|received| received == "delete b")
    );
    drop(larder);
}

#[test]
fn every_durability_delivers() {
    let caches = real!("memcached", 1);
    let cache = caches[0].address;
    for durability in [Durability::None, Durability::Os, Durability::Fsync] {
        let spool = directory();
        let settings = Settings {
            durability,
            ..settings(spool.path())
        };
        let larder = Invalidator::start(settings, vec![pool(&[cache])]);
        for number in 0..50 {
            put(cache, &format!("k{number}"), "old");
        }
        let mut client = larder.client();
        for number in 0..50 {
            client.ask(format!("delete k{number}\r\n"), "DELETED\r\n");
        }
        for number in 0..50 {
            forgotten(cache, &format!("k{number}"));
        }
    }
}
