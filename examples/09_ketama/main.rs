//! Stage 9: a pool of memcached servers that looks like one.
//!
//! Run it with `cargo run --example 09_ketama -- [PORT [SERVERS]]`; port 0, the default, takes a free one. SERVERS is the
//! file that lists the pool, `host:port weight` in a line: by default servers.txt.
//!
//! `cargo run --example 09_ketama -- place SERVERS` reads keys, one in a line, and prints the server of each: by the
//! remainder of a division, and by ketama.
//!
//! `ring.rs` finds the server of a key, `servers.rs` reads the list, `session.rs` is a client's side, `upstream.rs` a
//! server's.

mod ring;
mod servers;
mod session;
mod upstream;

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::{env, fs, io, process};

use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{Connections, Listen, Model, Server, Settings};

use ring::Ring;
use session::{Forward, Pool};
use upstream::Upstream;

fn main() -> Result<(), Box<dyn Error>> {
    let file: String = argument(2, "servers.txt".to_owned());
    let list = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let servers = servers::parse(&list).map_err(|problem| format!("{file}: {problem}"))?;
    let ring = Ring::new(&servers);
    if env::args().nth(1).as_deref() == Some("place") {
        return place(&servers, &ring);
    }
    let port: u16 = argument(1, 0);
    let upstreams = servers
        .into_iter()
        .map(|server| Upstream::new(server.address));
    let pool = Pool {
        upstreams: upstreams.collect(),
        ring,
    };
    let settings = Settings {
        model: Model::Threads,
        ..Settings::default()
    };
    let server = Server::new(Connections::new())
        .settings(settings)
        .listen(
            Listen::Tcp(format!("127.0.0.1:{port}")),
            Arc::new(Forward::new(Arc::new(pool))),
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

/// Prints the server of each key of the standard input.
fn place(servers: &[servers::Server], ring: &Ring) -> Result<(), Box<dyn Error>> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    for key in io::stdin().lock().lines() {
        let key = key?;
        let modulo = &servers[ring::modulo(key.as_bytes(), servers.len())].name;
        let ketama = &servers[ring.server(key.as_bytes())].name;
        writeln!(output, "{key}\t{modulo}\t{ketama}")?;
    }
    Ok(output.flush()?)
}

/// The argument at this index, or the default.
fn argument<T: std::str::FromStr>(index: usize, default: T) -> T {
    match env::args().nth(index).map(|text| text.parse()) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            eprintln!("argument {index} does not fit: give [PORT [SERVERS]] or place SERVERS");
            process::exit(2);
        }
    }
}
