//! MONITOR: clients that see the commands of all clients.
//!
//! ```text
//!   sessions ─ a command has run ─▶ Monitors::push ─▶ a buffer for each monitor ─▶ Monitors::take
//!                                   (one lock)        (bounded)                    (its turn, every 20 ms)
//! ```
//!
//! A line has the time, the database, the client's address and the words of the command, in Redis's form. Commands that
//! administer the server aren't shown, and passwords are replaced. RESET ends it.
//!
//! Cost without a monitor: a load of one number for each command. With one, each command takes a lock that all clients share.
//!
//! Bounds: see `monitors`, which has the buffers.

use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::client_info::ClientInfo;
use super::client_state::MONITORS;
use super::context::Context;
use super::redaction::shown_words;
use super::service_state::ServiceState;
use super::session::CommandRunner;
use super::table::{ADMIN, CommandEntry, CommandSpec, DANGEROUS};
use crate::protocol::resp::CommandArgs;
use crate::server::{Next, ticks};

pub(super) const COMMANDS: &[CommandSpec] =
    &[
        CommandSpec::new("monitor", 1, ADMIN | DANGEROUS, monitor).docs(
            "server",
            "1.0.0",
            "",
            "Shows the commands of all clients as they run.",
        ),
    ];

/// Shows a command that a client has run to the monitors.
#[cold]
pub(super) fn show(
    service: &ServiceState,
    client: &ClientInfo,
    entry: &CommandEntry,
    args: CommandArgs<'_>,
) {
    if !entry.command.is(ADMIN) {
        let line = line(service.store.now_ms(), client, &shown_words(entry, args));
        service.monitors.push(&line);
    }
}

/// The line of a command.
fn line(now_ms: u64, client: &ClientInfo, words: &[&[u8]]) -> Vec<u8> {
    let mut line = Vec::with_capacity(128);
    let (seconds, micros) = (now_ms / 1000, now_ms % 1000 * 1000);
    let unix = client.connection.peer().unix().map_or("", |_| "unix:");
    // Writing to a Vec can't fail.
    let _ = write!(
        line,
        "+{seconds}.{micros:06} [{} {unix}{}]",
        client.db.load(Relaxed),
        client.connection.peer_addr()
    );
    for word in words {
        line.extend_from_slice(b" \"");
        for &byte in *word {
            escape(&mut line, byte);
        }
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// Appends a byte of a word between quotes.
fn escape(line: &mut Vec<u8>, byte: u8) {
    match byte {
        b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
        b'\n' => line.extend_from_slice(b"\\n"),
        b'\r' => line.extend_from_slice(b"\\r"),
        b'\t' => line.extend_from_slice(b"\\t"),
        0x07 => line.extend_from_slice(b"\\a"),
        0x08 => line.extend_from_slice(b"\\b"),
        b' '..=b'~' => line.push(byte),
        _ => {
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}

impl CommandRunner<'_> {
    /// Shows a command that has run.
    #[cold]
    pub(super) fn show_to_monitors(&self, entry: &CommandEntry, args: CommandArgs<'_>) {
        if !self.awaits_memory && !self.awaits_fetches {
            show(self.shared, &self.client.info, entry, args);
        }
    }

    /// Answers a command about keys, which a client that monitors can't use. The error is that of Redis's replicas.
    #[cold]
    pub(super) fn refuse_keys_to_monitor(&mut self, entry: &'static CommandEntry) {
        let error = b"ERR Replica can't interact with the keyspace";
        self.refuse(Some(entry), error);
    }

    /// The end of a turn of a client that monitors. It is not idle.
    pub(super) fn monitor_turn(&mut self) -> Next {
        self.connection.touch(ticks());
        self.shared.monitors.take(self.client.info.id, self.out)
    }
}

fn monitor(ctx: &mut Context<'_>) {
    // Only a command of a transaction can't wait.
    if ctx.fetches.is_none() {
        let text = "ERR MONITOR isn't allowed for DENY BLOCKING client";
        return ctx.reply.error(text);
    }
    if ctx.client.is(MONITORS) {
        // As in Redis, no answer.
        return;
    }
    ctx.client.set(MONITORS, true);
    ctx.client.info.monitors.store(true, Relaxed);
    ctx.service.monitors.add(&ctx.client.info);
    ctx.reply.ok();
}

/// Ends the monitoring of the client.
pub(super) fn end(ctx: &mut Context<'_>) {
    if ctx.client.is(MONITORS) {
        ctx.client.set(MONITORS, false);
        ctx.client.info.monitors.store(false, Relaxed);
        ctx.service.monitors.remove(ctx.client.info.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_time_database_address_and_quoted_words() {
        let line = line(
            1_700_000_000_046,
            &ClientInfo::detached(),
            &[b"a \"\\\n\r\t\x07\x08\x00\xff", b""],
        );
        let expected =
            b"+1700000000.046000 [0 detached] \"a \\\"\\\\\\n\\r\\t\\a\\b\\x00\\xff\" \"\"\r\n";
        assert_eq!(
            line.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}
