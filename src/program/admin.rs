//! `--admin`: the listener with the pages about a program that runs.

use std::sync::Arc;

use crate::Server;
use crate::admin::{self, Monitored, MonitoredServer};
use crate::server::{Listen, Running, StartError};

use super::protected::Opening;
use super::values::Endpoint;

/// The listener's description for protected mode. It has no login.
pub(super) fn opening(listen: Option<&Listen>) -> Opening<'_> {
    Opening::without_login("--admin", listen)
}

/// The address of an option that is off by default.
pub(super) fn address(option: Option<&Endpoint>) -> Option<&Listen> {
    option.and_then(|endpoint| endpoint.0.as_ref())
}

/// Listens, if there is an address. The listener ends when the value is dropped.
pub(super) fn start(
    listen: Option<&Listen>,
    subject: Arc<dyn Monitored>,
) -> Result<Option<Running>, String> {
    let Some(listen) = listen else {
        return Ok(None);
    };
    let running = admin::start(listen.clone(), subject);
    running.map(Some).map_err(|error| match &error {
        StartError::Listen { .. } => format!("{error}; choose another with --admin ADDR"),
        _ => error.to_string(),
    })
}

/// The lines that say where it listens, without their beginning.
pub(super) fn announced(running: Option<&Running>) -> impl Iterator<Item = String> {
    let addresses = running.into_iter().flat_map(Running::addresses);
    addresses.map(|address| format!("admin {address}"))
}

/// A server, as the pages see it.
pub(super) fn subject(server: &Server) -> Arc<MonitoredServer> {
    let has = |names: &[&str]| server.listeners().any(|(name, _)| names.contains(&name));
    Arc::new(MonitoredServer {
        store: server.store.clone(),
        connections: server.running.connections().clone(),
        memcached: server.memcached.clone(),
        resp: server.resp.clone(),
        saver: server.saver().cloned(),
        handle: server.handle(),
        has_memcached: has(&["memcached", "unix", "udp"]),
        has_resp: has(&["resp"]),
    })
}
