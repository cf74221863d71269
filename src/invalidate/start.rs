//! Starting and ending: the recorder, and a listener for each protocol.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use crate::invalidate::collect::ChangeListener;
use crate::invalidate::recorder::{Recorder, RecorderMessage};
use crate::invalidate::report::ReportReader;
use crate::invalidate::settings::{
    Durability, ForgetMethod, INBOX, ReadPolicy, Settings, Target, TargetKind,
};
use crate::invalidate::spool::{DeliveryId, Spool, SpoolCondition};
use crate::invalidate::stats::InvalidationStats;
use crate::pool::{Placement, ServerList};
use crate::protocol::framing::reply::ReplyShape;
use crate::proxy::{self, Protocol, Proxy};
use crate::server::{self, Address, Handle, Listen};
use crate::upstream::{Answer, BlockingConnection, Deadlines, Greeting};

/// An invalidation server to be started.
pub struct Invalidate {
    settings: Settings,
    targets: Vec<Target>,
}

impl Invalidate {
    /// One that tells these targets.
    pub fn new(settings: Settings, targets: Vec<Target>) -> Invalidate {
        Invalidate { settings, targets }
    }

    /// Opens the spool, starts to deliver what it holds, and listens. The targets need not be there yet.
    ///
    /// # Errors
    /// A sentence for a person, when something is taken, missing or makes no sense.
    pub fn start(self, listeners: Vec<(Protocol, Listen)>) -> Result<(Running, Control), String> {
        let Invalidate { settings, targets } = self;
        check(&targets)?;
        let sync = settings.durability == Durability::Fsync;
        let (spool, found) = Spool::open(&settings.spool, sync)?;
        let lost = match found {
            SpoolCondition::Sound => false,
            SpoolCondition::Lost(what) => {
                log::error!(
                    "--spool {}: {what}; what targets had missed is not known, so all of them are flushed first",
                    settings.spool.display()
                );
                true
            }
        };
        let stats = Arc::new(InvalidationStats::default());
        let (inbox, messages) = bounded(INBOX);
        let wants_values = Arc::new(AtomicBool::new(wants_values(&targets)));
        let recorder = Recorder::new(
            settings.clone(),
            targets.clone(),
            (spool, lost),
            (inbox.clone(), messages),
            Arc::clone(&stats),
        )?;
        let recorder = thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || recorder.run())
            .map_err(|error| format!("no thread to record with: {error}"))?;
        let mut running = Running {
            doors: Vec::new(),
            recorder: Some(recorder),
            inbox: inbox.clone(),
            grace: settings.grace,
        };
        let mut proxies = Vec::new();
        for (protocol, listen) in listeners {
            let pool = readable(protocol, &targets);
            let reader = ReportReader {
                inbox: inbox.clone(),
                durability: settings.durability,
                reads: pool.map_or(ReadPolicy::Refuse, |_| settings.reads),
                wants_values: Arc::clone(&wants_values),
                stats: Arc::clone(&stats),
            };
            let forwards = reader.reads == ReadPolicy::Forward;
            let door = proxy::Settings {
                workers: settings.front_workers,
                max_connections: settings.max_connections,
                ..proxy::Settings::new(protocol)
            };
            let (servers, placement, password) = match pool.filter(|_| forwards) {
                Some(target) => (
                    target.servers.clone(),
                    target.placement,
                    target.password.clone(),
                ),
                None => (ServerList::none(), Placement::Ketama, None),
            };
            let door = Proxy::new(door, servers, placement)
                .password(password)
                .interceptor(Arc::new(ChangeListener::new(reader, protocol)));
            let (door, control) = door.start(listen).map_err(|error| error.to_string())?;
            running.doors.push((protocol, door));
            if forwards {
                proxies.push((protocol, control));
            }
        }
        let control = Control {
            inbox,
            proxies,
            wants_values,
        };
        Ok((running, control))
    }
}

fn check(targets: &[Target]) -> Result<(), String> {
    if targets.is_empty() {
        return Err("there is nothing to tell; name the servers with --servers servers.txt".into());
    }
    for (number, target) in targets.iter().enumerate() {
        target.check()?;
        if targets[..number]
            .iter()
            .any(|other| other.name == target.name)
        {
            return Err(format!("two targets are called {}", target.name));
        }
    }
    Ok(())
}

fn wants_values(targets: &[Target]) -> bool {
    targets
        .iter()
        .any(|target| target.forget == ForgetMethod::Update)
}

/// The target that reads of a protocol are sent to.
fn readable(protocol: Protocol, targets: &[Target]) -> Option<&Target> {
    let kind = match protocol {
        Protocol::Memcached => TargetKind::Memcached,
        Protocol::Resp => TargetKind::Redis,
    };
    targets.iter().find(|target| target.kind == kind)
}

/// A started invalidation server. Dropping it ends it, and keeps in the spool what is not delivered.
pub struct Running {
    doors: Vec<(Protocol, server::Running)>,
    recorder: Option<JoinHandle<()>>,
    inbox: Sender<RecorderMessage>,
    grace: Duration,
}

impl Running {
    /// What listens where.
    pub fn listeners(&self) -> impl Iterator<Item = (Protocol, &Address)> {
        self.doors.iter().flat_map(|(protocol, door)| {
            let addresses = door.addresses().iter();
            addresses.map(move |address| (*protocol, address))
        })
    }

