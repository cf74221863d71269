//! `larder proxy --demo`: two servers in this process to forward to.

use crate::pool::{ListError, ServerList};
use crate::proxy::Protocol;

/// Two servers in this process.
pub(super) struct DemoServers([crate::Server; 2]);

impl DemoServers {
    pub(super) fn start() -> Result<DemoServers, String> {
        let start = || crate::Server::start().map_err(|error| error.to_string());
        Ok(DemoServers([start()?, start()?]))
    }

    pub(super) fn list(&self, protocol: Protocol) -> Result<ServerList, String> {
        let lines = self.0.iter().map(|server| match protocol {
            Protocol::Memcached => format!("{} 1\n", server.memcached_addr()),
            Protocol::Resp => format!("{} 1\n", server.resp_addr()),
        });
        let list: String = lines.collect();
        list.parse().map_err(|error: ListError| error.to_string())
    }

    /// Prints commands to try on standard error.
    pub(super) fn explain(&self, protocol: Protocol, address: &str) {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let (ask, each) = match protocol {
            Protocol::Memcached => (
                format!(
                    "printf 'set a 0 0 1\\r\\nx\\r\\nset b 0 0 1\\r\\ny\\r\\nget a b\\r\\nstats proxy\\r\\nquit\\r\\n' | nc {host} {port}"
                ),
                self.0.each_ref().map(|server| server.memcached_addr()),
            ),
            Protocol::Resp => (
                format!(
                    "redis-cli -h {host} -p {port} mset a x b y\n  \
                     redis-cli -h {host} -p {port} mget a b\n  \
                     redis-cli -h {host} -p {port} info proxy"
                ),
                self.0.each_ref().map(|server| server.resp_addr()),
            ),
        };
        eprintln!(
            "The keys are on two servers in this process: {} and {}.\nTry it:\n  {ask}",
            each[0], each[1]
        );
    }
}
