//! The application: a shop's web server in front of an SQLite database, with larder between them.
//!
//! Run it with `cargo run --example 19_shop -- [PORT]`, and open the address behind `listening on http`. Port 0, the default,
//! takes a free one; the cache is on the port after it, and `larder invalidate` on the one after that. `--cache off` starts
//! without reads from the cache, which the page can switch on. `--data DIR` keeps the database; without it the shop has a
//! temporary one.
//!
//! ```text
//!   browser ──▶ http.rs ── queue ──▶ clerk threads: pages.rs ──▶ shop.rs ─┬─ a read ────▶ larder serve ── a miss ──▶ database
//!                                                                         │                   ▲ delete
//!                                                                         └─ a change ──▶ database, with the outbox
//!                                                                  larder invalidate ◀── report.rs ◀──┘
//! ```
//!
//! One command starts three processes: this program is also `larder serve` and `larder invalidate`, and starts itself in these
//! roles. `parts.rs` starts them again if they end, and ends them with the shop.

mod database;
mod http;
mod live;
mod pages;
mod parts;
mod report;
mod request;
mod shop;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::{env, fs};

use clap::Parser;
use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};

use database::Database;
use parts::{Part, Parts};
use report::Reporter;
use shop::{Shop, Switch};

/// A shop with a cache.
#[derive(Parser)]
struct Options {
    /// The port of the web server; 0 takes a free one
    #[arg(default_value_t = 0)]
    port: u16,

    /// The address of the web server, in place of the port of 127.0.0.1
    #[arg(long, value_name = "ADDR", conflicts_with = "port")]
    listen: Option<String>,

    /// Whether reads ask the cache at first
    #[arg(long, value_enum, default_value = "on")]
    cache: Switch,

    /// The directory of the database, which is made if it isn't there [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    // ANCHOR: roles
    if let Some("serve" | "invalidate") = env::args().nth(1).as_deref() {
        parts::end_with_the_shop();
        return larder::run();
    }
    // ANCHOR_END: roles
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("19_shop: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let listen = options
        .listen
        .clone()
        .unwrap_or_else(|| format!("127.0.0.1:{}", options.port));
    let temporary = tempfile::tempdir()?;
    let data = options.data.as_deref().unwrap_or(temporary.path());
    fs::create_dir_all(data)?;
    let data = fs::canonicalize(data)?;
    let database = Database::open(&data.join("shop.db"))?;

    // With --listen the parts take free ports.
    let port = if options.listen.is_none() {
        options.port
    } else {
        0
    };
    let cache = Part::start(&data, cache_arguments(&data, next_to(port, 1)))?;
    fs::write(data.join("servers.txt"), format!("{} 1\n", cache.address()))?;
    let invalidate = Part::start(&data, invalidate_arguments(next_to(port, 2)))?;
    let (cache_address, invalidate_address) =
        (cache.address().to_owned(), invalidate.address().to_owned());
    let parts = Parts::watch(vec![cache, invalidate])?;

    let database = Arc::new(database);
    let reporter = Reporter::start(Arc::clone(&database), &invalidate_address)?;
    let shop = Shop::new(database, &cache_address, reporter, options.cache);
    let clerks = http::Clerks::start(Arc::new(shop))?;
    let server = clerks.serve(&listen)?;
    let handle = server.handle();
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(GRACE),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    println!("listening on http {}", server.addresses()[0]);
    println!("listening on memcached {cache_address}");
    println!("listening on invalidate {invalidate_address}");

    // ANCHOR: end
    server.join();
    clerks.end();
    parts.end();
    // ANCHOR_END: end
    Ok(())
}

/// The port so many after the web server's; 0, a free one, after 0.
fn next_to(port: u16, distance: u16) -> u16 {
    match port {
        0 => 0,
        port => port.checked_add(distance).unwrap_or_default(),
    }
}

// ANCHOR: cache
/// `larder serve` with the database as its origin.
fn cache_arguments(data: &Path, port: u16) -> Vec<String> {
    let database = data.join("shop.db").display().to_string();
    let address = format!("127.0.0.1:{port}");
    [
        "serve",
        "--quiet",
        "--memcached",
        &address,
        "--resp",
        "off",
        "--origin-sqlite",
        &database,
        "--origin-query",
        database::PRODUCT,
        "--origin-timeout",
        "20s",
        "--fresh",
        "10m",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// `larder invalidate` for that cache.
fn invalidate_arguments(port: u16) -> Vec<String> {
    let address = format!("127.0.0.1:{port}");
    let words = [
        "invalidate",
        "--quiet",
        "--listen",
        &address,
        "--servers",
        "servers.txt",
    ];
    words.map(str::to_owned).to_vec()
}
// ANCHOR_END: cache
