//! INFO, TIME and MEMORY: facts about the server.
//!
//! The names are Redis's, so that dashboards and clients find them. A figure that larder doesn't have is
//! left out rather than made up.

use std::fmt::Write;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::sysinfo::sysinfo;
use nix::sys::utsname::uname;
use nix::unistd::{SysconfVar, sysconf};

use super::command_docs::help;
use super::context::Context;
use super::errors;
use super::info_statistics::{command_statistics, error_statistics, latency_statistics, stats};
use super::info_text::InfoText;
use super::service_state::REDIS_VERSION;
use super::table::{CommandSpec, DANGEROUS, FAST, READONLY};
use crate::protocol::resp::parse_integer;
use crate::store::DATABASES;

const GROUP: &str = "server";

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("info", -1, DANGEROUS, info).docs(
        GROUP,
        "1.0.0",
        "[section [section ...]]",
        "Returns facts about the server, section by section.",
    ),
    CommandSpec::new("time", 1, FAST, time).docs(
        GROUP,
        "2.6.0",
        "",
        "Returns the server's time: Unix seconds, and microseconds to the millisecond.",
    ),
    CommandSpec::new("memory", -2, 0, help)
        .docs(GROUP, "4.0.0", "", "A container for commands about memory.")
        .subcommands(&[
            CommandSpec::new("help", 2, 0, help).docs(GROUP, "4.0.0", "", "Shows this list."),
            CommandSpec::new("usage", -3, READONLY, usage)
                .keys(2, 2, 1)
                .access(&["RO"])
                .docs(
                    GROUP,
                    "4.0.0",
                    "key [SAMPLES count]",
                    "Returns the bytes of memory that a key takes, its fields included.",
                ),
        ]),
];

/// A section's name, whether INFO without arguments has it, and the function that writes it.
type InfoSection = (&'static str, bool, fn(&Context<'_>, &mut InfoText));

const SECTIONS: &[InfoSection] = &[
    ("Server", true, server),
    ("Clients", true, clients),
    ("Memory", true, memory),
    ("Persistence", true, persistence),
    ("Stats", true, stats),
    ("Replication", true, replication),
    ("CPU", true, cpu),
    ("Modules", true, |_, _| {}),
    ("Commandstats", false, command_statistics),
    ("Errorstats", true, error_statistics),
    ("Latencystats", false, latency_statistics),
    ("Cluster", true, cluster),
    ("Keyspace", true, keyspace),
    (ORIGIN, true, origin),
    (PEERS, true, peers),
];

/// The section that is there only with an origin.
const ORIGIN: &str = "Origin";

/// The section that is there only with peers.
const PEERS: &str = "Peers";

fn info(ctx: &mut Context<'_>) {
    let asked = ctx.args.from(1);
    let is_asked = |section: &str| {
        let named = |word: &[u8]| word.eq_ignore_ascii_case(section.as_bytes());
        asked.iter().any(named)
    };
    let default = asked.is_empty() || is_asked("default");
    let all = is_asked("all") || is_asked("everything");
    let mut info = InfoText::default();
    for (name, by_default, section) in SECTIONS {
        let exists = match *name {
            ORIGIN => ctx.service.origin.get().is_some(),
            PEERS => ctx.service.peers.get().is_some(),
            _ => true,
        };
        if exists && (all || default && *by_default || is_asked(name)) {
            if !info.text.is_empty() {
                info.text.push_str("\r\n");
            }
            // Writing to a string can't fail, here and below.
            let _ = write!(info.text, "# {name}\r\n");
            section(ctx, &mut info);
        }
    }
    ctx.reply.verbatim("txt", &info.text);
}

/// The figures of the origin, under the names that memcached's `stats` has for them.
fn origin(ctx: &Context<'_>, info: &mut InfoText) {
    let origin = ctx.service.origin.get();
    for (name, value) in origin.map(|origin| origin.statistics()).unwrap_or_default() {
        info.put(name, value);
    }
}

/// The figures of the peers, likewise.
fn peers(ctx: &Context<'_>, info: &mut InfoText) {
    let peers = ctx.service.peers.get();
    for (name, value) in peers.map(|peers| peers.statistics()).unwrap_or_default() {
        info.put(name, value);
    }
}

fn server(ctx: &Context<'_>, text: &mut InfoText) {
    let now = ctx.store.now_ms();
    let uptime = now.saturating_sub(ctx.service.started_ms) / 1000;
    text.put("redis_version", REDIS_VERSION);
    text.put("larder_version", env!("CARGO_PKG_VERSION"));
    text.put("redis_mode", "standalone");
    match uname() {
        Ok(system) => {
            let [name, release, machine] = [system.sysname(), system.release(), system.machine()]
                .map(|word| word.to_string_lossy());
            text.put("os", format!("{name} {release} {machine}"));
        }
        Err(_) => text.put("os", std::env::consts::OS),
    }
    text.put("arch_bits", usize::BITS);
    text.put("monotonic_clock", "POSIX clock_gettime");
    text.put("multiplexing_api", "epoll");
    text.put("process_id", std::process::id());
    text.put("run_id", &ctx.service.run_id);
    // The port that this client is connected to; 0 for a Unix socket.
    let address = ctx.client.info.connection.local_addr();
    let port = address.rsplit_once(':').map_or("0", |(_, port)| port);
    text.put("tcp_port", port);
    text.put("server_time_usec", now * 1000);
    text.put("uptime_in_seconds", uptime);
    text.put("uptime_in_days", uptime / 86400);
    if let Ok(program) = std::env::current_exe() {
        text.put("executable", program.display());
    }
}

