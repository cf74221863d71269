//! Kills `larder invalidate` again and again, with signal 9, and looks for acknowledged changes that were not delivered.
//!
//! ```text
//!   clients ──set──▶ larder invalidate ──delete──▶ gate ──▶ memcached      gates shut and freeze at random,
//!      │              killed at random              gate ──▶ memcached      so that servers seem down
//!      │              started again                 gate ──▶ memcached      or hung, and keep their items
//!      │                              └──unlink──▶ gate ──▶ redis
//!      └──────── store the old value past the gates ──────────▲
//! ```
//!
//! Every key holds an old value on its server before it is changed. A change that was acknowledged must in the end
//! have removed it, after any failure in between: the checks open all gates and wait until none of the keys owed is
//! found. A key that is still found after `--patience` without progress is lost.
//!
//! `cargo run --release --example kill9 -- --kills 200` (build larder first: `cargo build --release`).

mod clients;
mod gate;
#[path = "../../tests/support/ports.rs"]
mod ports;
mod random;
mod servers;

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;

use clients::Load;
use random::Random;
use servers::Servers;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Kills `larder invalidate` at random moments and counts the acknowledged invalidations that it lost.
#[derive(Parser)]
struct Options {
    /// Number of kills
    #[arg(long, default_value_t = 20)]
    kills: u64,

    /// Clients that change keys at once
    #[arg(long, default_value_t = 50)]
    clients: u64,

    /// Servers in the pool of memcached
    #[arg(long, default_value_t = 3)]
    servers: usize,

    /// The durability of an acknowledgement: none, os or fsync. With none, losses are expected
    #[arg(long, default_value = "os")]
    durability: String,

    /// Seconds that a check waits for the next key to be deleted before the rest counts as lost
    #[arg(long, default_value_t = 30)]
    patience: u64,

    /// Begins the random numbers, to see a run again as far as threads allow [default: the time]
    #[arg(long)]
    seed: Option<u64>,

    /// The program that is killed [default: the one built beside this example]
    #[arg(long)]
    larder: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("kill9: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Returns how many acknowledged invalidations were lost.
fn run(options: Options) -> Result<usize> {
    let seed = options.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |time| time.as_nanos() as u64)
    });
    println!(
        "{} kills, {} clients, durability {}, seed {seed}",
        options.kills, options.clients, options.durability
    );
    let mut random = Random::new(seed);
    let larder = match options.larder {
        Some(larder) => larder,
        None => built_beside_this()?,
    };
    let directory = tempfile::tempdir()?;
    let servers = Servers::start(options.servers, &larder, directory.path())?;
    let mut owed = BTreeSet::new();
    let (mut acknowledged, mut lost) = (0, 0);
    for life in 1..=options.kills {
        let (mut child, address) = start(&larder, directory.path(), &options.durability)?;
        let load = Load {
            life,
            clients: options.clients,
            address,
            servers: &servers,
            acknowledged: AtomicU64::new(0),
        };
        let span = Duration::from_millis(random.below(400));
        let ended = AtomicBool::new(false);
        let changed = thread::scope(|scope| {
            let mut trouble = Random::new(random.next());
            let (ended, servers) = (&ended, &servers);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    servers.trouble(&mut trouble);
                    thread::sleep(Duration::from_millis(5 + trouble.below(100)));
                }
            });
            let running = scope.spawn(|| load.run(random.next()));
            let deadline = Instant::now() + Duration::from_secs(60);
            while load.acknowledged.load(Ordering::Relaxed) == 0 && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(span);
            let killed = child.kill().and_then(|()| child.wait());
            let changed = running.join().map_err(|_| "a client panicked");
            ended.store(true, Ordering::Relaxed);
            killed?;
            changed?
        })?;
        let in_this_life = load.acknowledged.into_inner();
        acknowledged += in_this_life;
        owed.extend(changed);
        println!(
            "kill {life}: {} ms after the first acknowledgement, {in_this_life} acknowledged, {} owed in all",
            span.as_millis(),
            owed.len()
        );
        // Not after every kill: sometimes pending changes outlive several.
        if random.below(3) == 0 || life == options.kills {
            let (mut child, _) = start(&larder, directory.path(), &options.durability)?;
            servers.open();
            lost += check(&servers, &mut owed, Duration::from_secs(options.patience))?;
            child.kill()?;
            child.wait()?;
        }
    }
    println!(
        "{} kills, {acknowledged} acknowledged invalidations, {lost} lost",
        options.kills
    );
    Ok(lost)
}

/// Waits until none of the keys owed is found on its server. Returns how many are left when nothing changes any more.
fn check(servers: &Servers, owed: &mut BTreeSet<String>, patience: Duration) -> Result<usize> {
    let keys = owed.len();
    let mut progress = Instant::now();
    loop {
        let left = servers.found(owed)?;
        if left.len() < owed.len() {
            progress = Instant::now();
        }
        *owed = left;
        if owed.is_empty() || progress.elapsed() > patience {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let lost = owed.len();
    println!("checked {keys} keys: {lost} lost");
    for key in owed.iter().take(5) {
        println!("lost: {key}");
    }
    owed.clear();
    Ok(lost)
}

/// `larder invalidate`, ready, and the address that it listens on.
fn start(larder: &Path, directory: &Path, durability: &str) -> Result<(Child, String)> {
    let mut child = Command::new(larder)
        .args(["invalidate", "--listen", "127.0.0.1:0", "-qq"])
        .args(["--durability", durability])
        .current_dir(directory)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", larder.display()))?;
    let out = child.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    match line.trim().strip_prefix("listening on memcached ") {
        Some(address) => Ok((child, address.to_owned())),
        None => {
            child.kill()?;
            child.wait()?;
            Err(format!("larder did not start: it printed {line:?}").into())
        }
    }
}

/// Examples are built into a directory beside the program's.
fn built_beside_this() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let larder = here
        .parent()
        .and_then(Path::parent)
        .map(|directory| directory.join("larder"));
    let larder = larder.filter(|larder| larder.exists());
    larder.ok_or_else(|| "larder is not built: cargo build, with --release if this is".into())
}
