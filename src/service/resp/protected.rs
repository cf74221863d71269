//! Protected mode while the service runs: clients of other machines are refused while the default user needs no password.
//!
//! The program checks its listeners at the start. Later an administrator can open the default user, by CONFIG SET requirepass
//! or by ACL. As in Redis, a client that connects from another machine gets an error from then on and is closed. Clients of
//! this machine are served, and those that are connected stay.

use super::acl::user::User;
use crate::server::{Address, Next, Session, Turn};

/// The answer to a client that is refused.
const DENIED: &[u8] = b"-DENIED larder is running in protected mode: other machines can reach this address, and nobody has to log \
    in. Set a password from this machine, with CONFIG SET requirepass, or start larder with --protected-mode off\r\n";

/// Whether a client with this address is refused while `user` is the default user.
pub(super) fn denies(user: &User, peer: &Address) -> bool {
    let is_of_others = |address: std::net::SocketAddr| !address.ip().to_canonical().is_loopback();
    user.is_open() && peer.tcp().is_some_and(is_of_others)
}

/// The session of a client that is refused: it has its answer as soon as it asks.
pub(super) struct DeniedSession;

impl Session for DeniedSession {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        output.extend_from_slice(DENIED);
        Turn {
            consumed: input.len(),
            next: Next::Close,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::service::resp::acl::users::Users;
    use crate::service::secret::Secret;

    #[test]
    fn clients_of_other_machines_are_refused_while_nobody_has_to_log_in() {
        let tcp = |text: &str| Address::Tcp(text.parse().expect("an address"));
        let open = Users::new(None).default_user();
        let closed = Users::new(Some(Secret::from("horse".to_owned()))).default_user();
        for (peer, refused) in [
            (tcp("10.0.0.1:5"), true),
            (tcp("[2001:db8::1]:5"), true),
            (tcp("[::ffff:10.0.0.1]:5"), true),
            (tcp("127.0.0.1:5"), false),
            (tcp("[::1]:5"), false),
            (tcp("[::ffff:127.0.0.1]:5"), false),
            (Address::Unix(Path::new("/run/larder").into()), false),
            (Address::Detached, false),
        ] {
            assert_eq!(denies(&open, &peer), refused, "{peer}");
            assert!(!denies(&closed, &peer), "{peer}");
        }
        let (mut output, input) = (Vec::new(), b"PING\r\nPING\r\n");
        let turn = DeniedSession.turn(input, &mut output);
        assert_eq!((turn.consumed, turn.next), (input.len(), Next::Close));
        assert!(output.starts_with(b"-DENIED ") && output.ends_with(b" off\r\n"));
    }
}
