//! Stage 5: keys as paths.
//!
//! Run it with `cargo run --example 05_paths -- [PORT [BYTES]]`. Port 0, the default, takes a free one; BYTES is the
//! memory for items, by default 64 MiB.
//!
//! `store.rs` is the cache, now a tree; `service.rs` executes memcached's commands on it. Connections, signals and the parser are
//! the library's: those of the stages before, with limits and tests.

mod json;
mod service;
mod store;

use std::error::Error;
use std::sync::Arc;
use std::{env, process};

use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{Connections, Listen, Model, Server, Settings};

use service::Memcached;
use store::Store;

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = argument(1, 0);
    let store = Store::new(argument(2, 64 << 20));
    let settings = Settings {
        model: Model::Threads,
        ..Settings::default()
    };
    let server = Server::new(Connections::new())
        .settings(settings)
        .listen(
            Listen::Tcp(format!("127.0.0.1:{port}")),
            Arc::new(Memcached::new(store)),
        )
        .start()?;

    let handle = server.handle();
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(GRACE),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    println!("listening on memcached {}", server.addresses()[0]);
    server.join();
    Ok(())
}

/// The argument at this index, or the default.
fn argument<T: std::str::FromStr>(index: usize, default: T) -> T {
    match env::args().nth(index).map(|text| text.parse()) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            eprintln!("argument {index} is not a number in range: give [PORT [BYTES]]");
            process::exit(2);
        }
    }
}
