//! The program around the library: the command line, larder.toml, the log, signals.
//!
//! ```text
//!   flags ──▶ options ◀── file (larder.toml)      an option that isn't given is `None`
//!                │
//!                ▼
//!             settings ──▶ serve, proxy, invalidate ──▶ a server of the library, until a signal ends it
//! ```

mod admin;
mod client;
mod demo;
mod dump;
mod echo;
mod file;
mod invalidate;
mod journal;
mod log_limit;
mod logging;
mod manual;
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "help texts name the tables [[target]] of larder.toml"
)]
mod options;
mod output;
mod password;
mod print;
mod protected;
mod proxy;
mod serve;
mod signals;
mod systemd;
mod tap;
mod values;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::tools::{bench, probe};

#[cfg(feature = "internals")]
pub(crate) use file::File;

/// A cache server for one box: memcached and Redis's RESP on one store.
///
/// Without a subcommand larder serves memcached's protocols on 127.0.0.1:11211 and RESP on 127.0.0.1:6379 from one
/// store of 64 MiB. A value that was stored over one protocol can be read over the other.
#[derive(Parser)]
#[command(name = "larder", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES, help_template = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: serve::ServeArgs,
}

/// The commands about one key are in a line of their own, so that the list of the others stays short.
const HELP: &str = "\
{before-help}{about-with-newline}
{usage-heading} {usage}

Commands:
{subcommands}

Commands about one key of any memcached or Redis server, for shell scripts (larder get --help):
  get set add replace append prepend delete touch incr decr

Options:
{options}{after-help}";

const EXAMPLES: &str = "\
Try it:
  larder                                      serve on both standard ports
  larder --memory 1GiB --resp off             memcached only, with 1 GiB
  larder --memcached 127.0.0.1:0 --resp 127.0.0.1:0    free ports, printed when ready
  larder config > larder.toml                 write the settings to a file, to change them

  printf 'set greeting 0 0 5\\r\\nhello\\r\\nquit\\r\\n' | nc 127.0.0.1 11211
  redis-cli get greeting

Signals: after TERM, INT or QUIT larder answers the requests in flight, for 10 s at most, and ends.
A second signal ends it immediately. HUP reopens the log and reads larder.toml again. USR1 writes a snapshot, if there is
a --snapshot file.";

#[derive(Subcommand)]
enum Command {
    /// Serve memcached and RESP from one store (the default without a subcommand)
    #[command(after_help = EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Print the settings in force as a commented larder.toml
    Config(serve::ServeArgs),
    /// Answer every line with the same line: the server core without a cache
    Echo(echo::EchoArgs),
    /// Forward to real memcached or Redis servers: many clients, few connections, one pool
    #[command(after_help = proxy::EXAMPLES)]
    Proxy(proxy::ProxyArgs),
    /// Accept writes as invalidation reports and deliver deletes to every cache; answers immediately, loses nothing
    #[command(after_help = invalidate::EXAMPLES)]
    Invalidate(invalidate::InvalidateArgs),
    /// Replay conversations against any server and show the differences
    Probe(probe::Args),
    /// Load a cache server and measure its rate and its latency
    ///
    /// Every key is set once first, then the load warms up, then it is measured. Keys and values follow from --keys,
    /// --key-size and --value-size, and each value that comes back is verified. The keys stay in the server afterwards.
    ///
    /// Exit code: 0 if all replies were right, 1 if the server answered with errors or wrong values, 2 if the run could
    /// not be made.
    Bench(bench::Args),
    /// Print the items of a snapshot as JSON, one in a line
    ///
    /// An item has its database, its path of keys, its flags, its value unless it only has children, and the Unix time in
    /// milliseconds at which it expires. Keys and values that are not UTF-8 are in base64, under names that say so.
    ///
    /// Exit code: 0 if the snapshot is whole, 1 if it can't be read.
    Dump(dump::DumpArgs),
    /// Forward clients to a server and explain every request and reply, byte by byte
    Tap(tap::TapArgs),
    /// List the keys of a cache server with sizes and remaining lifetimes
    Keys(client::keys::KeysArgs),
    /// Show what running servers do: requests, hits, memory, latency
    Top(client::top::TopArgs),
    /// Ask whether servers answer, for health checks
    ///
    /// Exit code: 0 if all servers have answered, 1 if one has not, 2 if the command line is wrong.
    Ping(client::ping::PingArgs),
    /// Copy a live cache into another
    Cp(client::copy::CopyArgs),
    #[command(flatten)]
    Verb(client::Verb),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(manual::ManArgs),
    /// Print the completions for a shell
    #[command(hide = true)]
    Completions(manual::CompletionsArgs),
}

/// Parses the command line, runs the command, and returns the exit code: the whole program `larder`.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Err(problem) = systemd::take_sockets() {
        return failed(&problem);
    }
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Probe(args) => return probe::run(&args),
        Command::Bench(args) => return bench::run(&args),
        Command::Tap(args) => return tap::run(&args).unwrap_or_else(|problem| failed(&problem)),
        Command::Keys(args) => return client::keys::run(&args),
        Command::Top(args) => return client::top::run(&args),
        Command::Ping(args) => return client::ping::run(&args),
        Command::Cp(args) => return client::copy::run(&args),
        Command::Verb(verb) => return client::run(verb),
        Command::Serve(args) => serve::run(&args),
        Command::Config(args) => print::run(&args),
        Command::Echo(args) => echo::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Proxy(args) => proxy::run(&args),
        Command::Invalidate(args) => invalidate::run(&args),
        Command::Man(args) => manual::write_pages(Cli::command(), &args),
        Command::Completions(args) => manual::print_completions(Cli::command(), &args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => failed(&problem),
    }
}

fn failed(problem: &str) -> ExitCode {
    match journal::is_stderr() {
        true => eprintln!("{}", journal::prioritized(log::Level::Error, problem)),
        false => eprintln!("larder: {problem}"),
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
