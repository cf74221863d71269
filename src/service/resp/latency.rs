//! LATENCY: the distribution of each command's latencies.

use super::command_docs::help;
use super::context::Context;
use super::table::{ADMIN, CommandEntry, CommandSpec, DANGEROUS, table};

const GROUP: &str = "server";

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec::new("latency", -2, 0, help)
    .docs(
        GROUP,
        "2.8.13",
        "",
        "A container for commands about latency.",
    )
    .subcommands(&[
        CommandSpec::new("help", 2, 0, help).docs(GROUP, "2.8.13", "", "Shows this list."),
        CommandSpec::new("histogram", -2, ADMIN | DANGEROUS, histogram).docs(
            GROUP,
            "7.0.0",
            "[command [command ...]]",
            "Returns how many calls of commands took how long, in steps of powers of two.",
        ),
    ])];

/// The histograms of all commands, or of those that are named with their subcommands. A name of no command is skipped.
fn histogram(ctx: &mut Context<'_>) {
    let table = table();
    let named = ctx.args.from(2);
    let entries: Vec<&CommandEntry> = if named.is_empty() {
        table.all().collect()
    } else {
        let entries = named.iter().filter_map(|name| table.by_full_name(name));
        let with_subcommands =
            entries.flat_map(|entry| std::iter::once(entry).chain(table.subcommands(entry)));
        with_subcommands.collect()
    };
    let mut histograms = Vec::new();
    for entry in entries {
        let counters = &ctx.service.statistics.commands[usize::from(entry.number)];
        let steps = counters.latency.steps();
        if !steps.is_empty() {
            histograms.push((&entry.name, counters.latency.calls(), steps));
        }
    }
    ctx.reply.map(histograms.len());
    for (name, calls, steps) in histograms {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.map(2);
        ctx.reply.bulk(b"calls");
        ctx.reply.integer(calls as i64);
        ctx.reply.bulk(b"histogram_usec");
        ctx.reply.map(steps.len());
        for (nanoseconds, calls) in steps {
            ctx.reply.integer((nanoseconds / 1000) as i64);
            ctx.reply.integer(calls as i64);
        }
    }
}
