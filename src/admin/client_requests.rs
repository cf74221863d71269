//! The requests of a proxy's clients, under the names that `larder serve` has for those of its own.

use crate::proxy::{Monitor, Protocol};

use super::exposition::{Kind, Metrics};
use super::upstreams::{BOUNDS, histogram};

/// The protocols of requests on a listener.
fn spoken(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Memcached => &["text", "meta", "binary"],
        Protocol::Resp => &["resp"],
    }
}

/// Writes the requests of the clients of proxies, of different protocols.
pub(super) fn write(metrics: &mut Metrics, proxies: &[&Monitor]) {
    let help = "Requests of clients by protocol.";
    let mut family = metrics.family("larder_requests_total", Kind::Counter, help);
    for proxy in proxies {
        for protocol in spoken(proxy.protocol()) {
            let commands = proxy.requests().commands();
            let requests = commands.filter(|(of, _, _)| of == protocol);
            let requests: u64 = requests.map(|(_, _, requests)| requests).sum();
            family.sample(&[("protocol", protocol)], requests);
        }
    }
    let help = "Requests of clients by protocol and command; a command appears with its first request. Names that are no \
                command of Redis 7 are `other`.";
    let mut family = metrics.family("larder_commands_total", Kind::Counter, help);
    for proxy in proxies {
        for (protocol, command, requests) in proxy.requests().commands() {
            let labels = [("protocol", protocol), ("command", command)];
            family.sample(&labels, requests);
        }
    }
    let help = "Errors that clients got as answers. proxy: larder's own, because a request was malformed or not possible here, \
                or its server did not answer; server: passed on from a server, each part of a divided request by itself.";
    let mut family = metrics.family("larder_request_errors_total", Kind::Counter, help);
    for proxy in proxies {
        for (source, errors) in ["proxy", "server"]
            .into_iter()
            .zip(proxy.requests().errors())
        {
            let labels = [("protocol", proxy.protocol().name()), ("source", source)];
            family.sample(&labels, errors);
        }
    }
    let help = "Time from the arrival of a client's request to its whole answer, the servers' time included, in seconds. Of \
                one in 16 requests of each client; those over a connection of the client's own, such as transactions and \
                blocking commands, and those that larder answers at once are left out.";
    let name = "larder_request_duration_seconds";
    let mut family = metrics.family(name, Kind::Histogram, help);
    for proxy in proxies {
        let counts = proxy.requests().latency.counts(&BOUNDS);
        let labels = [("protocol", proxy.protocol().name())];
        family.histogram(&labels, &histogram(&counts));
    }
}
