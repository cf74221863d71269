//! The command line of `larder probe`.

use std::time::Duration;

use clap::{Args as Arguments, ValueEnum};

use super::suite::Suite;

/// Replays larder's transcripts against a server and shows the differences.
///
/// The probe sends flush_all or FLUSHALL before each conversation, which erases all data of the server. A server that
/// isn't empty is therefore refused without --erase. Settings that a conversation changes are restored after it.
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// The server: host:port, or the path of a Unix socket
    #[arg(value_name = "ADDR", required_unless_present = "list")]
    pub address: Option<String>,

    /// The transcripts of one protocol [default: the protocol that the server speaks]
    #[arg(long, value_enum)]
    pub suite: Option<Suite>,

    /// Only the transcripts that a server passes by chapter N of the book
    #[arg(long, value_name = "N")]
    pub stage: Option<u32>,

    /// Only this transcript, or all whose names begin with NAME; can be repeated
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,

    /// List the transcripts, without a server
    #[arg(long)]
    pub list: bool,

    /// Erase the data of a server that isn't empty, or that doesn't report whether it is
    #[arg(long)]
    pub erase: bool,

    /// Format of the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// Time to wait for a reply
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = patience)]
    pub timeout: f64,

    /// The longest time to wait for an item to expire; transcripts that need more are skipped
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub wait: f64,
}

/// The format of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person
    Table,
    /// One JSON object
    Json,
    /// JUnit's XML, as continuous integrations read it
    Junit,
}

impl Args {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }

    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs_f64(self.wait)
    }
}

fn patience(text: &str) -> Result<f64, String> {
    match seconds(text)? {
        0.0 => Err("0 leaves no time for a reply: try 0.1".into()),
        seconds => Ok(seconds),
    }
}

/// A day at most: more is a mistake.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 86400, as in 0.5".into()),
    }
}
