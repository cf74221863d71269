//! systemd: the sockets that it passes, and the word that larder is ready. Without systemd, nothing of this has an effect.

use listenfd::ListenFd;

use crate::server::passed::{self, PassedSocket};

/// Keeps the sockets that this process was started with for listeners with their addresses. Called before there are threads,
/// because it takes the variables of systemd out of the environment.
pub(super) fn take_sockets() -> Result<(), String> {
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..given.len() {
        let socket = match given.take_tcp_listener(number) {
            Ok(socket) => socket.map(PassedSocket::Tcp),
            Err(_) => given
                .take_unix_listener(number)
                .map_err(|error| {
                    format!(
                        "systemd has passed a socket that is neither TCP nor a Unix stream, and larder opens UDP itself: {error}"
                    )
                })?
                .map(PassedSocket::Unix),
        };
        sockets.extend(socket);
    }
    passed::keep(sockets);
    Ok(())
}

/// An error if no listener has taken one of the sockets: clients would wait there for ever.
pub(super) fn all_sockets_are_taken() -> Result<(), String> {
    match passed::left().first() {
        None => Ok(()),
        Some(address) => Err(format!(
            "systemd has passed a socket for {address}, and no listener has this address; change one of the two"
        )),
    }
}

/// Tells systemd that larder serves.
pub(super) fn ready() {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        log::warn!("systemd was not told that larder is ready: {error}");
    }
}
