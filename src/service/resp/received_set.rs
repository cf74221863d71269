//! The state of a SET while its large value is received: `receiving` has the rules.

use crate::store::Reservation;

/// A SET whose value is on its way, or whose words behind it are.
pub(super) struct ReceivedSet {
    /// `None` if there is no memory for it: the rest of the command is dropped.
    pub(super) reservation: Option<Reservation>,
    /// The command's name as the client wrote it, and the key.
    pub(super) name: Vec<u8>,
    pub(super) key: Vec<u8>,
    /// The number of words behind the value.
    pub(super) words_behind: i64,
}

impl ReceivedSet {
    /// The memory for the next bytes of the value; `None` if all have arrived.
    pub(super) fn space(&mut self) -> Option<&mut [u8]> {
        let reservation = self.reservation.as_mut()?;
        (!reservation.is_whole()).then(|| reservation.space())
    }
}
