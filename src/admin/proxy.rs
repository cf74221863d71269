//! The figures of `larder proxy`: its clients and its upstreams.

use std::sync::Arc;

use crate::pool::Upstream;
use crate::proxy::Monitor;
use crate::server::Handle;

use super::client_requests;
use super::connections;
use super::exposition::Metrics;
use super::monitored::Monitored;
use super::upstreams;

/// A proxy.
pub(crate) struct MonitoredProxy {
    pub(crate) proxy: Monitor,
    pub(crate) handle: Handle,
}

impl Monitored for MonitoredProxy {
    fn mode(&self) -> &'static str {
        "proxy"
    }

    fn health(&self) -> Result<(), String> {
        if self.handle.is_ending() {
            return Err(connections::ENDING.into());
        }
        let upstreams = self.proxy.upstreams();
        if upstreams.iter().any(is_up) {
            return Ok(());
        }
        Err(match &upstreams[..] {
            [] => "there is no server to forward to".into(),
            [one] => format!("the server {} is ejected after errors", one.address),
            all => format!("all {} servers are ejected after errors", all.len()),
        })
    }

    fn write(&self, metrics: &mut Metrics) {
        let proxies = [("", &self.proxy)];
        connections::write(metrics, &[("", self.proxy.connections())]);
        client_requests::write(metrics, &[&self.proxy]);
        let [now, most] = self.proxy.dedicated();
        let help = "Connections to servers that are open for one client alone, for transactions, blocking commands and \
                    large requests.";
        metrics.gauge("larder_own_connections", help, now);
        let help = "The largest number of such connections at a time: --own-connections.";
        metrics.gauge("larder_own_connections_max", help, most);
        upstreams::write(metrics, &proxies);
    }
}

fn is_up(upstream: &Arc<Upstream>) -> bool {
    !upstream.health.is_ejected()
}
