//! Stage 17: a client, and an application that uses it.
//!
//! Run it with `cargo run --example 17_client -- [PORT [SECONDS]]`. The application is on PORT and its cache on the one after
//! it; port 0, the default, takes free ones. SECONDS is the deadline of requests to the cache, by default 1.
//!
//! ```text
//!                           ┌──▶ client ──TCP──▶ the cache of chapter 4
//!   nc ──lines──▶ the shop ─┤
//!                           └──▶ database: 100 ms for a row
//! ```
//!
//! `client.rs` is the client, `database.rs` a slow database, `shop.rs` the application with its cache-aside, and `lines.rs`
//! its protocol. `service.rs` and `store.rs` are the cache.

mod client;
mod database;
mod lines;
#[path = "../04_store/service.rs"]
mod service;
mod shop;
#[path = "../04_store/store.rs"]
mod store;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use std::{env, process};

use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{Connections, Listen, Model, Server, Service, Settings};

use client::Client;
use lines::Lines;
use service::Memcached;
use shop::Shop;
use store::Store;

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = argument(1, 0);
    let next = if port == 0 { 0 } else { port + 1 };
    let cache = server(next, Memcached::new(Store::new(64 << 20))).start()?;
    let deadline = Duration::from_secs(argument(2, 1));
    let shop = Shop::new(Client::new(&cache.addresses()[0].to_string(), deadline));
    let server = server(port, Lines(Arc::new(shop))).start()?;

    let handles = [server.handle(), cache.handle()];
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handles
            .iter()
            .for_each(|handle| handle.begin_shutdown(GRACE)),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    println!("listening on shop {}", server.addresses()[0]);
    println!("listening on cache {}", cache.addresses()[0]);
    server.join();
    cache.join();
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
            eprintln!("argument {index} is not a number in range: give [PORT [SECONDS]]");
            process::exit(2);
        }
    }
}
