//! `larder probe ADDR`: replays the transcripts against any server and reports the differences.
//!
//! It shows the author of a server, in any language, its missing and wrong answers. The transcripts
//! are those of larder's own tests, embedded in the binary; real memcached and redis-server pass
//! every one that names them.
//!
//! ```text
//!   embedded files ─▶ library ─▶ choice (suite, stage, names) ─▶ Probe::check ─▶ Finding ─▶ report
//!                                                                    │  clean, then as written,
//!                                                                    ▼  byte by byte, in one write
//!                                                                 server
//! ```
//!
//! Each transcript begins with an empty server: `flush_all` or `FLUSHALL` is sent before every
//! delivery. A server that holds data is therefore refused without `--erase`. On a memcached server
//! that doesn't know `flush_all` yet, the keys that the transcript names are deleted. Afterwards the server is empty
//! and has its settings again. If a transcript declares a difference between larder and the real server, either answer
//! passes.
//!
//! Cost: for each transcript three deliveries, each with a connection to clean and one to talk;
//! `--timeout` bounds the wait for a reply, and a failed delivery ends its transcript.

mod answer;
mod arguments;
mod check;
mod choice;
mod clean;
mod erase;
mod library;
mod report;
mod server;
mod settings;
mod suite;

use std::io::{self, Write};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::written;
use super::transcript::{Address, Transcript};

pub(super) use answer::protocol_of;
pub use arguments::{Args, Format};
pub use check::Finding;
pub use library::transcripts;
pub use server::Probe;
pub use suite::Suite;

/// The exit code when the probe could not be made: a wrong name, no server.
const NOT_MADE: u8 = 2;

/// Runs the command. 0: nothing failed; 1: something failed; 2: it could not be tried.
pub fn run(arguments: &Args) -> ExitCode {
    match probe(arguments, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("larder probe: {what}");
            ExitCode::from(NOT_MADE)
        }
    }
}

/// The command with its output, so that a test can read it. Whether nothing failed; an error is a
/// sentence for the person at the terminal.
pub fn probe(arguments: &Args, out: &mut dyn Write) -> Result<bool, String> {
    let transcripts = library::transcripts().map_err(|error| error.to_string())?;
    if arguments.list {
        let chosen = choice::for_list(arguments, &transcripts)?;
        written(report::list(&chosen, out))?;
        return Ok(true);
    }
    let Some(address) = &arguments.address else {
        return Err(
            "no server is given; give its address, as in `larder probe 127.0.0.1:11211`".into(),
        );
    };
    let address = Address::parse(address);
    let mut probe = Probe::new(address, arguments.timeout(), arguments.wait());
    let chosen = choice::for_server(arguments, &transcripts, &mut probe)?;
    if !arguments.erase {
        erase::allowed(&probe, &chosen)?;
    }
    let findings = check_all(&probe, &chosen, &arguments.only);
    let title = format!("larder probe {}", probe.address());
    written(match arguments.format {
        Format::Table => report::table(&title, &findings, out),
        Format::Json => report::json(&title, &findings, out),
        Format::Junit => report::junit(&title, &findings, out),
    })?;
    Ok(findings.iter().all(|finding| !finding.failed()))
}

/// Checks one after the other. On a terminal a bar shows the progress. It is removed before the
/// table is printed.
fn check_all<'t>(probe: &Probe, chosen: &[&'t Transcript], only: &[String]) -> Vec<Finding<'t>> {
    let bar = ProgressBar::new(chosen.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let findings = chosen.iter().map(|transcript| {
        bar.set_message(transcript.name.clone());
        let finding = match settings::why_skipped(probe, transcript, only) {
            Some(why) => Finding::skipped(transcript, why),
            None => probe.check(transcript),
        };
        bar.inc(1);
        finding
    });
    let findings = findings.collect();
    bar.finish_and_clear();
    findings
}
