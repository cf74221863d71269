//! The state of a command while its large value is received: `receiving` has the rules.

use crate::protocol::resp::CommandWords;
use crate::store::Reservation;

/// A command whose value is on its way, or whose words behind it are.
pub(super) struct ReceivedCommand {
    /// `None` if there is no memory for it: the rest of the command is dropped.
    pub(super) reservation: Option<Reservation>,
    /// The words in front of the value: the command's name as the client wrote it, the key and, of some, a time.
    pub(super) words_in_front: CommandWords,
    /// The number of words behind the value.
    pub(super) words_behind: i64,
}

impl ReceivedCommand {
    /// The memory for the next bytes of the value; `None` if all have arrived.
    pub(super) fn space(&mut self) -> Option<&mut [u8]> {
        let reservation = self.reservation.as_mut()?;
        (!reservation.is_whole()).then(|| reservation.space())
    }
}
