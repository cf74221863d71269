//! The program around the library: the command line, larder.toml, the log, signals.
//!
//! ```text
//!   flags ──▶ options ◀── larder.toml        options::ServeOptions says what was said
//!               │
//!               ▼
//!            settings ──▶ serve              options::Settings is what is in force
//! ```

mod echo;
mod file;
mod invalidate;
mod logging;
mod options;
mod print;
mod proxy;
mod serve;
mod values;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use larder::tools::probe;

use file::{DEFAULT_FILE, File};
use logging::LogOptions;
use options::{ServeOptions, Settings};

/// A cache server for one box: memcached and Redis's RESP on one store.
///
/// Without a subcommand larder serves: memcached's text protocol on 127.0.0.1:11211 and RESP on 127.0.0.1:6379, one
/// store of 64 MiB behind both. What one protocol stores, the other reads.
#[derive(Parser)]
#[command(name = "larder", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: ServeArgs,
}

const EXAMPLES: &str = "\
Try it:
  larder                                      serve on both standard ports
  larder --memory 1GiB --resp off             memcached only, with 1 GiB
  larder --memcached 127.0.0.1:0 --resp 127.0.0.1:0    free ports, printed when ready
  larder config > larder.toml                 write the settings down, to change them

  printf 'set greeting 0 0 5\\r\\nhello\\r\\nquit\\r\\n' | nc 127.0.0.1 11211
  redis-cli get greeting

Signals: TERM, INT and QUIT finish what is in flight (10 s at most) and end; a second one ends at
once. HUP reopens the log and reads larder.toml again.";

#[derive(Subcommand)]
enum Command {
    /// Serve memcached and RESP on one store (what larder does without a subcommand)
    #[command(after_help = EXAMPLES)]
    Serve(ServeArgs),
    /// Print the settings in force as a commented larder.toml
    Config(ServeArgs),
    /// Answer every line with the same line: the server core with nothing on it
    Echo(echo::EchoArgs),
    /// Stand in front of real memcached or Redis servers: many clients, few connections, one pool
    #[command(after_help = proxy::EXAMPLES)]
    Proxy(proxy::ProxyArgs),
    /// Take writes as reports of what has changed, and make every cache forget it: answered at once, nothing lost
    #[command(after_help = invalidate::EXAMPLES)]
    Invalidate(invalidate::InvalidateArgs),
    /// Replay conversations against any server and show where it differs
    Probe(probe::Args),
}

#[derive(Args, Clone)]
struct ServeArgs {
    #[command(flatten)]
    options: ServeOptions,

    #[command(flatten)]
    log: LogOptions,

    /// The settings file [default: larder.toml, if there is one here]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ServeArgs {
    fn file(&self) -> Result<File, String> {
        File::find(self.config.as_deref()).map_err(|e| e.to_string())
    }

    /// The settings in force: flags, then the file, then the defaults. Fails with a sentence for a person.
    fn settings(&self) -> Result<(Settings, LogOptions), String> {
        let file = self.file()?;
        let of_file = file.serve.clone().settings().problem();
        let settings = self.options.clone().or(file.serve).settings();
        match settings.problem() {
            Some(problem) if of_file.as_ref() == Some(&problem) => {
                let name = self.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
                Err(format!("{}: {problem}", name.display()))
            }
            Some(problem) => Err(problem),
            None => Ok((settings, self.log.clone().or(file.log))),
        }
    }
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Probe(args) => return probe::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Config(args) => config(&args),
        Command::Echo(args) => echo::run(&args),
        Command::Proxy(args) => proxy::run(&args),
        Command::Invalidate(args) => invalidate::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("larder: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn config(args: &ServeArgs) -> Result<(), String> {
    let (settings, log) = args.settings()?;
    let file = args.file()?;
    show(&print::toml(
        &settings,
        &file.proxy,
        &file.invalidate,
        &log,
    )?)
}

/// Prints a text. That who reads it has read enough (`| head`) is no failure.
fn show(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
