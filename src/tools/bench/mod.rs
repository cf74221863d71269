//! `larder bench ADDR`: loads a cache server and measures it.
//!
//! ```text
//!   Args ──▶ Plan ──▶ Fleet ── one thread each ──▶ Worker ── many connections ──▶ server
//!                       │                             │
//!                       │    Workload: the next key   │  Connection: bytes ◀──▶ requests and replies
//!                       ▼                             ▼
//!                    Results ◀──────── merged ──── Measured: counts, histograms
//! ```
//!
//! With `--versus` two servers are loaded in turn ([`versus`]); `--replay` sends a recorded [`trace`] ([`replay`]).
//!
//! A run has three parts: every key is set once, the load warms up, and the load is measured. Values follow from their
//! keys, so each value that comes back is verified. The sockets are in [`worker`]; the sequence of requests, a
//! connection's bytes, and the results are values that are tested without sockets.
//!
//! Cost: a thread of the tool makes about as many requests in a second as redis-benchmark's. The report has the tool's
//! own load: near 100%, it measures itself.

mod action;
mod arguments;
mod connection;
mod dialect;
mod fleet;
mod items;
mod measured;
mod numbers;
mod plan;
mod plot;
mod process;
mod replay;
mod report;
mod request_codec;
mod results;
mod server;
mod sizes;
mod socket;
mod timer;
mod trace;
mod versus;
mod worker;
mod workload;
mod zipf;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::output::written;
use fleet::Fleet;
use measured::Measured;
use numbers::grouped;
use plan::Plan;
use process::Usage;
use replay::Replay;
use report::Report;
use results::Results;
use server::LoadedServer;
use versus::ComparedServer;
use worker::RunEnd;

pub use arguments::Args;
pub use dialect::Dialect;
pub use sizes::ValueSizes;
pub use workload::Ratio;

/// The exit code when the run could not be made: no server, a lost connection.
const NOT_MADE: u8 = 2;

/// Runs the command. 0: every reply was right; 1: errors or wrong values came; 2: the run could not be made.
pub fn run(args: &Args) -> ExitCode {
    match bench(args, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("larder bench: the server answered with errors or wrong values");
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("larder bench: {problem}");
            ExitCode::from(NOT_MADE)
        }
    }
}

/// The command with its output, so that a test can read it. Whether every reply was right; an error is a sentence for the
/// person at the terminal.
pub fn bench(args: &Args, out: &mut dyn Write) -> Result<bool, String> {
    let servers = LoadedServer::all(args)?;
    let report = match (&args.replay, servers.as_slice()) {
        (Some(trace), servers) => replay_trace(args, servers, trace)?,
        (None, [one, other]) => compare(args, one, other)?,
        (None, servers) => Report::of(vec![measure(args, &servers[0])?]),
    };
    if let Some(path) = &args.plot {
        let written = fs::write(path, report.plot());
        written.map_err(|error| format!("--plot {}: {error}", path.display()))?;
    }
    written(match args.json {
        true => writeln!(out, "{:#}", report.json()),
        false => report.table(out),
    })?;
    Ok(report.all_right())
}

/// Fills a server, warms it up, and measures it.
fn measure(args: &Args, server: &LoadedServer) -> Result<Results, String> {
    let mut side = side(args, server, args.pid)?;
    let before = side.usage()?;
    side.results.measured = side
        .fleet
        .load(&side.plan, side.plan.end, &bar("measure"))?;
    let after = side.usage()?;
    side.results.usage = before.zip(after).map(|(before, after)| after.since(before));
    Ok(side.results)
}

/// Measures two servers in turn.
fn compare(args: &Args, one: &LoadedServer, other: &LoadedServer) -> Result<Report, String> {
    let mut first = side(args, one, args.pid)?;
    let mut second = side(args, other, args.versus_pid)?;
    let pairs = ((args.seconds / args.slice).round() as usize).max(1);
    let slice = Duration::from_secs_f64(args.slice);
    let ratios = versus::alternate(&mut first, &mut second, pairs, slice, &bar("measure"))?;
    Ok(Report {
        results: vec![first.results, second.results],
        ratios: Some(ratios),
    })
}

/// Replays a trace on each server.
fn replay_trace(args: &Args, servers: &[LoadedServer], trace: &Path) -> Result<Report, String> {
    let mut all = Vec::new();
    for (server, pid) in servers.iter().zip([args.pid, args.versus_pid]) {
        let patience = Duration::from_secs_f64(args.timeout);
        let dialect = plan::dialect(args, server)?;
        if dialect == Dialect::Echo {
            return Err(format!(
                "{server} is an echo server: --replay needs a cache"
            ));
        }
        let usage = || pid.map(Usage::of).transpose();
        let (most, before) = (args.requests.unwrap_or(u64::MAX), usage()?);
        let (measured, skipped) =
            Replay::run(trace, server, dialect, patience, most, &bar("replay"))?;
        let skipped = match skipped {
            0 => String::new(),
            count => format!(
                " without {} requests whose keys memcached refuses",
                grouped(count)
            ),
        };
        let usage = before
            .zip(usage()?)
            .map(|(before, after)| after.since(before));
        all.push(Results {
            address: server.address.clone(),
            dialect,
            load: format!("replay of {}{skipped}", trace.display()),
            settings: Value::Null,
            measured,
            usage,
        });
    }
    Ok(Report::of(all))
}

/// A server that is connected, filled and warm.
fn side(args: &Args, server: &LoadedServer, pid: Option<u32>) -> Result<ComparedServer, String> {
    let plan = Plan::new(args, server)?;
    pid.map(Usage::of).transpose()?;
    let mut fleet = Fleet::connect(server, &plan)?;
    prepare(&mut fleet, &plan)?;
    Ok(ComparedServer {
        fleet,
        pid,
        results: Results {
            address: server.address.clone(),
            dialect: plan.dialect,
            load: plan.in_words(),
            settings: plan.json(),
            measured: Measured::new(),
            usage: None,
        },
        plan,
    })
}

/// Fills a server and warms it up. Errors of the server while it is filled end the run, because it would measure errors.
fn prepare(fleet: &mut Fleet, plan: &Plan) -> Result<(), String> {
    if plan.fill {
        let filled = fleet.fill(plan, &bar("fill"))?;
        if let Some((text, count)) = filled.errors.first_key_value() {
            return Err(format!(
                "{count} of {} keys can't be set: {text}",
                plan.keys
            ));
        }
    }
    if !plan.warm_up.is_zero() {
        fleet.load(plan, RunEnd::After(plan.warm_up), &bar("warm up"))?;
    }
    Ok(())
}

/// The progress, on a terminal. It is removed before the table is printed.
fn bar(part: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{prefix} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.with_prefix(part)
        .with_finish(indicatif::ProgressFinish::AndClear)
}
