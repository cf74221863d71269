//! Protected mode: a listener that other machines can reach asks its clients for a login, or the settings say that it may
//! do without.
//!
//! The check comes before anything listens, so no client gets in meanwhile. It looks names of hosts up, as binding does.

use std::net::ToSocketAddrs;

use crate::server::Listen;

use super::values::Switch;

/// A listener that is to be opened.
pub(super) struct Opening<'a> {
    /// The option with its address.
    pub(super) option: &'static str,
    /// `None` if it is off.
    pub(super) listen: Option<&'a Listen>,
    /// Whether its clients have to log in.
    pub(super) login: bool,
    /// The options that make them; empty if nothing can.
    pub(super) remedies: &'static str,
}

impl<'a> Opening<'a> {
    /// A listener whose clients can't be made to log in.
    pub(super) fn without_login(option: &'static str, listen: Option<&'a Listen>) -> Opening<'a> {
        Opening {
            option,
            listen,
            login: false,
            remedies: "",
        }
    }
}

/// An error for the first listener that other machines can reach without a login, unless the mode is off.
/// Without a setting it is on.
pub(super) fn check<'a>(
    mode: Option<Switch>,
    openings: impl IntoIterator<Item = Opening<'a>>,
) -> Result<(), String> {
    if mode == Some(Switch(false)) {
        return Ok(());
    }
    let open = openings
        .into_iter()
        .find(|opening| !opening.login && opening.listen.is_some_and(is_reachable));
    match open {
        None => Ok(()),
        Some(Opening {
            option,
            listen,
            remedies,
            ..
        }) => {
            let address = listen.map_or(String::new(), Listen::to_string);
            let give = match remedies {
                "" => String::new(),
                remedies => format!("give {remedies}, "),
            };
            Err(format!(
                "{option} {address}: other machines can reach this address, and nobody has to log in; {give}listen on \
                 127.0.0.1, or allow it with --protected-mode off"
            ))
        }
    }
}

/// Whether clients on other machines may reach this address. One that can't be looked up is left to binding, which fails
/// with the reason.
fn is_reachable(listen: &Listen) -> bool {
    match listen {
        Listen::Unix(_) => false,
        Listen::Tcp(address) => address.to_socket_addrs().is_ok_and(|mut addresses| {
            addresses.any(|address| !address.ip().to_canonical().is_loopback())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_unix_sockets_are_out_of_reach() {
        for (address, reachable) in [
            ("127.0.0.1:1", false),
            ("127.8.9.10:0", false),
            ("[::1]:11211", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("localhost:1", false),
            ("./socket", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("10.0.0.1:1", true),
            ("[::ffff:10.0.0.1]:1", true),
            ("no address", false),
        ] {
            let listen = address.parse().expect("any text is one");
            assert_eq!(is_reachable(&listen), reachable, "{address}");
        }
    }
}