fn clients(ctx: &Context<'_>, text: &mut InfoText) {
    text.put("connected_clients", ctx.service.clients.len());
    text.put("maxclients", ctx.service.connections.max());
    text.put("blocked_clients", ctx.service.clients.blocked());
    text.put("tracking_clients", 0);
}

fn memory(ctx: &Context<'_>, text: &mut InfoText) {
    let used = ctx.store.used();
    text.put_bytes("used_memory", used);
    let resident = resident_memory();
    if let Some(resident) = resident {
        text.put_bytes("used_memory_rss", resident);
    }
    if let Ok(system) = sysinfo() {
        text.put_bytes("total_system_memory", system.ram_total());
    }
    text.put_bytes("maxmemory", ctx.store.memory());
    text.put("maxmemory_policy", ctx.service.maxmemory_policy());
    if let Some(resident) = resident {
        let ratio = resident as f64 / used.max(1) as f64;
        text.put("mem_fragmentation_ratio", format!("{ratio:.2}"));
        let beyond = resident.cast_signed() - used.cast_signed();
        text.put("mem_fragmentation_bytes", beyond);
    }
    // Redis counts the bytes from its clients, too.
    text.put("mem_clients_normal", ctx.service.connections.reply_memory());
}

/// Bytes of the process that are in memory, which the system reports in pages.
fn resident_memory() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * page.cast_unsigned())
}

/// Clients wait while a server is loading; larder has loaded its snapshot before it listens.
fn persistence(ctx: &Context<'_>, text: &mut InfoText) {
    let status = ctx.service.snapshots.get().map(|saver| saver.status());
    let running = status.as_ref().and_then(|status| status.running_since);
    text.put("loading", 0);
    text.put("async_loading", 0);
    text.put("rdb_bgsave_in_progress", u8::from(running.is_some()));
    if let Some(status) = &status {
        let seconds = |time: Option<Duration>| time.map_or(-1, |time| time.as_secs() as i64);
        let outcome = if status.last_succeeded { "ok" } else { "err" };
        text.put("rdb_last_save_time", status.last_save_ms / 1000);
        text.put("rdb_last_bgsave_status", outcome);
        text.put("rdb_last_bgsave_time_sec", seconds(status.last_duration));
        let running = running.map(|since| since.elapsed());
        text.put("rdb_current_bgsave_time_sec", seconds(running));
        text.put("rdb_saves", status.saves);
        text.put("rdb_last_load_keys_expired", status.loaded.expired);
        text.put("rdb_last_load_keys_loaded", status.loaded.stored);
        let milliseconds = status.last_duration.unwrap_or_default().as_millis();
        text.put("snapshot_last_milliseconds", milliseconds);
        text.put("snapshot_last_bytes", status.last_bytes);
        text.put("snapshot_last_items", status.last_items);
        text.put("snapshot_failures", status.failures);
    }
    text.put("aof_enabled", 0);
    text.put("aof_rewrite_in_progress", 0);
}

/// Processor time, in seconds: of the process, and of the commands of an origin that it has started and that have ended.
fn cpu(_: &Context<'_>, text: &mut InfoText) {
    for (whose, suffix) in [
        (UsageWho::RUSAGE_SELF, ""),
        (UsageWho::RUSAGE_CHILDREN, "_children"),
    ] {
        let Ok(usage) = getrusage(whose) else {
            continue;
        };
        for (name, time) in [("sys", usage.system_time()), ("user", usage.user_time())] {
            let seconds = format!("{}.{:06}", time.tv_sec(), time.tv_usec());
            text.put(&format!("used_cpu_{name}{suffix}"), seconds);
        }
    }
}

fn cluster(_: &Context<'_>, text: &mut InfoText) {
    text.put("cluster_enabled", 0);
}

/// Clients that follow a failover ask for the role.
fn replication(_: &Context<'_>, text: &mut InfoText) {
    text.put("role", "master");
    text.put("connected_slaves", 0);
    text.put("master_failover_state", "no-failover");
    text.put("master_repl_offset", 0);
}

fn keyspace(ctx: &Context<'_>, text: &mut InfoText) {
    for db in 0..DATABASES {
        let keys = ctx.store.len(db);
        if keys > 0 {
            let expiring = ctx.store.expiring(db);
            let value = format!("keys={keys},expires={expiring},avg_ttl=0");
            text.put(&format!("db{db}"), value);
        }
    }
}

fn time(ctx: &mut Context<'_>) {
    let now = ctx.store.now_ms();
    ctx.reply.array(2);
    ctx.reply
        .bulk(itoa::Buffer::new().format(now / 1000).as_bytes());
    ctx.reply
        .bulk(itoa::Buffer::new().format(now % 1000 * 1000).as_bytes());
}

fn usage(ctx: &mut Context<'_>) {
    let args = ctx.args;
    let mut options = args.from(3).iter();
    while let Some(option) = options.next() {
        match options.next() {
            // The store chooses the number of samples.
            Some(samples) if option.eq_ignore_ascii_case(b"samples") => {
                match parse_integer(samples) {
                    Some(0..) => {}
                    Some(_) => return ctx.reply.error(errors::SYNTAX),
                    None => return ctx.reply.error(errors::NOT_INTEGER),
                }
            }
            _ => return ctx.reply.error(errors::SYNTAX),
        }
    }
    let key = args.get(2);
    let mut tree = ctx.lock(key);
    match tree.peek(&[key]) {
        Some(node) => ctx.reply.integer(tree.size(node) as i64),
        None => ctx.reply.null(),
    }
}
