//! Where the keys of Redis's commands are: the commands of Redis 7.0.15, all of them, in the order of their names.
//!
//! What stands here about keys is what `COMMAND` answers, and where that is not enough (`movablekeys`) what
//! `COMMAND GETKEYS` does; a test asks a real redis-server. How a command travels is the proxy's own decision: an
//! upstream connection is shared by clients, so what changes the connection's state, waits, or is answered more than
//! once can't go over it.
//!
//! Cost: a binary search, eight comparisons of short names.

use crate::protocol::framing::request::{Detach, Join, StateCommand};

/// How a command travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To the upstream of its keys.
    Forward,
    /// In parts, each to the upstream of its keys.
    Split(Join),
    /// To any upstream.
    Any,
    /// To the only upstream; refused when there are several.
    Only,
    /// To all of them.
    Every(Join),
    /// `SCRIPT` and `FUNCTION`: what loads or drops code goes to all upstreams, the rest to any.
    Code,
    /// The proxy answers: it is about the connection between it and the client.
    State(StateCommand),
    /// Over an upstream connection of the client's own.
    Detach(Detach),
    /// Detached if it has a `BLOCK`, else forwarded.
    MayBlock,
    /// Never: it would turn the shared connection into something else.
    Refused,
}

/// Where a command's keys are, counted from its name as number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere.
    None,
    /// First, last and step; a last below 0 counts from the end.
    Range(usize, isize, usize),
    /// No key, but the name of a channel comes first, which decides as a key does.
    Channel,
    /// Their number is there, and they follow.
    Counted(usize),
    /// The destination is the first argument, the number of the others the second, and they follow.
    Stored,
    /// After the word `STREAMS`, the first half of what follows.
    Streams,
    /// The first argument, and the one after the last `STORE` (or `STOREDIST`) from this number on.
    Store(usize),
    /// The third argument or, if that is empty, those after the word `KEYS`.
    Migrate,
}

/// One command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) way: Way,
    pub(super) place: Place,
    /// Whether it changes nothing, so that it may be sent again when nobody knows whether it was executed.
    pub(super) safe: bool,
}

/// The command of this name, in capital letters or not.
pub(super) fn find(name: &[u8]) -> Option<&'static Entry> {
    let mut lower = [0; 24];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let found = TABLE.binary_search_by(|entry| entry.name.as_bytes().cmp(lower));
    found.ok().map(|at| &TABLE[at])
}

const NONE: Place = Place::None;
const ONE: Place = Place::Range(1, 1, 1);
const TWO: Place = Place::Range(1, 2, 1);
const ALL: Place = Place::Range(1, -1, 1);

const fn entry(name: &'static str, way: Way, place: Place) -> Entry {
    let safe = false;
    Entry {
        name,
        way,
        place,
        safe,
    }
}

const fn read(name: &'static str, place: Place) -> Entry {
    entry(name, Way::Forward, place).safe()
}

const fn write(name: &'static str, place: Place) -> Entry {
    entry(name, Way::Forward, place)
}

const fn split(name: &'static str, join: Join, place: Place) -> Entry {
    entry(name, Way::Split(join), place)
}

const fn any(name: &'static str) -> Entry {
    entry(name, Way::Any, NONE)
}

const fn only(name: &'static str) -> Entry {
    entry(name, Way::Only, NONE)
}

const fn every(name: &'static str, join: Join) -> Entry {
    entry(name, Way::Every(join), NONE)
}

const fn code(name: &'static str) -> Entry {
    entry(name, Way::Code, NONE)
}

const fn state(name: &'static str, command: StateCommand) -> Entry {
    entry(name, Way::State(command), NONE)
}

const fn detach(name: &'static str, why: Detach, place: Place) -> Entry {
    entry(name, Way::Detach(why), place)
}

const fn may_block(name: &'static str) -> Entry {
    entry(name, Way::MayBlock, Place::Streams)
}

const fn refused(name: &'static str) -> Entry {
    entry(name, Way::Refused, NONE)
}

impl Entry {
    const fn safe(self) -> Entry {
        Entry { safe: true, ..self }
    }
}

