//! Stage 14: memcached's three protocols on one port, and RESP beside them.
//!
//! Run it with `cargo run --example 14_binary -- [PORT [BYTES]]`. memcached is on PORT and RESP on the one after it; port
//! 0, the default, takes free ones. BYTES is the memory for items, by default 64 MiB.
//!
//! `operations.rs` has the rules of memcached's commands. `service.rs` speaks the classic protocol, `meta.rs` the meta
//! commands and `binary.rs` the binary protocol; each only reads requests and writes replies. RESP is chapter 6's.

mod binary;
#[path = "../05_paths/json.rs"]
mod json;
mod meta;
mod operations;
#[path = "../06_resp/reader.rs"]
mod reader;
#[path = "../06_resp/resp.rs"]
mod resp;
mod service;
#[path = "../06_resp/store.rs"]
mod store;

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::{env, process};

use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{Connections, Listen, Model, Server, Settings};
use larder::store::Clock;

use resp::Resp;
use service::Memcached;
use store::Store;

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = argument(1, 0);
    let store = Arc::new(Mutex::new(Store::new(argument(2, 64 << 20))));
    let clock = Clock::system();
    let local = |port| Listen::Tcp(format!("127.0.0.1:{port}"));
    let next = if port == 0 { 0 } else { port + 1 };
    let settings = Settings {
        model: Model::Threads,
        ..Settings::default()
    };
    let server = Server::new(Connections::new())
        .settings(settings)
        .listen(
            local(port),
            Arc::new(Memcached::new(Arc::clone(&store), clock.clone())),
        )
        .listen(local(next), Arc::new(Resp::new(store, clock)))
        .start()?;

    let handle = server.handle();
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(GRACE),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    println!("listening on memcached {}", server.addresses()[0]);
    println!("listening on resp {}", server.addresses()[1]);
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
