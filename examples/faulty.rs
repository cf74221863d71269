//! A server that fails on request, for the chapters on proxies.
//!
//! Run it with `cargo run --example faulty -- memcached|resp PORT…`. Each port has its own cache; 0 takes a free
//! one. It is larder's own service, until a client asks for one of these keys:
//!
//! | key | effect |
//! |---|---|
//! | `fault:slow` | a miss, after half a second; requests that arrive in between are then answered together |
//! | `fault:silent` | no answer, and no further answers on this connection |
//! | `fault:half` | the first bytes of a value, and the connection is closed |
//! | `fault:garbage` | bytes that aren't a reply |
//! | `fault:close` | the connection is closed |
//! | `fault:lose` | a miss; the next request to this port is executed, and the connection closed instead of an answer |
//! | `fault:offline` | all connections to this port are closed from now on; the stored items stay |
//! | `fault:back` | a miss; ports that are offline answer again |

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use std::{env, process, thread};

use larder::server::limits::GRACE;
use larder::server::signals::{self, Signal};
use larder::server::{
    Connections, Listen, Model, Next, Peer, Refusal, Server, Service, Session, Settings, Turn,
};
use larder::service::memcached::{self, Memcached};
use larder::service::resp::{self, Resp};
use larder::store::{Clock, Config, Store};
use regex::bytes::Regex;

/// The delay of a slow answer.
const SLOW: Duration = Duration::from_millis(500);

/// Connections that are served at the same time. The chapters need a few, and every start of this server makes a thread
/// for each.
const WORKERS: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [protocol, ports @ ..] = &words[..] else {
        eprintln!("give memcached or resp, and a port or more");
        process::exit(2);
    };
    let connections = Connections::new();
    let settings = Settings {
        model: Model::Threads,
        workers: Some(WORKERS),
        ..Settings::default()
    };
    let mut server = Server::new(Arc::clone(&connections)).settings(settings);
    let online = Arc::new(AtomicU64::new(1));
    for port in ports {
        let store = Arc::new(Store::new(Config::default(), Clock::system()));
        let inner: Box<dyn Service> = match protocol.as_str() {
            "resp" => Box::new(Resp::new(
                store,
                Arc::clone(&connections),
                resp::Settings::default(),
            )),
            _ => Box::new(Memcached::new(
                store,
                Arc::clone(&connections),
                memcached::Settings {
                    nested: false,
                    ..memcached::Settings::default()
                },
            )),
        };
        let listen = Listen::Tcp(format!("127.0.0.1:{port}"));
        server = server.listen(listen, Arc::new(Faulty::new(inner, &online)?));
    }
    let server = server.start()?;
    let handle = server.handle();
    let _watch = signals::watch(move |signal| match signal {
        Signal::Stop => handle.begin_shutdown(GRACE),
        Signal::StopNow => process::exit(1),
        Signal::Reload => {}
    })?;
    for address in server.addresses() {
        println!("listening on {protocol} {address}");
    }
    server.join();
    Ok(())
}

/// A service that fails on request.
struct Faulty {
    inner: Box<dyn Service>,
    state: Arc<State>,
}

/// The state that all connections to one port share.
struct State {
    fault: Regex,
    /// The number of times that a client has brought ports of this program back online, plus one.
    online: Arc<AtomicU64>,
    /// That number when this port went offline. It is offline as long as the number is the same.
    offline: AtomicU64,
    /// The next answer is lost.
    lose: AtomicBool,
}

impl Faulty {
    fn new(inner: Box<dyn Service>, online: &Arc<AtomicU64>) -> Result<Faulty, regex::Error> {
        Ok(Faulty {
            inner,
            state: Arc::new(State {
                fault: Regex::new("fault:([a-z]+)\r\n")?,
                online: Arc::clone(online),
                offline: AtomicU64::new(0),
                lose: AtomicBool::new(false),
            }),
        })
    }
}

impl State {
    fn is_offline(&self) -> bool {
        self.offline.load(Relaxed) == self.online.load(Relaxed)
    }
}

impl Service for Faulty {
    fn protocol(&self) -> &'static str {
        self.inner.protocol()
    }

    fn open(&self, peer: Peer) -> Box<dyn Session> {
        Box::new(FaultySession {
            inner: self.inner.open(peer),
            half: match self.protocol() {
                "resp" => b"$100\r\nonly so much",
                _ => b"VALUE fault:half 0 100\r\nonly so much",
            },
            state: Arc::clone(&self.state),
            silent: false,
        })
    }

    fn refusal(&self, why: Refusal) -> Cow<'static, [u8]> {
        self.inner.refusal(why)
    }
}

struct FaultySession {
    inner: Box<dyn Session>,
    /// The beginning of a value of which only a part is sent.
    half: &'static [u8],
    state: Arc<State>,
    silent: bool,
}

impl Session for FaultySession {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        let all = |next| Turn {
            consumed: input.len(),
            next,
        };
        if self.state.is_offline() {
            return all(Next::Close);
        }
        if self.silent {
            return all(Next::Read);
        }
        let fault = self.state.fault.captures(input);
        let end = fault.as_ref().map_or(input.len(), |found| {
            found.get(0).map_or(input.len(), |whole| whole.end())
        });
        let before = output.len();
        let turn = self.inner.turn(&input[..end], output);
        if turn.consumed > 0 && self.state.lose.swap(false, Relaxed) {
            output.truncate(before);
            return all(Next::Close);
        }
        let Some(fault) = fault.filter(|_| turn.consumed == end) else {
            return turn;
        };
        // The answer to a miss, which the fault replaces: `$-1` or `END` and a line end.
        let miss = output.split_off(output.len().saturating_sub(5));
        match &fault[1] {
            b"silent" => self.silent = true,
            b"half" => output.extend_from_slice(self.half),
            b"garbage" => output.extend_from_slice(b"What did you say?\r\n"),
            b"close" => {}
            b"offline" => {
                let online = self.state.online.load(Relaxed);
                self.state.offline.store(online, Relaxed);
            }
            b"back" => {
                self.state.online.fetch_add(1, Relaxed);
                output.extend_from_slice(&miss);
            }
            b"slow" => {
                thread::sleep(SLOW);
                output.extend_from_slice(&miss);
            }
            b"lose" => {
                self.state.lose.store(true, Relaxed);
                output.extend_from_slice(&miss);
            }
            _ => output.extend_from_slice(&miss),
        }
        match &fault[1] {
            b"half" | b"close" | b"offline" => all(Next::Close),
            b"silent" => all(Next::Read),
            _ if end < input.len() => Turn {
                consumed: end,
                next: Next::Again,
            },
            _ => all(Next::Read),
        }
    }
}
