//! Stage 18: read-through and peers.
//!
//! Run it with `cargo run --example 18_read_through -- [PORT [SECONDS [FRESH]]]`. The application is on PORT and the three
//! nodes of its cache on the ones after it; port 0, the default, takes free ones. SECONDS is the deadline of requests to a
//! node, by default 1. A row is fresh for FRESH seconds, by default 10.
//!
//! ```text
//!                            ┌──▶ node 1 ─┬──▶ database: 100 ms for a row
//!   nc ──lines──▶ the shop ──┼──▶ node 2 ─┤
//!                            └──▶ node 3 ─┘    a node asks the owner of a key first
//! ```
//!
//! `through.rs` is the cache that fetches, and `peers.rs` the owners of keys. `service.rs` and `shop.rs` use them; everything
//! else is that of chapters 4 and 17.

#[expect(dead_code, reason = "chapter 17 also stores items")]
#[path = "../17_client/client.rs"]
mod client;
#[path = "../17_client/database.rs"]
mod database;
#[path = "../17_client/lines.rs"]
mod lines;
mod peers;
mod service;
mod shop;
#[path = "../04_store/store.rs"]
mod store;
mod through;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use std::{env, process};

use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{Connections, Listen, Model, Server, Service, Settings};

use client::Client;
use database::Database;
use lines::Lines;
use peers::Peers;
use service::Memcached;
use shop::Shop;
use store::Store;
use through::ReadThrough;

/// The nodes of the cache.
const NODES: u16 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = argument(1, 0);
    let deadline = Duration::from_secs(argument(2, 1));
    let fresh = 1000 * argument(3, 10);
    let database = Arc::new(Database::default());
    let (mut servers, mut caches) = (Vec::new(), Vec::new());
    for number in 1..=NODES {
        let next = if port == 0 { 0 } else { port + number };
        let store = Store::new(64 << 20);
        let cache = Arc::new(ReadThrough::new(store, Arc::clone(&database), fresh));
        servers.push(server(next, Memcached::new(&cache, true)).start()?);
        servers.push(server(0, Memcached::new(&cache, false)).start()?);
        caches.push(cache);
    }
    // Each node has two: one for clients, and one for the other nodes.
    let addresses = |first| {
        let servers = servers.iter().skip(first).step_by(2);
        servers.map(|server| server.addresses()[0].to_string())
    };
    let list: String = addresses(1).map(|node| format!("{node} 1\n")).collect();
    for (me, cache) in caches.iter().enumerate() {
        cache.join(Peers::new(&list, me, deadline)?);
    }
    let clients = addresses(0).map(|node| Client::new(&node, deadline));
    let shop = Shop::new(clients.collect(), database);
    let server = server(port, Lines(Arc::new(shop))).start()?;

    let all = servers.iter().chain([&server]);
    let handles: Vec<_> = all.map(|server| server.handle()).collect();
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handles
            .iter()
            .for_each(|handle| handle.begin_shutdown(GRACE)),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    println!("listening on shop {}", server.addresses()[0]);
    addresses(0).for_each(|node| println!("listening on node {node}"));
    server.join();
    for server in servers {
        server.join();
    }
    Ok(())
}

/// A server on this port, with a thread for each connection.
fn server(port: u16, service: impl Service) -> Server {
    let settings = Settings {
        model: Model::Threads,
        ..Settings::default()
    };
    Server::new(Connections::new())
        .settings(settings)
        .listen(Listen::Tcp(format!("127.0.0.1:{port}")), Arc::new(service))
}

/// The argument at this index, or the default.
fn argument<T: std::str::FromStr>(index: usize, default: T) -> T {
    match env::args().nth(index).map(|text| text.parse()) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            eprintln!("argument {index} is not a number in range: give [PORT [SECONDS [FRESH]]]");
            process::exit(2);
        }
    }
}
