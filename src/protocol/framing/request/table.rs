//! The positions of the keys of Redis's commands: all commands of Redis 7.0.15, in the order of their names.
//!
//! The key positions are those of `COMMAND`, and of `COMMAND GETKEYS` where `COMMAND` isn't enough (`movablekeys`); a
//! test compares them with a real redis-server. The route of a command is the proxy's own decision. Clients share an
//! upstream connection, so a command that changes the connection's state, waits, or has several replies can't use it. A
//! command without keys goes to all upstreams if their replies can be merged (a sum, a union), mostly by Redis 7's
//! command tips (`response_policy`). It goes to any upstream if each would answer the same. Otherwise it is refused if
//! there are several.
//!
//! Cost: a hash of the name and one comparison.

use std::sync::LazyLock;

use ahash::AHashMap;

use crate::protocol::framing::request::command_route::{
    ACL, CLIENT, CONFIG, CommandRoute, FUNCTION, LATENCY, MEMORY, MODULE, PUBSUB, SCRIPT, SLOWLOG,
};
use crate::protocol::framing::request::frame::{ConnectionCommand, DedicatedReason, MergeRule};
use crate::protocol::framing::request::keys::KeySpec;

/// One command.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommandEntry {
    pub(super) name: &'static str,
    pub(super) route: CommandRoute,
    pub(super) place: KeySpec,
    /// Whether it changes nothing, and so may be retried when it may already have been executed.
    pub(super) safe: bool,
}

/// The command of this name, in capital letters or not.
pub(super) fn find(name: &[u8]) -> Option<&'static CommandEntry> {
    number(name).map(|number| &TABLE[number])
}

/// The number of a command, which is its position in the table. The name may have any letter case.
pub(super) fn number(name: &[u8]) -> Option<usize> {
    let mut lower = [0; 24];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(&*lower).copied()
}

/// The numbers of the entries by their names. Each request looks for one.
static BY_NAME: LazyLock<AHashMap<&[u8], usize>> = LazyLock::new(|| {
    let entries = TABLE.iter().enumerate();
    entries
        .map(|(number, entry)| (entry.name.as_bytes(), number))
        .collect()
});

const NONE: KeySpec = KeySpec::None;
const ONE: KeySpec = KeySpec::Range(1, 1, 1);
const TWO: KeySpec = KeySpec::Range(1, 2, 1);
const ALL: KeySpec = KeySpec::Range(1, -1, 1);

const fn entry(name: &'static str, route: CommandRoute, place: KeySpec) -> CommandEntry {
    let safe = false;
    CommandEntry {
        name,
        route,
        place,
        safe,
    }
}

const fn read(name: &'static str, place: KeySpec) -> CommandEntry {
    entry(name, CommandRoute::Forward, place).safe()
}

const fn write(name: &'static str, place: KeySpec) -> CommandEntry {
    entry(name, CommandRoute::Forward, place)
}

const fn split(name: &'static str, join: MergeRule, place: KeySpec) -> CommandEntry {
    entry(name, CommandRoute::Split(join), place)
}

const fn any(name: &'static str) -> CommandEntry {
    entry(name, CommandRoute::Any, NONE)
}

const fn only(name: &'static str) -> CommandEntry {
    entry(name, CommandRoute::Only, NONE)
}

const fn every(name: &'static str, join: MergeRule) -> CommandEntry {
    entry(name, CommandRoute::Every(join), NONE)
}

const fn container(
    name: &'static str,
    subcommands: &'static [(&'static str, CommandRoute)],
) -> CommandEntry {
    entry(name, CommandRoute::Subcommand(subcommands), NONE)
}

const fn state(name: &'static str, command: ConnectionCommand) -> CommandEntry {
    entry(name, CommandRoute::State(command), NONE)
}

const fn detach(name: &'static str, why: DedicatedReason, place: KeySpec) -> CommandEntry {
    entry(name, CommandRoute::Dedicated(why), place)
}

const fn may_block(name: &'static str) -> CommandEntry {
    entry(name, CommandRoute::MayBlock, KeySpec::Streams)
}

const fn refused(name: &'static str) -> CommandEntry {
    entry(name, CommandRoute::Refused, NONE)
}

