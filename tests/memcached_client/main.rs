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

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

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

/// Answers each line of a connection until the client ends it.
fn answer_lines(stream: TcpStream, mut answer: impl FnMut(&str) -> String) {
    let mut output = stream.try_clone().expect("a second handle");
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        if output.write_all(answer(&line).as_bytes()).is_err() {
            return;
        }
    }
}
