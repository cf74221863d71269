//! The commands that are clients of a cache: `larder get KEY` and its like, `larder keys`, `larder cp`
//! and `larder top`.
//!
//! ```text
//!   arguments ─▶ Request ─▶ the client of the key's server ─▶ Outcome ─▶ text or JSON, exit code
//!                  ▲
//!   standard input ┘ a value
//! ```
//!
//! A shell script needs only the exit code: 0 if the command did what its name says, 1 for a miss, 2 for an error, which standard
//! error explains. Cost: a process, a connection, and one round trip.

pub(super) mod copy;
mod exit;
pub(super) mod json;
pub(super) mod keys;
mod memcached;
mod outcome;
pub(super) mod ping;
mod request;
mod resp;
pub(super) mod top;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use crate::client::{Error, ErrorKind, Protocol};
use crate::protocol::memcached::text::KEY_LIMIT;
use crate::protocol::memcached::text::meta::base64;

use super::output::show;
use outcome::Outcome;
pub(crate) use request::Verb;
use request::{KeyArgs, Request};

/// Runs one of the commands about one key.
pub(super) fn run(verb: Verb) -> ExitCode {
    let name = verb.name();
    exit::run(name, || answer(name, verb))
}

fn answer(name: &str, verb: Verb) -> Result<ExitCode, String> {
    let (arguments, request) = verb.request()?;
    let key = arguments.key()?;
    let servers = arguments.client.servers()?;
    let client = servers.client_of(&key);
    let asks_for_all = arguments.json && matches!(request, Request::Get);
    let outcome = match arguments.client.protocol() {
        Protocol::Resp => resp::execute(client, &key, &request, asks_for_all),
        Protocol::Memcached if arguments.base64 || asks_for_all => {
            memcached::meta(client, &key, &request)
        }
        Protocol::Memcached => memcached::text(client, &key, &request),
    };
    let outcome = outcome.map_err(|error| explained(&error, &arguments))?;
    match arguments.json {
        true => show(format!("{}\n", json::outcome(&key, &outcome)))?,
        false => print(&outcome)?,
    }
    let Outcome::Miss(why) = outcome else {
        return Ok(ExitCode::SUCCESS);
    };
    // A person sees no exit code.
    if !arguments.json && io::stderr().is_terminal() {
        eprintln!("larder {name}: {why}");
    }
    Ok(ExitCode::from(exit::NOT_DONE))
}

/// The error's text, and the way out if there is one.
fn explained(error: &Error, arguments: &KeyArgs) -> String {
    let key = arguments.key().unwrap_or_default();
    let can_be_encoded = (1..=base64::LONGEST_KEY).contains(&key.len());
    match (error.kind(), arguments.base64) {
        (ErrorKind::InvalidKey, false) if can_be_encoded => {
            format!("{error}; give such a key in base64, with --base64")
        }
        (ErrorKind::InvalidKey, true) if !key.is_empty() && key.len() <= KEY_LIMIT => {
            format!(
                "{error}; such a key has at most {} bytes",
                base64::LONGEST_KEY
            )
        }
        _ => error.to_string(),
    }
}

/// Prints the result for scripts: a value with exactly its bytes.
fn print(outcome: &Outcome) -> Result<(), String> {
    match outcome {
        Outcome::Value { value, .. } => {
            show(value)?;
            match io::stdout().is_terminal() && !value.ends_with(b"\n") {
                true => show("\n"),
                false => Ok(()),
            }
        }
        Outcome::Number(number) => show(format!("{number}\n")),
        Outcome::Done(_) | Outcome::Miss(_) => Ok(()),
    }
}
