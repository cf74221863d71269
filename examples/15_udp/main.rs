//! Stage 15: memcached's protocols over UDP as well.
//!
//! Run it with `cargo run --example 15_udp -- [PORT [BYTES]]`. memcached is on PORT, for TCP and UDP, and RESP on the one
//! after it; port 0, the default, takes free ones. BYTES is the memory for items, by default 64 MiB.
//!
//! `udp.rs` reads and writes datagrams. Everything else is chapter 14's.

#[path = "../14_binary/binary.rs"]
mod binary;
#[path = "../05_paths/json.rs"]
mod json;
#[path = "../14_binary/meta.rs"]
mod meta;
#[path = "../14_binary/operations.rs"]
mod operations;
#[path = "../06_resp/reader.rs"]
mod reader;
#[path = "../06_resp/resp.rs"]
mod resp;
#[path = "../14_binary/service.rs"]
mod service;
#[path = "../06_resp/store.rs"]
mod store;
mod udp;

use std::error::Error;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::{env, process, thread};

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
    let memcached = Arc::new(Memcached::new(Arc::clone(&store), clock.clone()));
    let settings = Settings {
        model: Model::Threads,
        ..Settings::default()
    };
    let server = Server::new(Connections::new())
        .settings(settings)
        .listen(local(port), memcached.clone())
        .listen(local(next), Arc::new(Resp::new(store, clock)))
        .start()?;

    let udp = UdpSocket::bind(server.addresses()[0].to_string())?;
    let address = udp.local_addr()?;
    thread::spawn(move || udp::serve(&udp, &*memcached));

    let handle = server.handle();
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(GRACE),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    println!("listening on memcached {}", server.addresses()[0]);
    println!("listening on resp {}", server.addresses()[1]);
    println!("listening on udp {address}");
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
