//! One client as CLIENT LIST, CLIENT INFO and ACL LOG describe it: a line of `name=value`, with Redis's names in Redis's order.
//!
//! Programs read this line by its names, so it has all fields of Redis. Where larder works in another way than Redis, the fields mean
//! this:
//!
//! | field | value |
//! |---|---|
//! | `qbuf` | bytes that have arrived and that no command has consumed; while a client's commands run, the bytes of the turn |
//! | `qbuf-free` | the free memory behind them |
//! | `argv-mem` | memory of a large value that arrives in the memory of its item. The words of other commands stay in the input |
//! | `multi-mem` | memory of the commands that MULTI has queued |
//! | `rbs`, `rbp`, `oll` | 0: replies are made in the buffer of a worker, so clients have neither a buffer for them nor a list |
//! | `obl`, `omem` | bytes of replies that the client has not read; `obl` of the client that asks counts those of this turn, too |
//! | `tot-mem` | all memory of the connection: `qbuf`, `qbuf-free`, `omem`, `argv-mem`, `multi-mem`, watched keys and its records |
//! | `events` | `w` while replies wait to be written, because nothing is read then; else `r` |
//! | `sub`, `psub`, `ssub`, `redir` | as in Redis without subscriptions and tracking, which larder doesn't have |
//!
//! The flag `b` means that the client's command waits: for the end of a pause, for the origin, or for memory for its reply.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::client_info::ClientInfo;
use super::session::RespSession;
use super::table::table;
use crate::server::{Address, Connection};

/// Memory of a connection without its buffers.
const RECORDS: usize = size_of::<RespSession>() + size_of::<ClientInfo>() + Connection::RECORDS;

/// The address of one end of a connection as Redis writes it: a Unix socket's has a port, which is 0.
pub(super) fn written(address: &Address) -> String {
    match address {
        Address::Unix(path) => format!("{}:0", path.display()),
        address => address.to_string(),
    }
}

/// Appends the line of a client. `replies` are the bytes of its replies that are still in its worker's buffer.
pub(super) fn describe(info: &ClientInfo, replies: usize, text: &mut String) {
    let connection = &info.connection;
    let buffers = connection.buffers();
    let unread = buffers.unread.max(info.turn_input.load(Relaxed) as usize);
    let name = info.name();
    let multi = info.queued_bytes.load(Relaxed) as usize;
    let arguments = info.received_bytes.load(Relaxed) as usize;
    let memory = [
        RECORDS,
        name.len(),
        buffers.unread,
        buffers.spare,
        buffers.unsent,
        arguments,
        multi,
        info.watched_bytes.load(Relaxed) as usize,
    ];
    let command = table()
        .entry(info.command.load(Relaxed))
        .map_or("NULL", |entry| entry.name.as_str());
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub=0 psub=0 ssub=0 multi={} qbuf={unread} \
         qbuf-free={} argv-mem={arguments} multi-mem={multi} rbs=0 rbp=0 obl={} oll=0 omem={} tot-mem={} events={} \
         cmd={command} user={} redir=-1 resp={}",
        info.id,
        written(connection.peer()),
        written(&connection.local()),
        connection.descriptor().unwrap_or(-1),
        String::from_utf8_lossy(&name),
        connection.age().as_secs(),
        connection.idle().as_secs(),
        flags(info),
        info.db.load(Relaxed),
        info.queued.load(Relaxed),
        buffers.spare,
        buffers.unsent + replies,
        buffers.unsent,
        memory.iter().sum::<usize>(),
        if buffers.unsent > 0 { "w" } else { "r" },
        String::from_utf8_lossy(&info.user()),
        if info.resp3.load(Relaxed) { 3 } else { 2 },
    );
}

fn flags(info: &ClientInfo) -> String {
    let flags = [
        ('O', info.monitors.load(Relaxed)),
        ('x', info.queued.load(Relaxed) >= 0),
        ('b', info.blocked.load(Relaxed)),
        ('d', info.has_changed_keys()),
        ('U', info.connection.peer().unix().is_some()),
        ('e', info.no_evict.load(Relaxed)),
    ];
    let set: String = (flags.iter().filter(|(_, set)| *set))
        .map(|(flag, _)| flag)
        .collect();
    if set.is_empty() { "N".to_owned() } else { set }
}
