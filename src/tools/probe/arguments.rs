//! The command line of `larder probe`.

use std::time::Duration;

use clap::{Args as Arguments, ValueEnum};

use super::suite::Suite;

/// Replays larder's transcripts against a server, ours or not, and shows where it differs.
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// The server: host:port, or the path of a Unix socket
    #[arg(value_name = "ADDR", required_unless_present = "list")]
    pub address: Option<String>,

    /// The transcripts of one front door [default: what the server speaks]
    #[arg(long, value_enum)]
    pub suite: Option<Suite>,

    /// What a server has to know by chapter N of the book, and no more
    #[arg(long, value_name = "N")]
    pub stage: Option<u32>,

    /// One transcript, or all whose names begin so; several times for several
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,

    /// Shows the names and what they are about, and asks no server
    #[arg(long)]
    pub list: bool,

    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// How long a reply is waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = patience)]
    pub timeout: f64,

    /// The longest time that is let pass where an item has to expire; what needs more is skipped
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub wait: f64,
}

/// How the result is printed.
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
        0.0 => Err("0 is no time to wait for a reply: try 0.1".into()),
        seconds => Ok(seconds),
    }
}

/// A day at most: what is longer than anybody waits is a mistake.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 86400, as in 0.5".into()),
    }
}
