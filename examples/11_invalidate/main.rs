//! Stage 11: invalidate in the background.
//!
//! Run it with `cargo run --example 11_invalidate -- [PORT [SERVERS]]`. Port 0, the default, takes a free one; SERVERS
//! is a file that lists the pool's servers, by default `servers.txt`.
//!
//! ```text
//!   client ─▶ session ─┐             ┌─▶ worker ─▶ the key's server
//!   client ─▶ session ─┼─▶ channel ──┤                 (ketama)
//!   client ─▶ session ─┘  (bounded)  └─▶ worker ─▶ the key's server
//!      ▲          │
//!      └─ STORED ─┘  as soon as the key is in the channel
//! ```
//!
//! `service.rs` answers clients, `worker.rs` deletes keys from servers. Connections, signals, the parser and the ring are
//! the library's.

mod service;
mod worker;

use std::error::Error;
use std::sync::Arc;
use std::{env, fs, process};

use crossbeam_channel::bounded;
use larder::pool::ServerList;
use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{Connections, Listen, Model, Server, Settings};

use service::Invalidate;
use worker::Counts;

/// Keys that wait for a worker. A client that sends a further one waits until there is room.
const WAITING: usize = 4096;

/// Threads that delete.
const WORKERS: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = argument(1, 0);
    let file = argument(2, "servers.txt".to_owned());
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let pool: ServerList = text.parse().map_err(|error| format!("{file}: {error}"))?;

    let counts = Arc::new(Counts::default());
    let (changed, queue) = bounded(WAITING);
    let workers = worker::start(WORKERS, &pool, &queue, &counts)?;
    let settings = Settings {
        model: Model::Threads,
        ..Settings::default()
    };
    let server = Server::new(Connections::new())
        .settings(settings)
        .listen(
            Listen::Tcp(format!("127.0.0.1:{port}")),
            Arc::new(Invalidate::new(changed, counts)),
        )
        .start()?;

    let handle = server.handle();
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(GRACE),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    println!("listening on invalidate {}", server.addresses()[0]);
    server.join();
    // All sessions have ended, and with them the channel's senders: the workers empty it and stop.
    for worker in workers {
        worker.join().map_err(|_| "a worker has panicked")?;
    }
    Ok(())
}

/// The argument at this index, or the default.
fn argument<T: std::str::FromStr>(index: usize, default: T) -> T {
    match env::args().nth(index).map(|text| text.parse()) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            eprintln!("argument {index} does not fit: give [PORT [SERVERS]]");
            process::exit(2);
        }
    }
}
