//! The client against larder, memcached and Redis, and against servers that misbehave.

#[path = "../proxy_support/mod.rs"]
mod proxy_support;
#[path = "../support/mod.rs"]
mod support;
#[path = "../tls_support/mod.rs"]
mod tls_support;

mod cluster;
mod commands;
mod keys;
mod misbehaving;
mod recipes;
mod resp;
mod secured;

use std::net::SocketAddr;

use larder::client::Settings;
use larder::{Listen, Server};
use proxy_support::PATIENCE;

/// Settings whose deadlines no test reaches.
fn patient() -> Settings {
    Settings::default()
        .connect_deadline(PATIENCE)
        .read_deadline(PATIENCE)
        .write_deadline(PATIENCE)
}

/// A larder on this address.
fn serve_at(address: SocketAddr) -> Server {
    let builder = Server::builder().resp(None);
    let builder = builder.memcached(Some(Listen::Tcp(address.to_string())));
    builder.start().expect("the address is free")
}