/// The commands.
#[rustfmt::skip]
pub(super) const TABLE: &[Entry] = &[
    any("acl"),
    write("append", ONE),
    refused("asking"),
    state("auth", StateCommand::Auth),
    every("bgrewriteaof", Join::Same),
    every("bgsave", Join::Same),
    read("bitcount", ONE),
    write("bitfield", ONE),
    read("bitfield_ro", ONE),
    write("bitop", Place::Range(2, -1, 1)),
    read("bitpos", ONE),
    detach("blmove", Detach::Blocking, TWO),
    detach("blmpop", Detach::Blocking, Place::Counted(2)),
    detach("blpop", Detach::Blocking, Place::Range(1, -2, 1)),
    detach("brpop", Detach::Blocking, Place::Range(1, -2, 1)),
    detach("brpoplpush", Detach::Blocking, TWO),
    detach("bzmpop", Detach::Blocking, Place::Counted(2)),
    detach("bzpopmax", Detach::Blocking, Place::Range(1, -2, 1)),
    detach("bzpopmin", Detach::Blocking, Place::Range(1, -2, 1)),
    state("client", StateCommand::Client),
    state("cluster", StateCommand::Cluster),
    state("command", StateCommand::Command),
    any("config"),
    write("copy", TWO),
    every("dbsize", Join::Sum),
    any("debug"),
    write("decr", ONE),
    write("decrby", ONE),
    split("del", Join::Sum, ALL),
    any("discard"),
    read("dump", ONE),
    any("echo"),
    write("eval", Place::Counted(2)),
    read("eval_ro", Place::Counted(2)),
    write("evalsha", Place::Counted(2)),
    read("evalsha_ro", Place::Counted(2)),
    any("exec"),
    split("exists", Join::Sum, ALL).safe(),
    write("expire", ONE),
    write("expireat", ONE),
    read("expiretime", ONE),
    any("failover"),
    write("fcall", Place::Counted(2)),
    read("fcall_ro", Place::Counted(2)),
    every("flushall", Join::Same),
    every("flushdb", Join::Same),
    code("function"),
    write("geoadd", ONE),
    read("geodist", ONE),
    read("geohash", ONE),
    read("geopos", ONE),
    write("georadius", Place::Store(6)),
    read("georadius_ro", ONE),
    write("georadiusbymember", Place::Store(5)),
    read("georadiusbymember_ro", ONE),
    read("geosearch", ONE),
    write("geosearchstore", TWO),
    read("get", ONE),
    read("getbit", ONE),
    write("getdel", ONE),
    write("getex", ONE),
    read("getrange", ONE),
    write("getset", ONE),
    write("hdel", ONE),
    state("hello", StateCommand::Hello),
    read("hexists", ONE),
    read("hget", ONE),
    read("hgetall", ONE),
    write("hincrby", ONE),
    write("hincrbyfloat", ONE),
    read("hkeys", ONE),
    read("hlen", ONE),
    read("hmget", ONE),
    write("hmset", ONE),
    read("hrandfield", ONE),
    read("hscan", ONE),
    write("hset", ONE),
    write("hsetnx", ONE),
    read("hstrlen", ONE),
    read("hvals", ONE),
    write("incr", ONE),
    write("incrby", ONE),
    write("incrbyfloat", ONE),
    state("info", StateCommand::Info),
    every("keys", Join::Concat),
    any("lastsave"),
    any("latency"),
    read("lcs", TWO),
    read("lindex", ONE),
    write("linsert", ONE),
    read("llen", ONE),
    write("lmove", TWO),
    write("lmpop", Place::Counted(1)),
    any("lolwut").safe(),
    write("lpop", ONE),
    read("lpos", ONE),
    write("lpush", ONE),
    write("lpushx", ONE),
    read("lrange", ONE),
    write("lrem", ONE),
    write("lset", ONE),
    write("ltrim", ONE),
    write("memory", Place::Range(2, 2, 1)),
    split("mget", Join::Array, ALL).safe(),
    write("migrate", Place::Migrate),
    any("module"),
    detach("monitor", Detach::Monitor, NONE),
    write("move", ONE),
    split("mset", Join::Same, Place::Range(1, -1, 2)),
    write("msetnx", Place::Range(1, -1, 2)),
    detach("multi", Detach::Transaction, NONE),
    write("object", Place::Range(2, 2, 1)),
    write("persist", ONE),
    write("pexpire", ONE),
    write("pexpireat", ONE),
    read("pexpiretime", ONE),
    write("pfadd", ONE),
    read("pfcount", ALL),
    write("pfdebug", Place::Range(2, 2, 1)),
    write("pfmerge", ALL),
    any("pfselftest"),
    state("ping", StateCommand::Ping),
    write("psetex", ONE),
    detach("psubscribe", Detach::Subscribe, NONE),
    refused("psync"),
    read("pttl", ONE),
    write("publish", Place::Channel),
    any("pubsub"),
    detach("punsubscribe", Detach::Subscribe, NONE),
    state("quit", StateCommand::Quit),
    any("randomkey").safe(),
    state("readonly", StateCommand::ReadOnly),
    state("readwrite", StateCommand::ReadOnly),
    write("rename", TWO),
    write("renamenx", TWO),
    refused("replconf"),
    any("replicaof"),
    state("reset", StateCommand::Reset),
    write("restore", ONE),
    write("restore-asking", ONE),
    any("role"),
    write("rpop", ONE),
    write("rpoplpush", TWO),
    write("rpush", ONE),
    write("rpushx", ONE),
    write("sadd", ONE),
    every("save", Join::Same),
    only("scan"),
    read("scard", ONE),
    code("script"),
    read("sdiff", ALL),
    write("sdiffstore", ALL),
    state("select", StateCommand::Select),
    write("set", ONE),
    write("setbit", ONE),
    write("setex", ONE),
    write("setnx", ONE),
    write("setrange", ONE),
    any("shutdown"),
    read("sinter", ALL),
    read("sintercard", Place::Counted(1)),
    write("sinterstore", ALL),
    read("sismember", ONE),
    any("slaveof"),
    any("slowlog"),
    read("smembers", ONE),
    read("smismember", ONE),
    write("smove", TWO),
    write("sort", Place::Store(2)),
    read("sort_ro", ONE),
    write("spop", ONE),
    write("spublish", ONE),
    read("srandmember", ONE),
    write("srem", ONE),
    read("sscan", ONE),
    detach("ssubscribe", Detach::Subscribe, ALL),
    read("strlen", ONE),
    detach("subscribe", Detach::Subscribe, ALL),
    read("substr", ONE),
    read("sunion", ALL),
    write("sunionstore", ALL),
    detach("sunsubscribe", Detach::Subscribe, ALL),
    every("swapdb", Join::Same),
    refused("sync"),
    any("time"),
    split("touch", Join::Sum, ALL).safe(),
    read("ttl", ONE),
    read("type", ONE),
    split("unlink", Join::Sum, ALL),
    detach("unsubscribe", Detach::Subscribe, NONE),
    any("unwatch"),
    detach("wait", Detach::Blocking, NONE),
    detach("watch", Detach::Transaction, ALL),
    write("xack", ONE),
    write("xadd", ONE),
    write("xautoclaim", ONE),
    write("xclaim", ONE),
    write("xdel", ONE),
    write("xgroup", Place::Range(2, 2, 1)),
    write("xinfo", Place::Range(2, 2, 1)),
    read("xlen", ONE),
    read("xpending", ONE),
    read("xrange", ONE),
    may_block("xread").safe(),
    may_block("xreadgroup"),
    read("xrevrange", ONE),
    write("xsetid", ONE),
    write("xtrim", ONE),
    write("zadd", ONE),
    read("zcard", ONE),
    read("zcount", ONE),
    read("zdiff", Place::Counted(1)),
    write("zdiffstore", Place::Stored),
    write("zincrby", ONE),
    read("zinter", Place::Counted(1)),
    read("zintercard", Place::Counted(1)),
    write("zinterstore", Place::Stored),
    read("zlexcount", ONE),
    write("zmpop", Place::Counted(1)),
    read("zmscore", ONE),
    write("zpopmax", ONE),
    write("zpopmin", ONE),
    read("zrandmember", ONE),
    read("zrange", ONE),
    read("zrangebylex", ONE),
    read("zrangebyscore", ONE),
    write("zrangestore", TWO),
    read("zrank", ONE),
    write("zrem", ONE),
    write("zremrangebylex", ONE),
    write("zremrangebyrank", ONE),
    write("zremrangebyscore", ONE),
    read("zrevrange", ONE),
    read("zrevrangebylex", ONE),
    read("zrevrangebyscore", ONE),
    read("zrevrank", ONE),
    read("zscan", ONE),
    read("zscore", ONE),
    read("zunion", Place::Counted(1)),
    write("zunionstore", Place::Stored),
];