impl CommandEntry {
    /// Whether this subcommand is in the list, or the rule is the same for all of them.
    pub(super) fn includes(&self, subcommand: Option<&[u8]>) -> bool {
        match (self.route, subcommand) {
            (CommandRoute::Subcommand(list), Some(word)) => list
                .iter()
                .any(|(name, _)| name.is_empty() || word.eq_ignore_ascii_case(name.as_bytes())),
            _ => true,
        }
    }

    const fn safe(self) -> CommandEntry {
        CommandEntry { safe: true, ..self }
    }
}

/// The commands.
#[rustfmt::skip]
pub(super) const TABLE: &[CommandEntry] = &[
    container("acl", ACL),
    write("append", ONE),
    refused("asking"),
    state("auth", ConnectionCommand::Auth),
    every("bgrewriteaof", MergeRule::Same),
    every("bgsave", MergeRule::Same),
    read("bitcount", ONE),
    write("bitfield", ONE),
    read("bitfield_ro", ONE),
    write("bitop", KeySpec::Range(2, -1, 1)),
    read("bitpos", ONE),
    detach("blmove", DedicatedReason::Blocking, TWO),
    detach("blmpop", DedicatedReason::Blocking, KeySpec::Counted(2)),
    detach("blpop", DedicatedReason::Blocking, KeySpec::Range(1, -2, 1)),
    detach("brpop", DedicatedReason::Blocking, KeySpec::Range(1, -2, 1)),
    detach("brpoplpush", DedicatedReason::Blocking, TWO),
    detach("bzmpop", DedicatedReason::Blocking, KeySpec::Counted(2)),
    detach("bzpopmax", DedicatedReason::Blocking, KeySpec::Range(1, -2, 1)),
    detach("bzpopmin", DedicatedReason::Blocking, KeySpec::Range(1, -2, 1)),
    container("client", CLIENT),
    state("cluster", ConnectionCommand::Cluster),
    state("command", ConnectionCommand::Command),
    container("config", CONFIG),
    write("copy", TWO),
    every("dbsize", MergeRule::Sum).safe(),
    only("debug"),
    write("decr", ONE),
    write("decrby", ONE),
    split("del", MergeRule::Sum, ALL),
    any("discard"),
    read("dump", ONE),
    any("echo"),
    write("eval", KeySpec::Counted(2)),
    read("eval_ro", KeySpec::Counted(2)),
    write("evalsha", KeySpec::Counted(2)),
    read("evalsha_ro", KeySpec::Counted(2)),
    any("exec"),
    split("exists", MergeRule::Sum, ALL).safe(),
    write("expire", ONE),
    write("expireat", ONE),
    read("expiretime", ONE),
    only("failover"),
    write("fcall", KeySpec::Counted(2)),
    read("fcall_ro", KeySpec::Counted(2)),
    every("flushall", MergeRule::Same),
    every("flushdb", MergeRule::Same),
    container("function", FUNCTION),
    write("geoadd", ONE),
    read("geodist", ONE),
    read("geohash", ONE),
    read("geopos", ONE),
    write("georadius", KeySpec::Store(6)),
    read("georadius_ro", ONE),
    write("georadiusbymember", KeySpec::Store(5)),
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
    state("hello", ConnectionCommand::Hello),
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
    state("info", ConnectionCommand::Info),
    every("keys", MergeRule::Concat).safe(),
    every("lastsave", MergeRule::Min),
    container("latency", LATENCY),
    read("lcs", TWO),
    read("lindex", ONE),
    write("linsert", ONE),
    read("llen", ONE),
    write("lmove", TWO),
    write("lmpop", KeySpec::Counted(1)),
    any("lolwut").safe(),
    write("lpop", ONE),
    read("lpos", ONE),
    write("lpush", ONE),
    write("lpushx", ONE),
    read("lrange", ONE),
    write("lrem", ONE),
    write("lset", ONE),
    write("ltrim", ONE),
    entry("memory", CommandRoute::Subcommand(MEMORY), KeySpec::Range(2, 2, 1)),
    split("mget", MergeRule::Array, ALL).safe(),
    write("migrate", KeySpec::Migrate),
    container("module", MODULE),
    detach("monitor", DedicatedReason::Monitor, NONE),
    write("move", ONE),
    split("mset", MergeRule::Same, KeySpec::Range(1, -1, 2)),
    write("msetnx", KeySpec::Range(1, -1, 2)),
    detach("multi", DedicatedReason::Transaction, NONE),
    write("object", KeySpec::Range(2, 2, 1)),
    write("persist", ONE),
    write("pexpire", ONE),
    write("pexpireat", ONE),
    read("pexpiretime", ONE),
    write("pfadd", ONE),
    read("pfcount", ALL),
    write("pfdebug", KeySpec::Range(2, 2, 1)),
    write("pfmerge", ALL),
    any("pfselftest"),
    state("ping", ConnectionCommand::Ping),
    write("psetex", ONE),
    detach("psubscribe", DedicatedReason::Subscribe, NONE),
    refused("psync"),
    read("pttl", ONE),
    write("publish", KeySpec::Channel),
    container("pubsub", PUBSUB),
    detach("punsubscribe", DedicatedReason::Subscribe, NONE),
    state("quit", ConnectionCommand::Quit),
    every("randomkey", MergeRule::OneOf).safe(),
    state("readonly", ConnectionCommand::ReadOnly),
    state("readwrite", ConnectionCommand::ReadOnly),
    write("rename", TWO),
    write("renamenx", TWO),
    refused("replconf"),
    only("replicaof"),
    state("reset", ConnectionCommand::Reset),
    write("restore", ONE),
    write("restore-asking", ONE),
    any("role"),
    write("rpop", ONE),
    write("rpoplpush", TWO),
    write("rpush", ONE),
    write("rpushx", ONE),
    write("sadd", ONE),
    every("save", MergeRule::Same),
    entry("scan", CommandRoute::Scan, NONE).safe(),
    read("scard", ONE),
    container("script", SCRIPT),
    read("sdiff", ALL),
    write("sdiffstore", ALL),
    state("select", ConnectionCommand::Select),
    write("set", ONE),
    write("setbit", ONE),
    write("setex", ONE),
    write("setnx", ONE),
    write("setrange", ONE),
    only("shutdown"),
    read("sinter", ALL),
    read("sintercard", KeySpec::Counted(1)),
    write("sinterstore", ALL),
    read("sismember", ONE),
    only("slaveof"),
    container("slowlog", SLOWLOG),
    read("smembers", ONE),
    read("smismember", ONE),
    write("smove", TWO),
    write("sort", KeySpec::Store(2)),
    read("sort_ro", ONE),
    write("spop", ONE),
    write("spublish", ONE),
    read("srandmember", ONE),
    write("srem", ONE),
    read("sscan", ONE),
    detach("ssubscribe", DedicatedReason::Subscribe, ALL),
    read("strlen", ONE),
    detach("subscribe", DedicatedReason::Subscribe, ALL),
    read("substr", ONE),
    read("sunion", ALL),
    write("sunionstore", ALL),
    detach("sunsubscribe", DedicatedReason::Subscribe, ALL),
    every("swapdb", MergeRule::Same),
    refused("sync"),
    any("time"),
    split("touch", MergeRule::Sum, ALL).safe(),
    read("ttl", ONE),
    read("type", ONE),
    split("unlink", MergeRule::Sum, ALL),
    detach("unsubscribe", DedicatedReason::Subscribe, NONE),
    any("unwatch"),
    detach("wait", DedicatedReason::Blocking, NONE),
    detach("watch", DedicatedReason::Transaction, ALL),
    write("xack", ONE),
    write("xadd", ONE),
    write("xautoclaim", ONE),
    write("xclaim", ONE),
    write("xdel", ONE),
    write("xgroup", KeySpec::Range(2, 2, 1)),
    write("xinfo", KeySpec::Range(2, 2, 1)),
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
    read("zdiff", KeySpec::Counted(1)),
    write("zdiffstore", KeySpec::Stored),
    write("zincrby", ONE),
    read("zinter", KeySpec::Counted(1)),
    read("zintercard", KeySpec::Counted(1)),
    write("zinterstore", KeySpec::Stored),
    read("zlexcount", ONE),
    write("zmpop", KeySpec::Counted(1)),
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
    read("zunion", KeySpec::Counted(1)),
    write("zunionstore", KeySpec::Stored),
];
