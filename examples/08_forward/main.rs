//! Stage 8: many clients, one connection to Redis.
//!
//! Run it with `cargo run --example 08_forward -- [PORT [UPSTREAM]]`; port 0, the default, takes a free one. UPSTREAM is
//! the address of a server that speaks RESP, by default 127.0.0.1:6379.
//!
//! `session.rs` is a client's side: it gathers commands and waits for their replies. `upstream.rs` is the connection that
//! all clients share, and its queue. `frame.rs` finds the end of a reply.

mod frame;
mod session;
mod upstream;

use std::error::Error;
use std::sync::Arc;
use std::{env, process};

use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{Connections, Listen, Model, Server, Settings};

use session::Forward;
use upstream::Upstream;

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = argument(1, 0);
    let upstream = Upstream::new(argument(2, "127.0.0.1:6379".to_owned()));
    let settings = Settings {
        model: Model::Threads,
        ..Settings::default()
    };
    let server = Server::new(Connections::new())
        .settings(settings)
        .listen(
            Listen::Tcp(format!("127.0.0.1:{port}")),
            Arc::new(Forward::new(Arc::new(upstream))),
        )
        .start()?;

    let handle = server.handle();
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(GRACE),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    println!("listening on resp {}", server.addresses()[0]);
    server.join();
    Ok(())
}

/// The argument at this index, or the default.
fn argument<T: std::str::FromStr>(index: usize, default: T) -> T {
    match env::args().nth(index).map(|text| text.parse()) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            eprintln!("argument {index} does not fit: give [PORT [UPSTREAM]]");
            process::exit(2);
        }
    }
}
