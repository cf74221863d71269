//! The log: to the terminal, and with `--log-dir` to one file per day.
//!
//! Lines go through the `log` facade to simplelog. The file is named after the day (UTC) and changes at midnight with
//! the first line of the new day; HUP reopens it, so that a tool that rotates logs can move it. The
//! level can change while larder runs. A full disk loses only log lines.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{ArgAction, Args};
use log::LevelFilter;
use serde::Deserialize;
use simplelog::{
    ColorChoice, CombinedLogger, ConfigBuilder, SharedLogger, TermLogger, TerminalMode, WriteLogger,
};
use time::{Date, OffsetDateTime};

use super::values::parsed;

/// The options of the log that were given on the command line or in the `[log]` table.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct LogOptions {
    /// Also log to one file per day in this directory: larder-2026-01-31.log [default: none]
    #[arg(id = "log-dir", long = "log-dir", value_name = "DIR", global = true)]
    pub(crate) dir: Option<PathBuf>,

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

    /// The level in force.
    pub(crate) fn level(&self) -> LevelFilter {
        self.level_of_flags().unwrap_or(LevelFilter::Info)
    }
}

/// Starts logging. Called once, before the first line is logged.
pub(crate) fn start(options: &LogOptions) -> Result<(), String> {
    // Each logger accepts all levels; the level is the facade's maximum, which can change while we run.
    let config = ConfigBuilder::new().set_time_format_rfc3339().build();
    let mut loggers: Vec<Box<dyn SharedLogger>> = vec![TermLogger::new(
        LevelFilter::Trace,
        config.clone(),
        TerminalMode::Stderr,
        if io::stderr().is_terminal() {
            ColorChoice::Auto
        } else {
            ColorChoice::Never
        },
    )];
    if let Some(dir) = &options.dir {
        let file = DatedFile::open(dir)
            .map_err(|e| format!("--log-dir {}: can't write a log in it: {e}", dir.display()))?;
        loggers.push(WriteLogger::new(LevelFilter::Trace, config, file));
    }
    CombinedLogger::init(loggers).map_err(|e| format!("the log could not be started: {e}"))?;
    set_level(options.level());
    Ok(())
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

/// A file named after the day, in a directory that is made if it doesn't exist.
struct DatedFile {
    dir: PathBuf,
    day: Date,
    reopened: u64,
    file: File,
}

impl DatedFile {
    fn open(dir: &Path) -> io::Result<DatedFile> {
        std::fs::create_dir_all(dir)?;
        let reopened = REOPENED.load(Ordering::Relaxed);
        let day = OffsetDateTime::now_utc().date();
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
        self.day == OffsetDateTime::now_utc().date()
            && self.reopened == REOPENED.load(Ordering::Relaxed)
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
