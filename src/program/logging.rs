//! The log: to standard error, a terminal or the [journal], and with `--log-dir` to one file per day.
//!
//! Lines go through the `log` facade and the bound of [`log_limit`](super::log_limit) to fern. The file is named after the day (UTC) and changes at midnight with
//! the first line of the new day; HUP reopens it, so that a tool that rotates logs can move it. The
//! level can change while larder runs. A full disk loses only log lines.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use clap::{ArgAction, Args};
use console::{Color, style};
use fern::Dispatch;
use log::{Level, LevelFilter};
use serde::Deserialize;
use serde_json::json;

use super::journal;
use super::log_limit::Limited;
use super::values::parsed;

/// The options of the log that were given on the command line or in the `[log]` table.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct LogOptions {
    /// Also log to one file per day in this directory: larder-2026-01-31.log [default: none]
    #[arg(id = "log-dir", long = "log-dir", value_name = "DIR", global = true)]
    pub(crate) dir: Option<PathBuf>,

    /// Lines of the log: text, or json, an object in each line [default: text]
    #[arg(
        id = "log-format",
        long = "log-format",
        value_name = "text|json",
        global = true
    )]
    #[serde(deserialize_with = "parsed")]
    pub(crate) format: Option<Format>,

    /// Level of the log: error, warn, info, debug or trace. On the command line: -v and -q
    #[arg(skip)]
    #[serde(deserialize_with = "level_in_file")]
    pub(crate) level: Option<LevelFilter>,

    /// Log more; -vv logs everything
    #[arg(short, long, action = ArgAction::Count, global = true)]
    #[serde(skip)]
    verbose: u8,

    /// Log warnings and errors only; -qq logs nothing
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "verbose", global = true)]
    #[serde(skip)]
    quiet: u8,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(format!("`{text}` is not text or json")),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Text => "text",
            Format::Json => "json",
        })
    }
}

/// A level by its name in the file.
struct LevelName(LevelFilter);

impl FromStr for LevelName {
    type Err = String;

    fn from_str(text: &str) -> Result<LevelName, String> {
        text.parse().map(LevelName).map_err(|_| {
            format!("`{text}` is not a level; write off, error, warn, info, debug or trace")
        })
    }
}

fn level_in_file<'de, D: serde::Deserializer<'de>>(
    file: D,
) -> Result<Option<LevelFilter>, D::Error> {
    Ok(parsed::<LevelName, D>(file)?.map(|name| name.0))
}

impl LogOptions {
    /// These options if they were given, otherwise `file`'s.
    pub(crate) fn or(self, file: LogOptions) -> LogOptions {
        let level = self.level_of_flags().or(file.level);
        LogOptions {
            dir: self.dir.or(file.dir),
            format: self.format.or(file.format),
            level,
            verbose: 0,
            quiet: 0,
        }
    }

    fn level_of_flags(&self) -> Option<LevelFilter> {
        match (self.verbose, self.quiet) {
            (0, 0) => self.level,
            (1, _) => Some(LevelFilter::Debug),
            (2.., _) => Some(LevelFilter::Trace),
            (0, 1) => Some(LevelFilter::Warn),
            (0, 2..) => Some(LevelFilter::Off),
        }
    }

    /// The form of the lines in force.
    pub(crate) fn format(&self) -> Format {
        self.format.unwrap_or(Format::Text)
    }

    /// The level in force.
    pub(crate) fn level(&self) -> LevelFilter {
        self.level_of_flags().unwrap_or(LevelFilter::Info)
    }
}

/// Starts logging. Called once, before the first line is logged.
pub(crate) fn start(options: &LogOptions) -> Result<(), String> {
    // Each output lets everything through; the level is the facade's maximum, which can change while we run.
    let format = options.format();
    // The HTTP client's own lines are about each step of each fetch, and have keys.
    let mut log = Dispatch::new()
        .level_for("ureq", LevelFilter::Warn)
        .level_for("ureq_proto", LevelFilter::Warn)
        .chain(output(io::stderr(), format, stderr_kind()));
    if let Some(dir) = &options.dir {
        let file = DatedFile::open(dir)
            .map_err(|e| format!("--log-dir {}: can't write a log there: {e}", dir.display()))?;
        log = log.chain(output(file, format, Place::File));
    }
    let (_, log) = log.into_log();
    log::set_boxed_logger(Box::new(Limited::new(log)))
        .map_err(|e| format!("the log could not be started: {e}"))?;
    set_level(options.level());
    Ok(())
}

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Standard error, perhaps a terminal.
    Stderr,
    /// Standard error, and the journal records it.
    Journal,
    File,
}

