//! The names of this machine in requests that come from itself.
//!
//! A browser on this machine can be misled: the owner of a page's name lets it point to 127.0.0.1, and the page then
//! reads the answers of a local server as its own (DNS rebinding). The browser names the host all the same, so a request
//! from this machine has to name an address or `localhost`. Requests from other machines may use any name; a firewall
//! or protected mode decides about those.

use std::net::{IpAddr, Ipv6Addr};

use crate::server::Address;

/// Whether a request to this end of a connection may name this host, `example.com:9121`.
pub(super) fn may_name(local: &Address, host: &str) -> bool {
    let from_this_machine = local
        .tcp()
        .is_some_and(|address| address.ip().to_canonical().is_loopback());
    !from_this_machine || is_local(host)
}

/// Whether a host is an address, which no name can point to, or this machine by any resolver.
fn is_local(host: &str) -> bool {
    if let Some(bracketed) = host.strip_prefix('[') {
        let address = bracketed.split(']').next().unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.split(':').next().unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    lower == "localhost" || lower.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_from_this_machine_have_to_name_an_address_or_localhost() {
        let loopback = Address::Tcp("127.0.0.1:9121".parse().unwrap());
        let mapped = Address::Tcp("[::ffff:127.0.0.1]:9121".parse().unwrap());
        let outside = Address::Tcp("10.0.0.5:9121".parse().unwrap());
        for (host, local) in [
            ("127.0.0.1:9121", true),
            ("127.0.0.1", true),
            ("10.1.2.3:80", true),
            ("[::1]:9121", true),
            ("[::1]", true),
            ("localhost:9121", true),
            ("LocalHost", true),
            ("larder.localhost:9121", true),
            ("example.com:9121", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com:9121", false),
            ("[example.com]:9121", false),
            ("", false),
        ] {
            assert_eq!(may_name(&loopback, host), local, "{host}");
            assert_eq!(may_name(&mapped, host), local, "{host}");
            assert!(may_name(&outside, host), "{host}");
            assert!(may_name(&Address::Detached, host), "{host}");
        }
    }
}
