//! Asks the servers: a thread for each, so that a slow server delays no other one.
//!
//! ```text
//!   WatchedServer ─ its thread: every interval ─▶ stats or INFO, then a small request that is timed ─▶ Sampled
//!        │
//!        └ protocol unknown: `version` in memcached's protocol. An answer in RESP is a Redis, one in HTTP larder's admin
//!          listener, which is asked for `/metrics`.
//! ```
//!
//! The client bounds each reply in time and size. A server that was down is asked for its protocol again, because another
//! program may have its address then.
//!
//! Cost: a memcached gets 2 requests in an interval, a proxy one more; Redis 3, which it counts among its commands. An admin
//! listener gets one, in a connection of its own.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::admin;
use super::http;
use super::memcached;
use super::reading::Reading;
use super::redis;
use super::text::printable;
use super::view::Sampled;
use crate::client::{Client, Error, ErrorKind};

/// Outcomes that wait to be shown. A thread waits when there are more.
const QUEUE: usize = 64;

/// Characters of a reason, which may have a server's own text.
const LONGEST_REASON: usize = 200;

/// The longest time until the end of a thread is noticed.
const TICK: Duration = Duration::from_millis(100);

/// A server, and the clients that can ask it.
#[derive(Debug)]
pub(crate) struct WatchedServer {
    /// In memcached's protocol; `None` if the server is said to speak RESP.
    pub(crate) memcached: Option<Client>,
    /// The same with a login, for a memcached that requires one. Others would store the login as a value.
    pub(crate) memcached_with_login: Option<Client>,
    pub(crate) resp: Client,
    /// The time that an admin listener may take for a connection, and for its answer.
    pub(crate) limit: Duration,
}

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Memcached { login: bool, proxy: bool },
    Resp { proxy: bool },
}

/// What a server speaks: a protocol of clients, or HTTP as larder's admin listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Clients(Dialect),
    Admin,
}

/// An outcome, the number of its server, and the time at which it came.
pub(super) type Outcome = (usize, Sampled, Instant);

/// The threads, and what they send. They end when the receiver is dropped.
#[derive(Debug)]
pub(super) struct Sampler {
    pub(super) outcomes: Receiver<Outcome>,
    threads: Vec<JoinHandle<()>>,
}

impl Sampler {
    pub(super) fn start(servers: Vec<WatchedServer>, interval: Duration) -> Sampler {
        let (sender, outcomes) = bounded(QUEUE);
        let servers = servers.into_iter().enumerate();
        let threads = servers.map(|(number, server)| {
            let sender = sender.clone();
            thread::spawn(move || watch(number, &server, interval, &sender))
        });
        Sampler {
            threads: threads.collect(),
            outcomes,
        }
    }

    /// Fails if a thread has ended, which only a panic can cause: its server would have no outcome any more.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.threads.iter().any(JoinHandle::is_finished) {
            true => Err("a thread has ended by a panic".into()),
            false => Ok(()),
        }
    }

    /// Waits for the next outcome.
    pub(super) fn next(&self) -> Result<Outcome, String> {
        loop {
            self.check()?;
            if let Ok(outcome) = self.outcomes.recv_timeout(TICK) {
                return Ok(outcome);
            }
        }
    }
}

fn watch(number: usize, server: &WatchedServer, interval: Duration, outcomes: &Sender<Outcome>) {
    let mut spoken = None;
    loop {
        let begun = Instant::now();
        let sampled = server.sample(&mut spoken);
        if outcomes.send((number, sampled, Instant::now())).is_err() {
            return;
        }
        thread::sleep(interval.saturating_sub(begun.elapsed()));
    }
}

impl WatchedServer {
    pub(crate) fn address(&self) -> &str {
        self.resp.address()
    }

    fn sample(&self, spoken: &mut Option<Spoken>) -> Sampled {
        let known = match *spoken {
            Some(Spoken::Admin) => {
                return self.read_admin().unwrap_or_else(|reason| {
                    *spoken = None;
                    Sampled::Down(reason)
                });
            }
            Some(Spoken::Clients(dialect)) => Ok(dialect),
            None => self.dialect(),
        };
        let read = known.and_then(|dialect| {
            *spoken = Some(Spoken::Clients(dialect));
            self.read(dialect)
        });
        let error = match read {
            Ok(reading) => return Sampled::Up(Box::new(reading)),
            Err(error) => error,
        };
        // Neither memcached's protocol nor RESP. With `--resp` the user has named the protocol.
        if error.kind() == ErrorKind::Protocol
            && self.memcached.is_some()
            && let Ok(sampled) = self.read_admin()
        {
            *spoken = Some(Spoken::Admin);
            return sampled;
        }
        *spoken = None;
        let text = error.to_string();
        let reason = text.strip_prefix(error.server()).unwrap_or(&text).trim();
        Sampled::Down(printable(reason, LONGEST_REASON))
    }

