//! Stage 10: a pool of memcached servers, some of which fail.
//!
//! Run it with `cargo run --example 10_failing -- [PORT [SERVERS [SECONDS [error|next|miss]]]]`; port 0, the
//! default, takes a free one. SERVERS is the file that lists the pool, `host:port weight` in a line, by default
//! servers.txt. SECONDS is the longest silence of a server, by default one. The last word is the answer for the keys
//! of an ejected server: an error, the answer of the next server, or a miss.
//!
//! `ring.rs` finds a key's server, `servers.rs` reads the list, `session.rs` is a client's side, `upstream.rs` a server's,
//! `health.rs` decides whether a server is in use.

mod health;
mod ring;
mod servers;
mod session;
mod upstream;

use std::error::Error;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, process};

use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{Connections, Listen, Model, Server, Settings};

use larder::proxy::OnFailure;
use ring::Ring;
use session::{Forward, Pool};
use upstream::Upstream;

fn main() -> Result<(), Box<dyn Error>> {
    let file: String = argument(2, "servers.txt".to_owned());
    let list = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let servers = servers::parse(&list).map_err(|problem| format!("{file}: {problem}"))?;
    let ring = Ring::new(&servers);
    let port: u16 = argument(1, 0);
    // One second is the least and the default.
    let deadline = Duration::from_secs(argument(3, NonZeroU64::MIN).get());
    let upstreams = servers
        .into_iter()
        .map(|server| Upstream::new(server.address, deadline));
    let pool = Pool {
        upstreams: upstreams.collect(),
        ring,
        on_failure: argument(4, OnFailure::Error),
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

/// The argument at this index, or the default.
fn argument<T: std::str::FromStr>(index: usize, default: T) -> T {
    match env::args().nth(index).map(|text| text.parse()) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            eprintln!(
                "argument {index} does not fit: give [PORT [SERVERS [SECONDS [error|next|miss]]]]"
            );
            process::exit(2);
        }
    }
}
