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
//! A run has three parts: every key is set once, the load warms up, and the load is measured. Values follow from their
//! keys, so each value that comes back is verified. The sockets are in [`worker`]; the sequence of requests, a
//! connection's bytes, and the results are values that are tested without sockets.
//!
//! Cost: a thread of the tool makes about as many requests in a second as redis-benchmark's. The report says how busy the
//! tool was: near 100% it measures itself.

mod arguments;
mod connection;
mod dialect;
mod fleet;
mod items;
mod measured;
mod plan;
mod process;
mod report;
mod sizes;
mod timer;
mod worker;
mod workload;
mod zipf;

use std::io::{self, Write};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::written;
use super::transcript::Address;
use fleet::Fleet;
use plan::Plan;
use process::Usage;
use report::Results;
use worker::End;

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
    let address = Address::parse(&args.address);
    let plan = Plan::new(args, &address)?;
    let results = measure(&address, &plan, args.pid)?;
    written(match args.json {
        true => writeln!(out, "{:#}", results.json(&plan)),
        false => results.table(&plan, out),
    })?;
    Ok(results.all_right())
}

/// Fills a server, warms it up, and measures it.
fn measure(address: &Address, plan: &Plan, pid: Option<u32>) -> Result<Results, String> {
    let usage = || pid.map(Usage::of).transpose();
    usage()?;
    let mut fleet = Fleet::connect(address, plan)?;
    prepare(&mut fleet, plan)?;
    let before = usage()?;
    let measured = fleet.load(plan, plan.end, &bar("measure"))?;
    let after = usage()?;
    Ok(Results {
        address: address.clone(),
        measured,
        usage: before.zip(after),
    })
}

/// Fills a server and warms it up. Errors of the server while it is filled end the run: what follows would measure them.
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
        fleet.load(plan, End::After(plan.warm_up), &bar("warm up"))?;
    }
    Ok(())
}

/// What is going on, on a terminal; it is gone when the table comes.
fn bar(part: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{prefix} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.with_prefix(part)
        .with_finish(indicatif::ProgressFinish::AndClear)
}