    /// What ends the listeners from another thread; someone must be in [`Running::join`].
    pub fn handles(&self) -> Vec<Handle> {
        self.doors.iter().map(|(_, door)| door.handle()).collect()
    }

    /// Waits until the listeners have ended, then delivers what is under way, and keeps what can't be.
    pub fn join(mut self) {
        for (_, door) in self.doors.drain(..) {
            door.join();
        }
        self.end(self.grace);
    }

    fn end(&mut self, grace: Duration) {
        let Some(recorder) = self.recorder.take() else {
            return;
        };
        let stop = RecorderMessage::Stop(Instant::now() + grace);
        // It ends for no other reason, or has panicked, which joining tells.
        let _ = self.inbox.send(stop);
        if recorder.join().is_err() {
            log::error!("the recorder panicked; what was answered is in the spool");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.doors.clear();
        self.end(Duration::ZERO);
    }
}

/// Changes a running invalidation server.
pub struct Control {
    inbox: Sender<RecorderMessage>,
    proxies: Vec<(Protocol, proxy::Control)>,
    wants_values: Arc<AtomicBool>,
}

impl Control {
    /// Goes over to other targets. A server that stays goes on as it is; one that comes back is flushed first.
    ///
    /// # Errors
    /// A sentence for a person; then the old targets stay.
    pub fn replace_targets(&self, targets: Vec<Target>) -> Result<(), String> {
        check(&targets)?;
        self.wants_values.fetch_or(wants_values(&targets), Relaxed);
        let lists: Vec<_> = self
            .proxies
            .iter()
            .filter_map(|(protocol, proxy)| {
                Some((proxy, readable(*protocol, &targets)?.servers.clone()))
            })
            .collect();
        let (done, outcome) = bounded(1);
        let ended = "the recorder has ended";
        self.inbox
            .send(RecorderMessage::Replace(targets, done))
            .map_err(|_| ended)?;
        outcome.recv().map_err(|_| ended)??;
        for (proxy, servers) in lists {
            proxy.replace_servers(&servers);
        }
        Ok(())
    }
}

/// How targets stand, in lines for a person: asked of the server that listens at `address`, or read from its spool when
/// none runs.
///
/// # Errors
/// A sentence for a person, when neither is possible.
pub fn inspect(address: Option<&str>, spool: &Path) -> Result<String, String> {
    if let Some(text) = address.and_then(ask) {
        return Ok(text);
    }
    if !spool.join("lock").exists() {
        return Err(format!(
            "nothing answers `stats invalidate` at {}, and there is no spool in {}; say --listen ADDR or --spool DIR",
            address.unwrap_or("a TCP address"),
            spool.display()
        ));
    }
    let (spool, found) = Spool::open(spool, false).map_err(|problem| {
        format!(
            "nothing answers `stats invalidate` at {}, and the spool can't be read:\n{problem}\n\
             To ask the larder invalidate that runs, say --listen ADDR, where it speaks memcached; over RESP, ask INFO.",
            address.unwrap_or("a TCP address"),
        )
    })?;
    let mut out = String::from("not running; this is what the spool holds\n");
    if let SpoolCondition::Lost(what) = found {
        out.push_str(&format!("damaged: {what}; all targets will be flushed\n"));
        spool
            .write(|group| group.set_number("strict", 1))
            .map_err(|error| error.to_string())?;
    }
    let read = spool.write(|group| {
        for (name, row) in group.rows()? {
            let mut pending = 0;
            for delivery in 0..row.deliveries {
                let id = DeliveryId {
                    upstream: row.id,
                    delivery,
                };
                pending += group.len(id)?;
            }
            let state = match (row.left, row.flush) {
                (true, _) => "no longer a target",
                (false, true) => "to be flushed",
                (false, false) => "known",
            };
            let now = crate::invalidate::recorder::now();
            let oldest = match row.since {
                0 => 0,
                since => now.saturating_sub(since) / 1_000_000,
            };
            out.push_str(&format!(
                "{name}\n  state           {state}\n  pending         {pending}\n  oldest_seconds  {oldest}\n"
            ));
        }
        Ok(())
    });
    spool.close();
    read.map_err(|error| error.to_string())?;
    Ok(out)
}

/// Asks a running server.
fn ask(address: &str) -> Option<String> {
    const PATIENCE: Duration = Duration::from_secs(2);
    /// The answer is a few lines for each upstream; what is longer is none.
    const MOST: usize = 16 << 20;
    let deadlines = Deadlines {
        connect: PATIENCE,
        read: PATIENCE,
    };
    let greeting = Greeting::default();
    let mut server = BlockingConnection::connect(address, &greeting, deadlines, MOST).ok()?;
    let answer = server
        .ask(b"stats invalidate\r\n", ReplyShape::Stats)
        .ok()?;
    let Answer::Value(text) = answer else {
        return None;
    };
    let text = String::from_utf8(text).ok()?;
    let lines = text.strip_suffix("END\r\n")?;
    let mut out = String::new();
    let mut last = "";
    for line in lines.lines() {
        let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        let (of, name) = name.rsplit_once(':').unwrap_or(("larder invalidate", name));
        if of != last {
            out.push_str(&of.replacen('/', " ", 1));
            out.push('\n');
            last = of;
        }
        out.push_str(&format!("  {name:<15} {value}\n"));
    }
    Some(out)
}
