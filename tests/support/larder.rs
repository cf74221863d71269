//! larder itself, as a transcript asks for it: its service on a store of its own, and a clock that
//! stands still.

use std::sync::Arc;

use larder::server::{self, Connections, DatagramService, Listen, Model, Running, Service};
use larder::service::Secret;
use larder::service::echo::Echo;
use larder::service::memcached::{self, AuthFile, Memcached};
use larder::service::resp::{self, Resp};
use larder::store::{Clock, Config, Store};
use larder::tools::transcript::{Address, Protocol, Transcript};
use tempfile::TempDir;

/// The time at which every run in this process begins, in Unix milliseconds: a moment in November 2026.
const BEGINNING: u64 = 1_795_000_000_000;

/// The settings that a transcript's header asks for.
pub(crate) struct Settings {
    pub(crate) nested: bool,
    pub(crate) store: Config,
    pub(crate) password: Option<String>,
    /// A user of memcached's protocol, as a line of its file.
    pub(crate) user: Option<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            nested: true,
            store: Config::default(),
            password: None,
            user: None,
        }
    }
}

impl Settings {
    pub(crate) fn of(transcript: &Transcript) -> Result<Settings, String> {
        let mut settings = Settings::default();
        for (name, value) in &transcript.options {
            let wrong = || format!("{}: options: {name}={value} is nothing", transcript.file);
            match (name.as_str(), value.as_str()) {
                ("nested", "on") => settings.nested = true,
                ("nested", "off") => settings.nested = false,
                ("memory", size) => settings.store.memory = bytes(size).ok_or_else(wrong)?,
                ("max-item-size", size) => {
                    let size = bytes(size).and_then(|size| usize::try_from(size).ok());
                    settings.store.max_item_size = size.ok_or_else(wrong)?;
                }
                ("password", password) => settings.password = Some(password.to_owned()),
                ("user", line) => settings.user = Some(line.to_owned()),
                _ => return Err(wrong()),
            }
        }
        Ok(settings)
    }
}

/// `512`, `1k`, `8m`, as memcached's own options have it.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['k', 'm']);
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// A service, with its store and clock.
pub(crate) struct Larder {
    pub(crate) service: Arc<dyn Service>,
    pub(crate) clock: Clock,
    /// The same service, for datagrams.
    datagrams: Option<Arc<dyn DatagramService>>,
    connections: Arc<Connections>,
}

/// The service of the transcript's protocol, with the settings that it asks for.
pub(crate) fn larder(transcript: &Transcript) -> Result<Larder, String> {
    let settings = Settings::of(transcript)?;
    make(transcript.protocol, settings, Clock::manual(BEGINNING))
}

fn make(protocol: Protocol, settings: Settings, clock: Clock) -> Result<Larder, String> {
    let Settings {
        nested,
        store,
        password,
        user,
    } = settings;
    let store = Arc::new(Store::new(store, clock.clone()));
    let connections = Connections::new();
    let mut datagrams: Option<Arc<dyn DatagramService>> = None;
    let service: Arc<dyn Service> = match protocol {
        Protocol::Echo => Arc::new(Echo),
        Protocol::Resp => {
            let settings = resp::Settings {
                password: password.map(Secret::from),
                ..Default::default()
            };
            Arc::new(Resp::new(store, connections.clone(), settings))
        }
        Protocol::Memcached => {
            let settings = memcached::Settings {
                nested,
                ..Default::default()
            };
            let service = Memcached::new(store, connections.clone(), settings);
            if let Some(user) = user {
                let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
                std::fs::write(file.path(), user).map_err(|error| error.to_string())?;
                service.require_users_of(AuthFile::load(file.path())?);
            }
            let service = Arc::new(service);
            datagrams = Some(service.clone());
            service
        }
        other => return Err(format!("larder has no service for {other}")),
    };
    Ok(Larder {
        service,
        clock,
        datagrams,
        connections,
    })
}

/// larder's server on a Unix socket in a directory of its own, or on UDP. It ends when this is dropped.
pub(crate) struct Served {
    running: Running,
    clock: Clock,
    /// Of the socket.
    _directory: Option<TempDir>,
}

/// Starts the server that a transcript asks for.
pub(crate) fn serve(transcript: &Transcript, model: Model) -> Result<Served, String> {
    let larder = larder(transcript)?;
    if transcript.over_udp {
        return with_udp(larder, model);
    }
    // Under threads each connection has one to itself.
    start(larder, model, transcript.connections.len().max(2))
}

/// memcached's protocols over UDP alone, with the default settings and the time of this machine.
pub(crate) fn plain_udp() -> Served {
    let larder = make(Protocol::Memcached, Settings::default(), Clock::system());
    with_udp(larder.expect("a service"), Model::default()).expect("it starts")
}

/// Starts a server with the default settings and the time of this machine, its service changed by
/// `change`.
pub(crate) fn plain(
    protocol: Protocol,
    change: impl FnOnce(Arc<dyn Service>) -> Arc<dyn Service>,
) -> Served {
    let larder = make(protocol, Settings::default(), Clock::system()).expect("a service");
    let larder = Larder {
        service: change(larder.service),
        ..larder
    };
    start(larder, Model::default(), 2).expect("it starts")
}

fn start(larder: Larder, model: Model, workers: usize) -> Result<Served, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let socket = Listen::Unix(directory.path().join("socket"));
    let settings = server::Settings {
        model,
        workers: Some(workers),
        ..Default::default()
    };
    let running = server::Server::new(larder.connections)
        .settings(settings)
        .listen(socket, larder.service)
        .start()
        .map_err(|error| error.to_string())?;
    Ok(Served {
        running,
        clock: larder.clock,
        _directory: Some(directory),
    })
}

fn with_udp(larder: Larder, model: Model) -> Result<Served, String> {
    let service = larder.datagrams.ok_or("only memcached has datagrams")?;
    let settings = server::Settings {
        model,
        ..Default::default()
    };
    let running = server::Server::new(larder.connections)
        .settings(settings)
        .answer_datagrams("127.0.0.1:0".into(), service)
        .start()
        .map_err(|error| error.to_string())?;
    Ok(Served {
        running,
        clock: larder.clock,
        _directory: None,
    })
}

impl Served {
    pub(crate) fn address(&self) -> Address {
        let address = &self.running.addresses()[0];
        match address.unix() {
            Some(path) => Address::Unix(path.to_owned()),
            None => Address::Tcp(address.to_string()),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }
}