fn stderr_kind() -> Place {
    match journal::is_stderr() {
        true => Place::Journal,
        false => Place::Stderr,
    }
}

/// Lines with time and level, each in one write. The level has its colour where standard error is a terminal. The journal has times and
/// levels of its own. As JSON, a line is an object, and nothing has a colour.
fn output(to: impl Write + Send + 'static, format: Format, place: Place) -> Dispatch {
    let line = Vec::new();
    let to: Box<dyn Write + Send> = Box::new(WholeLines { line, to });
    Dispatch::new()
        .format(move |line, message, record| {
            let time = humantime::format_rfc3339_micros(SystemTime::now());
            let level = style(record.level()).for_stderr();
            let text = match (format, place) {
                (Format::Json, _) => json!({
                    "time": time.to_string(),
                    "level": record.level().as_str(),
                    "module": record.target(),
                    "message": message.to_string(),
                })
                .to_string(),
                (Format::Text, Place::Journal) => message.to_string(),
                (Format::Text, Place::Stderr) => {
                    let level = level.fg(color(record.level()));
                    format!("{time} [{level}] {message}")
                }
                (Format::Text, Place::File) => format!("{time} [{level}] {message}"),
            };
            let text = match place {
                Place::Journal => journal::prioritized(record.level(), &text),
                Place::Stderr | Place::File => text,
            };
            line.finish(format_args!("{text}"));
        })
        .chain(to)
}

fn color(level: Level) -> Color {
    match level {
        Level::Error => Color::Red,
        Level::Warn => Color::Yellow,
        Level::Info => Color::Blue,
        Level::Debug => Color::Cyan,
        Level::Trace => Color::White,
    }
}

/// The day (UTC), like 2026-01-31.
fn today() -> String {
    let mut day = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    day.truncate("2026-01-31".len());
    day
}

/// Changes the level.
pub(crate) fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Opens the log file again before its next line.
pub(crate) fn reopen() {
    REOPENED.fetch_add(1, Ordering::Relaxed);
}

/// The number of times that the log was reopened.
static REOPENED: AtomicU64 = AtomicU64::new(0);

/// Collects the pieces of a line until the flush behind it. A line that can't be written is lost, for fern would end the
/// program where neither the log nor standard error can be written, and a full disk must not.
struct WholeLines<W> {
    line: Vec<u8>,
    to: W,
}

impl<W: Write> Write for WholeLines<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.line.write(piece)
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.to.write_all(&self.line);
        self.line.clear();
        Ok(())
    }
}

/// A file named after the day, in a directory that is made if need be.
struct DatedFile {
    dir: PathBuf,
    day: String,
    reopened: u64,
    file: File,
}

impl DatedFile {
    fn open(dir: &Path) -> io::Result<DatedFile> {
        std::fs::create_dir_all(dir)?;
        let reopened = REOPENED.load(Ordering::Relaxed);
        let day = today();
        let path = dir.join(format!("larder-{day}.log"));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(DatedFile {
            dir: dir.to_owned(),
            day,
            reopened,
            file,
        })
    }

    /// Whether the open file is still the one to write to.
    fn is_current(&self) -> bool {
        self.day == today() && self.reopened == REOPENED.load(Ordering::Relaxed)
    }
}

impl Write for DatedFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.is_current() {
            // If the new file can't be opened, the old one is used: a line in the wrong file is better than none.
            if let Ok(file) = DatedFile::open(&self.dir) {
                *self = file;
            }
        }
        self.file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_moved_is_reopened() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = DatedFile::open(&dir.path().join("logs")).unwrap();
        log.write_all(b"one\n").unwrap();
        let path = dir.path().join(format!("logs/larder-{}.log", log.day));
        std::fs::rename(&path, dir.path().join("old.log")).unwrap();
        reopen();
        log.write_all(b"two\n").unwrap();
        assert_eq!(
            std::fs::read_to_string(dir.path().join("old.log")).unwrap(),
            "one\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn a_line_that_can_not_be_written_is_lost_without_an_error() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut log = WholeLines {
            line: Vec::new(),
            to: full,
        };
        log.write_all(b"lost\n").unwrap();
        log.flush().unwrap();
        assert!(log.line.is_empty());
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = || LogOptions {
            level: Some(LevelFilter::Error),
            ..LogOptions::default()
        };
        let flags = LogOptions {
            verbose: 1,
            ..LogOptions::default()
        };
        assert_eq!(flags.or(file()).level(), LevelFilter::Debug);
        assert_eq!(LogOptions::default().or(file()).level(), LevelFilter::Error);
        assert_eq!(LogOptions::default().level(), LevelFilter::Info);
    }
}