    /// Reads `/metrics`.
    ///
    /// # Errors
    /// The reason, as that of [`Sampled::Down`].
    fn read_admin(&self) -> Result<Sampled, String> {
        let text = http::metrics(self.address(), self.limit)
            .map_err(|reason| printable(&reason, LONGEST_REASON))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let reading = admin::reading(&text, now.unwrap_or_default().as_secs_f64());
        let reading = reading.ok_or("answers HTTP, but not as larder's admin listener")?;
        Ok(Sampled::Up(Box::new(reading)))
    }

    fn read(&self, dialect: Dialect) -> Result<Reading, Error> {
        match dialect {
            Dialect::Memcached { login, proxy } => {
                let client = self.memcached_client(login);
                let of_proxy = match proxy {
                    true => client.stats("proxy")?,
                    false => Vec::new(),
                };
                let stats = match client.stats("") {
                    // A proxy has figures of its own while its servers have none.
                    Err(error) if proxy && error.kind() == ErrorKind::Refused => Vec::new(),
                    stats => stats?,
                };
                timed(client, memcached::reading(&stats, &of_proxy))
            }
            Dialect::Resp { proxy } => {
                let of_proxy = match proxy {
                    true => self.resp.stats("proxy")?,
                    false => Vec::new(),
                };
                let info = match self.resp.stats("") {
                    Err(error) if proxy && error.kind() == ErrorKind::Refused => Vec::new(),
                    info => info?,
                };
                let commands = if_allowed(self.resp.stats("commandstats"))?;
                timed(&self.resp, redis::reading(&info, &commands, &of_proxy))
            }
        }
    }

    /// Finds the protocol, and whether the server is a proxy.
    fn dialect(&self) -> Result<Dialect, Error> {
        let Some(plain) = &self.memcached else {
            return self.resp_dialect();
        };
        let version = plain.version().map(drop);
        if let Err(error) = &version
            && error.kind() == ErrorKind::Protocol
        {
            return self.resp_dialect();
        }
        // A proxy forwards `version`, so its answer may be the error of one of its servers.
        let is_refused = |error: &Error| error.kind() == ErrorKind::Refused;
        let refused = version.as_ref().is_err_and(is_refused);
        if (version.is_ok() || refused) && is_proxy(plain)? {
            let (login, proxy) = (false, true);
            return Ok(Dialect::Memcached { login, proxy });
        }
        // Otherwise it may require a login.
        match (version, &self.memcached_with_login) {
            (Err(_), Some(client)) if refused => Ok(Dialect::Memcached {
                login: true,
                proxy: is_proxy(client)?,
            }),
            (version, _) => version.map(|()| Dialect::Memcached {
                login: false,
                proxy: false,
            }),
        }
    }

    fn resp_dialect(&self) -> Result<Dialect, Error> {
        let of_proxy = if_allowed(self.resp.stats("proxy"))?;
        let is_line = |(name, _): &(String, String)| name.starts_with("upstream");
        Ok(Dialect::Resp {
            proxy: of_proxy.iter().any(is_line),
        })
    }

    fn memcached_client(&self, login: bool) -> &Client {
        let with_login = self.memcached_with_login.as_ref().filter(|_| login);
        let client = with_login.or(self.memcached.as_ref());
        client.unwrap_or(&self.resp)
    }
}

/// Whether a server of memcached's protocol is a `larder proxy`.
fn is_proxy(client: &Client) -> Result<bool, Error> {
    let figures = if_allowed(client.stats("proxy"))?;
    Ok(figures.iter().any(|(name, _)| name.ends_with(":state")))
}

/// The reading with the time of a small request. A server that refuses it has answered as well.
fn timed(client: &Client, mut reading: Reading) -> Result<Reading, Error> {
    let begun = Instant::now();
    match client.ping() {
        Err(error) if error.kind() != ErrorKind::Refused => return Err(error),
        _ => reading.latency = Some(begun.elapsed()),
    }
    Ok(reading)
}

/// Figures that a server may refuse to give.
fn if_allowed(
    figures: Result<Vec<(String, String)>, Error>,
) -> Result<Vec<(String, String)>, Error> {
    match figures {
        Err(error) if error.kind() == ErrorKind::Refused => Ok(Vec::new()),
        figures => figures,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::client::Settings;

    /// It was shown as what it had been, when another program had got its address while it was down.
    #[test]
    fn a_server_that_is_down_is_asked_for_its_protocol_when_it_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        thread::spawn(move || listener.incoming().for_each(drop));
        let settings = || Settings::default().failures_until_ejected(u32::MAX);
        let client = || Client::with_settings(&address, settings());
        let server = WatchedServer {
            memcached: Some(client()),
            memcached_with_login: None,
            resp: client(),
            limit: Duration::from_secs(60),
        };
        let proxy = |proxy| {
            let login = false;
            Spoken::Clients(Dialect::Memcached { login, proxy })
        };
        for before in [proxy(true), proxy(false), Spoken::Admin] {
            let mut spoken = Some(before);
            let sampled = server.sample(&mut spoken);
            assert!(matches!(sampled, Sampled::Down(_)), "{sampled:?}");
            assert_eq!(spoken, None);
        }
    }
}
