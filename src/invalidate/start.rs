//! Starting: the spool, the recorder, and a listener for each protocol.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::invalidate::collect::ChangeListener;
use crate::invalidate::delivery::DeliveryThread;
use crate::invalidate::message::{Now, RecorderMessage};
use crate::invalidate::recorder::{Recorder, RecorderThread};
use crate::invalidate::report::{self, ReportReader};
use crate::invalidate::running::{Control, Running};
use crate::invalidate::settings::{Durability, INBOX, ReadPolicy, Settings, Target};
use crate::invalidate::spool::{Spool, SpoolCondition};
use crate::invalidate::stats::InvalidationStats;
use crate::invalidate::target;
use crate::pool::{Placement, ServerList};
use crate::proxy::{self, Protocol, Proxy};
use crate::server::{self, Listen, ServerTls};

/// An invalidation server to be started.
pub struct Invalidate {
    settings: Settings,
    targets: Vec<Target>,
    tls: Option<Arc<ServerTls>>,
}

/// The context that all listeners share.
struct ListenerParts<'a> {
    settings: &'a Settings,
    targets: &'a [Target],
    tls: Option<Arc<ServerTls>>,
    inbox: Sender<RecorderMessage>,
    wants_values: Arc<AtomicBool>,
    stats: Arc<InvalidationStats>,
}

impl Invalidate {
    /// Invalidation of these targets.
    pub fn new(settings: Settings, targets: Vec<Target>) -> Invalidate {
        let tls = None;
        Invalidate {
            settings,
            targets,
            tls,
        }
    }

    /// TLS for the TCP connections of clients.
    pub fn tls(mut self, tls: Option<Arc<ServerTls>>) -> Invalidate {
        self.tls = tls;
        self
    }

    /// Opens the spool, starts to deliver its pending changes, and listens. The targets need not be up
    /// yet.
    ///
    /// # Errors
    /// A sentence for a person, if an address is taken, a directory can't be used, or the settings
    /// contradict each other.
    pub fn start(self, listeners: Vec<(Protocol, Listen)>) -> Result<(Running, Control), String> {
        let Invalidate {
            settings,
            targets,
            tls,
        } = self;
        target::check(&targets)?;
        let stats = Arc::new(InvalidationStats::default());
        let (inbox, messages) = bounded(INBOX);
        let channel = (inbox.clone(), messages);
        let recorder = start_recorder(&settings, targets.clone(), channel, &stats)?;
        let shared = ListenerParts {
            settings: &settings,
            targets: &targets,
            tls,
            inbox: inbox.clone(),
            wants_values: Arc::new(AtomicBool::new(target::wants_values(&targets))),
            stats,
        };
        // From here on an error ends the recorder.
        let mut running = Running::new(
            recorder,
            inbox.clone(),
            settings.grace,
            shared.stats.clone(),
        );
        let mut proxies = Vec::new();
        for (protocol, listen) in listeners {
            let (listener, control, forwards) = shared.start(protocol, listen)?;
            running.listeners.push((protocol, listener));
            running.proxies.push(control.monitor());
            proxies.extend(forwards.then_some((protocol, control)));
        }
        let control = Control {
            inbox,
            proxies,
            wants_values: shared.wants_values,
        };
        Ok((running, control))
    }
}

/// Opens the spool and starts the recorder's thread, which starts those of the deliveries.
fn start_recorder(
    settings: &Settings,
    targets: Vec<Target>,
    (inbox, messages): (Sender<RecorderMessage>, Receiver<RecorderMessage>),
    stats: &Arc<InvalidationStats>,
) -> Result<JoinHandle<()>, String> {
    let sync = settings.durability == Durability::Fsync;
    let (spool, found) = Spool::open(&settings.spool, sync)?;
    let lost = match found {
        SpoolCondition::Sound => false,
        SpoolCondition::Lost(what) => {
            log::error!(
                "--spool {}: {what}; the pending deletes are lost, so all targets are flushed first",
                settings.spool.display()
            );
            true
        }
    };
    let recorder = Recorder::new(
        settings.clone(),
        targets,
        (spool, lost),
        (inbox, Box::new(start_delivery)),
        Arc::clone(stats),
        Now::take(),
    )?;
    let thread = RecorderThread {
        recorder,
        inbox: messages,
    };
    thread::Builder::new()
        .name("recorder".to_owned())
        .spawn(move || thread.run())
        .map_err(|error| format!("can't start the recorder's thread: {error}"))
}

fn start_delivery(delivery: DeliveryThread) -> Result<(), String> {
    thread::Builder::new()
        .name("delivery".to_owned())
        .spawn(move || delivery.run())
        .map(drop)
        .map_err(|error| format!("can't start a delivery thread: {error}"))
}

impl ListenerParts<'_> {
    /// Starts a listener. Returns the control of its proxy, and whether reads are forwarded.
    fn start(
        &self,
        protocol: Protocol,
        listen: Listen,
    ) -> Result<(server::Running, proxy::Control, bool), String> {
        let settings = self.settings;
        let pool = target::readable(protocol, self.targets);
        let pool = pool.filter(|_| settings.reads == ReadPolicy::Forward);
        let reads = pool.map_or(ReadPolicy::Refuse, |_| ReadPolicy::Forward);
        let user = pool.and_then(|target| target.user.clone());
        let (servers, placement, password) = match pool {
            Some(target) => (
                target.servers.clone(),
                target.placement,
                target.password.clone(),
            ),
            None => (ServerList::none(), Placement::Ketama, None),
        };
        let interceptor = ChangeListener {
            reader: Arc::new(ReportReader {
                reads,
                read_error: match settings.reads {
                    ReadPolicy::Refuse => report::READS,
                    ReadPolicy::Forward => report::NO_SERVERS_TO_READ,
                },
                wants_values: Arc::clone(&self.wants_values),
                stats: Arc::clone(&self.stats),
            }),
            inbox: self.inbox.clone(),
            durability: settings.durability,
        };
        let of_proxy = proxy::Settings {
            workers: settings.front_workers,
            max_connections: settings.max_connections,
            ..proxy::Settings::new(protocol)
        };
        let (running, control) = Proxy::new(of_proxy, servers, placement)
            .password(password)
            .user(user)
            .tls(self.tls.clone())
            .upstream_tls(pool.and_then(|target| target.tls.clone()))
            .interceptor(Arc::new(interceptor))
            .start(listen)
            .map_err(|error| error.to_string())?;
        Ok((running, control, pool.is_some()))
    }
}
