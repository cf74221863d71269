//! The commands about the server and the connection.

use std::sync::atomic::Ordering;

use crate::protocol::memcached::text::{AdminCommand, Words, reply};

use super::context::TurnContext;
use super::dump::Dump;
use super::service_state::EndHandle;
use super::watch::{EventKinds, Watching};

/// The state of the connection after a command.
pub(super) enum AfterAdmin {
    Continue,
    /// The list is written in pieces, before the next command.
    Dump(Dump),
    Watch(Watching),
    Quit,
}

impl AfterAdmin {
    fn dump(dump: Option<Dump>) -> AfterAdmin {
        dump.map_or(AfterAdmin::Continue, AfterAdmin::Dump)
    }
}

/// The least memory that `cache_memlimit` sets, in MiB, as in memcached.
const LEAST_MEMORY: u32 = 8;

/// The most, in MiB. A larger number is meant as bytes.
const MOST_MEMORY: u32 = 1_000_000_000;

impl TurnContext<'_> {
    /// Runs a command, whose words are those of a line.
    pub(super) fn admin(&mut self, command: AdminCommand<'_>, line: Words<'_>) -> AfterAdmin {
        match command {
            AdminCommand::FlushAll { delay, noreply } => self.flush_all(delay, noreply),
            AdminCommand::Verbosity { level, noreply } => self.verbosity(level, noreply),
            AdminCommand::Stats { words } => return AfterAdmin::dump(self.stats(words)),
            AdminCommand::Watch { words } => {
                return self
                    .watch(words)
                    .map_or(AfterAdmin::Continue, AfterAdmin::Watch);
            }
            AdminCommand::LruCrawler { words } => return AfterAdmin::dump(self.lru_crawler(words)),
            AdminCommand::CacheMemlimit { mebibytes, noreply } => {
                self.cache_memlimit(mebibytes, noreply);
            }
            AdminCommand::RefreshCerts { noreply } => self.refresh_certs(noreply),
            AdminCommand::Version => self.output.reply(false, reply::VERSION),
            AdminCommand::MetaNoop => self.output.reply(false, reply::META_NOOP),
            AdminCommand::Shutdown => return self.shutdown(line),
            AdminCommand::Quit => return AfterAdmin::Quit,
        }
        AfterAdmin::Continue
    }

    /// `flush_all`: now, or when the time has come.
    fn flush_all(&mut self, delay: i32, noreply: bool) {
        if !self.shared.settings.flush_all {
            return self.output.reply(noreply, reply::FLUSH_DISABLED);
        }
        if delay != 0 && self.shared.peers.get().is_some() {
            return self.refuse_elsewhere("flush_all with a delay");
        }
        self.operations.flush(delay.into());
        self.output.reply(noreply, reply::OK);
    }

    fn verbosity(&mut self, level: u32, noreply: bool) {
        self.shared.verbosity.store(level, Ordering::Relaxed);
        self.output.reply(noreply, reply::OK);
    }

    /// Changes the memory that items may take. Items beyond a smaller limit are evicted before the answer.
    fn cache_memlimit(&mut self, mebibytes: Option<u32>, noreply: bool) {
        let answer = match mebibytes {
            None => reply::ERROR,
            Some(..LEAST_MEMORY) => reply::MEMLIMIT_TOO_SMALL,
            Some(mebibytes) if mebibytes > MOST_MEMORY => reply::MEMLIMIT_NOT_BYTES,
            Some(mebibytes) => {
                self.shared.store.set_memory(u64::from(mebibytes) << 20);
                reply::OK
            }
        };
        self.output.reply(noreply, answer);
    }

    /// `refresh_certs`: reads the certificates of the listeners again, for new connections. Without TLS it is unknown, as in a
    /// memcached without it.
    fn refresh_certs(&mut self, noreply: bool) {
        let is_datagram = self.connection.local().udp().is_some();
        let certificates = self.shared.certificates.get().filter(|_| !is_datagram);
        let answer = match certificates.map(|certificates| certificates.read_again()) {
            None => reply::ERROR,
            Some(Ok(())) => {
                log::info!("reloaded: the certificate of the listeners, as a client asked");
                reply::OK
            }
            Some(Err(problem)) => {
                log::error!(
                    "the certificate of the listeners is not reloaded, the old one stays: {problem}"
                );
                reply::CERTIFICATES_STAY
            }
        };
        self.output.reply(noreply, answer);
    }

    /// `shutdown`: ends the server, if that is allowed, and the connection without an answer. Requests in flight are answered,
    /// as with `graceful`. A datagram, whose sender may be forged, ends nothing.
    fn shutdown(&mut self, line: Words<'_>) -> AfterAdmin {
        let is_datagram = self.connection.local().udp().is_some();
        let Some(EndHandle(end)) = self.shared.shutdown.get().filter(|_| !is_datagram) else {
            self.output.push(reply::SHUTDOWN_DISABLED);
            return AfterAdmin::Continue;
        };
        if !line.eq([&b"shutdown"[..]]) && !line.eq([&b"shutdown"[..], b"graceful"]) {
            self.output.push(reply::BAD_SHUTDOWN_MODE);
            return AfterAdmin::Continue;
        }
        log::info!("ending: {} asks for it", self.connection.peer());
        end();
        AfterAdmin::Quit
    }

    /// `watch`: the connection's new state, or `None` after an error.
    fn watch(&mut self, words: Words<'_>) -> Option<Watching> {
        if !self.shared.settings.watch {
            self.output.push(reply::WATCH_DISABLED);
            return None;
        }
        if !self.output.is_empty() {
            self.output.push(reply::WATCH_IS_PIPELINED);
            return None;
        }
        // The reply to a datagram can't go on.
        let is_datagram = self.connection.local().udp().is_some();
        let Some(kinds) = EventKinds::named(words).filter(|_| !is_datagram) else {
            self.output.push(reply::ERROR);
            return None;
        };
        let watching = self.shared.log.add(kinds);
        self.output.push(match watching {
            Some(_) => reply::OK,
            None => reply::TOO_MANY_WATCHERS,
        });
        watching
    }
}
