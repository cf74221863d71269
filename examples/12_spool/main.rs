//! Stage 12: invalidate in the background, and survive a crash.
//!
//! Run it with `cargo run --example 12_spool -- [PORT [SERVERS [SPOOL [DURABILITY [KEYS]]]]]`. Port 0, the default, takes a free
//! one; SERVERS is a file that lists the pool's servers, by default `servers.txt`. SPOOL is the file in which changes are
//! kept until they are delivered; without it they are kept in memory and lost with the process. An answer waits for DURABILITY:
//! with `os` (the default), until the operating system has the change; with `fsync`, until the disk has it. KEYS may be pending
//! for a server, by default a million; with one more it is flushed.
//!
//! ```text
//!   client ─▶ session ─┐             ┌──────────┐ commit ┌───────┐
//!   client ─▶ session ─┼─▶ channel ──▶ recorder │───────▶│ spool │
//!   client ─▶ session ─┘  (bounded)  └──────────┘        └───────┘
//!      ▲          │                   │  │   ▲            read │ pending
//!      └─ STORED ─┘◀──── committed ───┘  │   │                 ▼
//!                                   wake └───┼──────▶ worker, one for each server ─▶ server
//!                                            └─ delivered ──┘
//! ```
//!
//! `service.rs` answers clients, `spool.rs` records changes, `worker.rs` delivers them. There is no special code for an
//! orderly end or for a crash: every start reads the spool.

mod service;
mod spool;
mod worker;

use std::sync::Arc;
use std::{env, fs, process};

use crossbeam_channel::bounded;
use larder::pool::ServerList;
use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{Connections, Listen, Model, Server, Settings};

use service::Invalidate;
use spool::{Problem, Recorder, Spool};

/// Keys that may be pending for a server. With one more it is flushed instead.
const MAX_PENDING: u64 = 1_000_000;

/// Messages that wait for the recorder. A client's holds all keys of one turn.
const WAITING: usize = 4096;

fn main() -> Result<(), Problem> {
    let port: u16 = argument(1, 0);
    let file = argument(2, "servers.txt".to_owned());
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let pool: ServerList = text.parse().map_err(|error| format!("{file}: {error}"))?;
    let spool = match env::args().nth(3) {
        Some(path) => Spool::open(&path, argument(4, "os".to_owned()) == "fsync")?,
        None => Spool::in_memory()?,
    };
    let spool = Arc::new(spool);

    let recorder = Recorder::new(Arc::clone(&spool), &pool, argument(5, MAX_PENDING))?;
    let counts = recorder.counts();
    let (changed, queue) = bounded(WAITING);
    let settings = Settings {
        model: Model::Threads,
        ..Settings::default()
    };
    let server = Server::new(Connections::new())
        .settings(settings)
        .listen(
            Listen::Tcp(format!("127.0.0.1:{port}")),
            Arc::new(Invalidate::new(changed.clone(), Arc::clone(&counts))),
        )
        .start()?;

    let handle = server.handle();
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(GRACE),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    println!("listening on invalidate {}", server.addresses()[0]);
    let wakes = worker::start(&pool, &spool, &changed, &counts)?;
    recorder.start(queue, wakes)?;
    server.join();
    Ok(())
}

/// The argument at this index, or the default.
fn argument<T: std::str::FromStr>(index: usize, default: T) -> T {
    match env::args().nth(index).map(|text| text.parse()) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            eprintln!(
                "argument {index} does not fit: give [PORT [SERVERS [SPOOL [DURABILITY [KEYS]]]]]"
            );
            process::exit(2);
        }
    }
}
