//! `larder top ADDR…`: what running servers do, in a terminal, or once as a table for scripts.
//!
//! ```text
//!   WatchedServer ─▶ sampler: a thread for each server, larder::client ─▶ Sampled
//!          memcached.rs, redis.rs, admin.rs: `stats`, `INFO`, `/metrics` to a Reading │
//!                                                                            ▼
//!   once: a table or JSON ◀── Row ◀── ServerView: rates of two readings, history
//!                                         │
//!   screen: the terminal, keys ◀── draw ◀─┴─ App: order, page, pause
//! ```
//!
//! Invariants: only the sampler's threads wait for servers, and only `screen` touches the terminal. Everything else is a value that is given readings and the time. No text of a
//! server reaches the terminal without its control characters escaped.
//!
//! Cost: a connection and a thread for each server, and one to three requests in an interval.

mod admin;
mod app;
mod columns;
mod detail;
mod draw;
mod exposition;
mod histogram;
mod http;
mod lines;
mod memcached;
mod once;
mod rates;
mod reading;
mod redis;
mod row;
mod sampler;
mod screen;
mod series;
mod tables;
mod text;
mod view;

#[cfg(test)]
mod admin_tests;
#[cfg(test)]
mod panic_tests;
#[cfg(test)]
mod screen_tests;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::output::written;
use app::App;
use columns::shown_address;
use sampler::Sampler;
use view::{ServerView, State};

pub(crate) use sampler::WatchedServer;

/// The exit code when `--once` found a server that is down.
const SOME_DOWN: u8 = 1;

/// The exit code when nothing could be shown.
pub(crate) const NOT_MADE: u8 = 2;

/// How often the servers are read, and the form of the output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// The time between two readings of a server.
    pub(crate) interval: Duration,
    /// Print a table and end.
    pub(crate) once: bool,
    /// Print JSON and end.
    pub(crate) json: bool,
}

/// Runs the command. 0: it was ended, or all servers were up; 1: one was down; 2: nothing could be shown.
pub(crate) fn run(servers: Vec<WatchedServer>, options: Options) -> ExitCode {
    let stdout = io::stdout();
    let shown = match options.once || options.json || !stdout.is_terminal() {
        true => print_once(servers, options, &mut stdout.lock()),
        false => show(servers, options).map(|()| true),
    };
    match shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(SOME_DOWN),
        Err(problem) => {
            eprintln!("larder top: {problem}");
            ExitCode::from(NOT_MADE)
        }
    }
}

fn views_of(servers: &[WatchedServer]) -> Vec<ServerView> {
    let addresses = servers.iter().map(|server| shown_address(server.address()));
    addresses.map(ServerView::new).collect()
}

/// Shows the screen until a key or a signal ends it.
fn show(servers: Vec<WatchedServer>, options: Options) -> Result<(), String> {
    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let app = App::new(views_of(&servers), options.interval, colours);
    screen::show(app, &Sampler::start(servers, options.interval))
}

/// Reads each server twice, unless it is down, and prints the figures. Returns whether all are up.
fn print_once(
    servers: Vec<WatchedServer>,
    options: Options,
    out: &mut dyn Write,
) -> Result<bool, String> {
    let mut views = views_of(&servers);
    let mut missing = vec![2; views.len()];
    let sampler = Sampler::start(servers, options.interval);
    while missing.iter().any(|readings| *readings > 0) {
        let (number, sampled, at) = sampler.next()?;
        if missing[number] == 0 {
            continue;
        }
        views[number].update(sampled, at);
        missing[number] = match views[number].state {
            State::Down(_) => 0,
            _ => missing[number] - 1,
        };
    }
    written(match options.json {
        true => once::json(&views, out),
        false => once::table(&views, out),
    })?;
    Ok(views.iter().all(|view| view.state == State::Up))
}
