//! SLOWLOG, and the notes that a RESP session makes of a command that took long, for the slow log and for the latency monitor.
//!
//! The log itself is shared with memcached's protocols: [`SlowLog`](crate::service::slow_log::SlowLog).

use std::time::Duration;

use super::call_counts::AddedCalls;
use super::client_info::ClientInfo;
use super::client_line::written;
use super::command_docs::help;
use super::context::Context;
use super::errors;
use super::redaction::shown_words;
use super::service_state::ServiceState;
use super::session::CommandRunner;
use super::table::{ADMIN, CommandEntry, CommandSpec, DANGEROUS, FAST, table};
use crate::protocol::resp::{CommandArgs, parse_integer};
use crate::service::latency_monitor::{COMMAND, FAST_COMMAND};
use crate::service::slow_log::SlowRequest;

const GROUP: &str = "server";

/// Entries that SLOWLOG GET returns without a count.
const COUNT: i64 = 10;

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec::new("slowlog", -2, 0, help)
    .docs(
        GROUP,
        "2.2.12",
        "",
        "A container for commands about the slow log.",
    )
    .subcommands(&[
        CommandSpec::new("get", -2, ADMIN | DANGEROUS, get).docs(
            GROUP,
            "2.2.12",
            "[count]",
            "Returns the last commands that took long, also those of memcached's protocols.",
        ),
        CommandSpec::new("help", 2, 0, help).docs(GROUP, "6.2.0", "", "Shows this list."),
        CommandSpec::new("len", 2, ADMIN | DANGEROUS, len).docs(
            GROUP,
            "2.2.12",
            "",
            "Returns the number of entries of the slow log.",
        ),
        CommandSpec::new("reset", 2, ADMIN | DANGEROUS, reset).docs(
            GROUP,
            "2.2.12",
            "",
            "Removes all entries of the slow log.",
        ),
    ])];

impl CommandRunner<'_> {
    /// Adds the calls of the turn that are not in the statistics yet.
    pub(super) fn end_calls(&mut self) {
        if let Some(calls) = self.calls.add_to(&self.shared.statistics) {
            self.note_time(&calls, None);
        }
    }

    /// Reports calls that took long.
    #[inline]
    pub(super) fn note_time(&self, calls: &AddedCalls, args: Option<CommandArgs<'_>>) {
        if self.shared.slow_log().is_notable(calls.time) {
            note_slow_calls(self.shared, &self.client.info, calls, args);
        }
    }
}

/// Notes calls that took long. Several calls, or one whose words are no longer known, have only the command's name and the number of
/// calls in the slow log.
#[cold]
fn note_slow_calls(
    service: &ServiceState,
    client: &ClientInfo,
    calls: &AddedCalls,
    args: Option<CommandArgs<'_>>,
) {
    let Some(entry) = table().entry(calls.command) else {
        return;
    };
    match args.filter(|_| calls.count == 1) {
        Some(args) => note_slow(service, client, entry, args, calls.time),
        None => {
            note_latency(service, entry, calls.time);
            if !service.slow_log().is_slow(calls.time) {
                return;
            }
            let several = format!("... (quick commands of a pipeline: {})", calls.count);
            let words = [entry.name.as_bytes(), several.as_bytes()];
            add(service, client, calls.time, words);
        }
    }
}

/// Notes a command that took long.
#[cold]
pub(super) fn note_slow(
    service: &ServiceState,
    client: &ClientInfo,
    entry: &CommandEntry,
    args: CommandArgs<'_>,
    time: Duration,
) {
    note_latency(service, entry, time);
    // The commands of a transaction are in the log by themselves.
    if entry.name != "exec" && service.slow_log().is_slow(time) {
        add(service, client, time, shown_words(entry, args));
    }
}

/// Notes the time of a command for the latency monitor.
fn note_latency(service: &ServiceState, entry: &CommandEntry, time: Duration) {
    let is_fast = entry.command.is(FAST);
    let event = if is_fast { FAST_COMMAND } else { COMMAND };
    let now = service.store.now_ms() / 1000;
    service.slow_log().latency().note(event, time, now);
}

fn add<'a>(
    service: &ServiceState,
    client: &ClientInfo,
    time: Duration,
    words: impl IntoIterator<Item = &'a [u8]>,
) {
    let request = SlowRequest {
        id: 0,
        at: service.store.now_ms() / 1000,
        microseconds: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
        words: Vec::new(),
        client: written(client.connection.peer()),
        name: client.name(),
    };
    service.slow_log().add(request, words);
}

fn get(ctx: &mut Context<'_>) {
    let count = match ctx.args.len() {
        2 => Some(COUNT),
        3 => parse_integer(ctx.args.get(2)),
        _ => {
            let text = errors::wrong_subcommand(ctx.args);
            return ctx.reply.error(text);
        }
    };
    let count = match count {
        Some(-1) => usize::MAX,
        Some(count @ 0..) => usize::try_from(count).unwrap_or(usize::MAX),
        _ => {
            return ctx
                .reply
                .error("ERR count should be greater than or equal to -1");
        }
    };
    let entries = ctx.service.slow_log().latest(count);
    ctx.reply.array(entries.len());
    for entry in entries {
        ctx.reply.array(6);
        for number in [entry.id, entry.at, entry.microseconds] {
            ctx.reply.integer(number.cast_signed());
        }
        ctx.reply.array(entry.words.len());
        for word in entry.words {
            ctx.reply.bulk(&word);
        }
        ctx.reply.bulk(entry.client.as_bytes());
        ctx.reply.bulk(&entry.name);
    }
}

fn len(ctx: &mut Context<'_>) {
    ctx.reply.integer(ctx.service.slow_log().len() as i64);
}

fn reset(ctx: &mut Context<'_>) {
    ctx.service.slow_log().reset();
    ctx.reply.ok();
}
