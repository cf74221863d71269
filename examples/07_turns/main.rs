//! Stage 7: more connections than threads.
//!
//! Run it with `cargo run --example 07_turns -- [PORT [CONNECTIONS [MODEL [WORKERS]]]]`. Echo is on PORT, memcached on
//! the next and RESP on the one after; port 0, the default, takes free ones. CONNECTIONS may be open at once (1024).
//! MODEL is `turns`, or `threads`, as in the stages before; WORKERS are the threads of either (2).

mod echo;

use std::error::Error;
use std::sync::Arc;
use std::{env, process};

use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{Connections, Listen, Model, Server, Service, Settings};
use larder::service::memcached::{self, Memcached};
use larder::service::resp::{self, Resp};
use larder::store::{Clock, Config, Store, Sweeper};

use echo::Echo;

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = argument(1, 0);
    let settings = Settings {
        model: match argument(3, "turns".to_owned()).as_str() {
            "threads" => Model::Threads,
            _ => Model::Turns,
        },
        workers: Some(argument(4, 2)),
        max_connections: argument(2, 1024),
        ..Settings::default()
    };

    let store = Arc::new(Store::new(Config::default(), Clock::system()));
    let _sweeper = Sweeper::start(Arc::clone(&store));
    let connections = Connections::new();
    let services: [Arc<dyn Service>; 3] = [
        Arc::new(Echo),
        Arc::new(Memcached::new(
            Arc::clone(&store),
            Arc::clone(&connections),
            memcached::Settings::default(),
        )),
        Arc::new(Resp::new(
            store,
            Arc::clone(&connections),
            resp::Settings::default(),
        )),
    ];

    let mut server = Server::new(connections).settings(settings);
    for (port, service) in ports(port).zip(&services) {
        let address = Listen::Tcp(format!("127.0.0.1:{port}"));
        server = server.listen(address, Arc::clone(service));
    }
    let server = server.start()?;

    let handle = server.handle();
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(GRACE),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    for (service, address) in services.iter().zip(server.addresses()) {
        println!("listening on {} {address}", service.protocol());
    }
    server.join();
    Ok(())
}

/// This port and the ones after it; for 0, free ones.
fn ports(first: u16) -> impl Iterator<Item = u16> {
    (0..).map(move |offset| if first == 0 { 0 } else { first + offset })
}

/// The argument at this index, or the default.
fn argument<T: std::str::FromStr>(index: usize, default: T) -> T {
    match env::args().nth(index).map(|text| text.parse()) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            eprintln!("argument {index} does not fit: give [PORT [CONNECTIONS [MODEL [WORKERS]]]]");
            process::exit(2);
        }
    }
}
