//! `--once`: the table, or all figures as JSON, for scripts.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::columns::Columns;
use super::rates::Rates;
use super::reading::{Counter, Gauges, PerCounter, Reading};
use super::row::Row;
use super::view::{ServerView, State};

/// Prints the table.
pub(super) fn table(views: &[ServerView], out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<Row> = views.iter().map(Row::of).collect();
    if rows.len() > 1 {
        rows.push(Row::total(&rows));
    }
    let columns = Columns::all(&rows);
    writeln!(out, "{}", columns.titles())?;
    for row in &rows {
        writeln!(out, "{}", columns.row(row).trim_end())?;
    }
    Ok(())
}

/// Prints all figures as one object.
pub(super) fn json(views: &[ServerView], out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Row> = views.iter().map(Row::of).collect();
    let servers: Vec<Value> = views
        .iter()
        .map(|view| Value::Object(server(view)))
        .collect();
    let total = Row::total(&rows);
    let mut sums = figures(&total.rates, &total.gauges);
    sums.insert("hit_ratio".into(), total.hit_ratio.into());
    let printed = json!({ "servers": servers, "total": sums });
    writeln!(out, "{printed:#}")
}

fn server(view: &ServerView) -> Map<String, Value> {
    let row = Row::of(view);
    let mut object = Map::new();
    object.insert("address".into(), view.address.clone().into());
    let (state, reason) = match &view.state {
        State::Up => ("up", None),
        State::Asked => ("asked", None),
        State::Down(reason) => ("down", Some(reason.clone())),
    };
    object.insert("state".into(), state.into());
    if let Some(reason) = reason {
        object.insert("reason".into(), reason.into());
    }
    let Some(reading) = &view.reading else {
        return object;
    };
    object.insert("program".into(), reading.program.into());
    object.insert("version".into(), reading.version.clone().into());
    object.insert("uptime_seconds".into(), reading.uptime.into());
    object.extend(figures(&row.rates, &row.gauges));
    object.insert("hit_ratio".into(), row.hit_ratio.into());
    let since = view.hit_ratio_since_start();
    object.insert("hit_ratio_since_start".into(), since.into());
    let median = row.latencies.map(|(median, _)| milliseconds(median));
    let slowest = row.latencies.map(|(_, slowest)| milliseconds(slowest));
    object.insert("probe_median_ms".into(), median.into());
    object.insert("probe_slowest_ms".into(), slowest.into());
    object.extend(requests(view.rates.as_ref()));
    object.insert("healthy".into(), reading.healthy.into());
    object.insert("targets".into(), targets(reading));
    object.insert("upstreams".into(), upstreams(view, reading));
    object
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// One of two times in seconds.
fn milliseconds_of(times: Option<[f64; 2]>, at: usize) -> Option<f64> {
    times.map(|times| times[at] * 1000.0)
}

/// Requests by kind, protocol and command, and their latencies in the server.
fn requests(rates: Option<&Rates>) -> Map<String, Value> {
    let named = |rates: Option<&Vec<(String, f64)>>| -> Value {
        let pairs = rates.into_iter().flatten();
        let pairs = pairs.map(|(name, rate)| (name.clone(), Value::from(*rate)));
        Value::Object(pairs.collect())
    };
    let commands = rates.into_iter().flat_map(|rates| &rates.commands);
    let commands = commands.map(|it| {
        json!({
            "protocol": it.protocol,
            "command": it.command,
            "requests_per_second": it.rate,
            "median_ms": milliseconds_of(it.latencies, 0),
            "p99_ms": milliseconds_of(it.latencies, 1),
        })
    });
    let all = rates.and_then(|rates| rates.latencies);
    let pairs = [
        ("kinds_per_second", named(rates.map(|it| &it.kinds))),
        ("protocols_per_second", named(rates.map(|it| &it.protocols))),
        ("commands", commands.collect()),
        ("median_ms", milliseconds_of(all, 0).into()),
        ("p99_ms", milliseconds_of(all, 1).into()),
    ];
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn targets(reading: &Reading) -> Value {
    let targets = reading.targets.iter().map(|target| {
        json!({
            "name": target.name,
            "state": target.state,
            "waiting": target.waiting,
            "oldest_seconds": target.oldest,
            "delivered": target.delivered,
            "retries": target.retries,
            "flushes": target.flushes,
        })
    });
    targets.collect()
}

fn upstreams(view: &ServerView, reading: &Reading) -> Value {
    let upstreams = reading.upstreams.iter().map(|upstream| {
        let times = view.latencies_of(upstream);
        json!({
            "address": upstream.address,
            "state": upstream.state,
            "connections": upstream.connections,
            "requests": upstream.requests,
            "errors": upstream.errors,
            "in_flight": upstream.in_flight,
            "median_ms": milliseconds_of(times, 0),
            "p99_ms": milliseconds_of(times, 1),
        })
    });
    upstreams.collect()
}

/// Figures that a server and the total have.
fn figures(rates: &PerCounter<f64>, gauges: &Gauges) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, counter) in [
        ("requests_per_second", Counter::Requests),
        ("evictions_per_second", Counter::Evictions),
        ("expired_per_second", Counter::Expired),
        ("errors_per_second", Counter::Errors),
        ("bytes_in_per_second", Counter::Received),
        ("bytes_out_per_second", Counter::Sent),
    ] {
        object.insert(name.into(), rates.get(counter).into());
    }
    for (name, gauge) in [
        ("memory_bytes", gauges.memory),
        ("memory_limit_bytes", gauges.memory_limit),
        ("items", gauges.items),
        ("connections", gauges.connections),
        ("max_connections", gauges.max_connections),
    ] {
        object.insert(name.into(), gauge.into());
    }
    object
}
