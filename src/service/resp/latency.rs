//! LATENCY: the distribution of each command's latencies, and the samples of the latency monitor.

use super::command_docs::help;
use super::context::Context;
use super::service_state::ServiceState;
use super::table::{ADMIN, CommandEntry, CommandSpec, DANGEROUS, table};
use super::{latency_doctor, latency_graph};
use crate::service::latency_monitor::LatencyMonitor;

const GROUP: &str = "server";

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec::new("latency", -2, 0, help)
    .docs(
        GROUP,
        "2.8.13",
        "",
        "A container for commands about latency.",
    )
    .subcommands(&[
        CommandSpec::new("doctor", 2, ADMIN | DANGEROUS, doctor).docs(
            GROUP,
            "2.8.13",
            "",
            "Returns a report on the events that took long, with advice.",
        ),
        CommandSpec::new("graph", 3, ADMIN | DANGEROUS, graph).docs(
            GROUP,
            "2.8.13",
            "event",
            "Returns a picture of an event's samples.",
        ),
        CommandSpec::new("help", 2, 0, help).docs(GROUP, "2.8.13", "", "Shows this list."),
        CommandSpec::new("histogram", -2, ADMIN | DANGEROUS, histogram).docs(
            GROUP,
            "7.0.0",
            "[command [command ...]]",
            "Returns how many calls of commands took how long, in steps of powers of two.",
        ),
        CommandSpec::new("history", 3, ADMIN | DANGEROUS, history).docs(
            GROUP,
            "2.8.13",
            "event",
            "Returns the samples of an event: times, and milliseconds.",
        ),
        CommandSpec::new("latest", 2, ADMIN | DANGEROUS, latest).docs(
            GROUP,
            "2.8.13",
            "",
            "Returns the last sample of each event.",
        ),
        CommandSpec::new("reset", -2, ADMIN | DANGEROUS, reset).docs(
            GROUP,
            "2.8.13",
            "[event [event ...]]",
            "Removes the samples of events, or of all.",
        ),
    ])];

/// The monitor of the events that take long.
fn monitor<'a>(ctx: &Context<'a>) -> &'a LatencyMonitor {
    let service: &'a ServiceState = ctx.service;
    service.slow_log().latency()
}

fn latest(ctx: &mut Context<'_>) {
    let events = monitor(ctx).events();
    ctx.reply.array(events.len());
    for (event, series) in events {
        let last = series.samples.back();
        ctx.reply.array(4);
        ctx.reply.bulk(event.as_bytes());
        ctx.reply
            .integer(last.map_or(0, |last| last.at.cast_signed()));
        let milliseconds = last.map_or(0, |last| last.milliseconds);
        ctx.reply.integer(milliseconds.cast_signed());
        ctx.reply.integer(series.longest.cast_signed());
    }
}

fn history(ctx: &mut Context<'_>) {
    let event = monitor(ctx).event(ctx.args.get(2));
    let samples = event.map(|(_, series)| series.samples).unwrap_or_default();
    ctx.reply.array(samples.len());
    for sample in samples {
        ctx.reply.array(2);
        ctx.reply.integer(sample.at.cast_signed());
        ctx.reply.integer(sample.milliseconds.cast_signed());
    }
}

/// As in Redis, the names of events may have any letter case here, but not in the other subcommands.
fn reset(ctx: &mut Context<'_>) {
    let named = ctx.args.from(2);
    let is_named = |event: &str| {
        let is = |name: &[u8]| name.eq_ignore_ascii_case(event.as_bytes());
        named.is_empty() || named.iter().any(is)
    };
    let removed = monitor(ctx).reset(is_named);
    ctx.reply.integer(removed as i64);
}

fn graph(ctx: &mut Context<'_>) {
    let name = ctx.args.get(2);
    match monitor(ctx).event(name) {
        Some((event, series)) => {
            let drawn = latency_graph::graph(event, &series, ctx.store.now_ms() / 1000);
            ctx.reply.verbatim("txt", &drawn);
        }
        None => {
            let text = [b"ERR No samples available for event '", name, b"'"].concat();
            ctx.reply.error(text);
        }
    }
}

fn doctor(ctx: &mut Context<'_>) {
    let report = latency_doctor::report(ctx.service.slow_log(), ctx.store.now_ms() / 1000);
    ctx.reply.verbatim("txt", &report);
}

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
