//! A command with a large value, which is received into memory of the store: SET, SETEX and their like.
//!
//! ```text
//!   *5 CRLF $3 CRLF SET CRLF $3 CRLF key CRLF $524288 CRLF xxxx…  CRLF $2 CRLF EX CRLF $2 CRLF 60 CRLF
//!   └────────────── words in front ────────────────────────────┘└ Reservation ┘└─── words behind ────┘
//! ```
//!
//! The reader stops at the value, which a command names in the table by
//! [`receives`](super::table::CommandSpec::receives). When it and the words behind it have arrived, the command runs as
//! always, with the [`Reservation`](crate::store::Reservation) in place of that word. Other commands, and those within a
//! transaction, are collected in the connection's input.

use std::sync::atomic::Ordering::Relaxed;

use super::client_info::shown;
use super::errors;
use super::received_command::ReceivedCommand;
use super::session::CommandRunner;
use crate::protocol::resp::{CommandArgs, CommandWords, Reader};
use crate::server::Next;

impl CommandRunner<'_> {
    /// Begins to receive the word at which the reader waits, if it is the large value of a command.
    pub(super) fn begin_to_receive(&mut self, reader: &mut Reader, input: &[u8]) -> bool {
        if self.client.mode != 0 || self.shared.pause.may_hold() {
            return false;
        }
        let Some(word) = reader.long_word(input) else {
            return false;
        };
        let number = word.words.len();
        if number == 0 || word.start == input.len() {
            return false;
        }
        let entry = self.table.command(word.words.get(0));
        if entry.is_none_or(|entry| entry.command.received != number) {
            return false;
        }
        let key = word.words.get(1);
        let peers = self.shared.peers.get();
        if peers.is_some_and(|peers| peers.owns(key)) {
            // The value is for a peer, and not for the store.
            return false;
        }
        let Some(reservation) = self.shared.store.reserve(key.len(), word.length) else {
            return false;
        };
        let mut words_in_front = CommandWords::default();
        words_in_front.extend_from(word.words);
        let received = ReceivedCommand {
            reservation: Some(reservation),
            words_in_front,
            words_behind: word.words_behind,
        };
        let start = word.start;
        reader.read_words(0);
        *self.receiving = Some(Box::new(received));
        self.take_from(&input[start..], reader);
        true
    }

    /// Copies the start of the input into the value that is received; returns the number of bytes.
    pub(super) fn take_from(&mut self, input: &[u8], reader: &mut Reader) -> usize {
        let received = self.receiving.as_mut();
        let Some(reservation) = received.and_then(|received| received.reservation.as_mut()) else {
            return 0;
        };
        let taken = reservation.copy(input);
        self.received(taken, reader);
        taken
    }

    /// Notes that this many bytes more of the value have arrived. Runs the command if it is
    /// complete.
    pub(super) fn received(&mut self, bytes: usize, reader: &mut Reader) {
        let Some(received) = self.receiving.as_mut() else {
            return;
        };
        let Some(reservation) = received.reservation.as_mut() else {
            return;
        };
        let info = &self.client.info;
        info.received_bytes.fetch_add(shown(bytes), Relaxed);
        if !reservation.arrived(bytes) {
            reader.drop_rest(reservation.missing(), received.words_behind);
            received.reservation = None;
            info.received_bytes.store(0, Relaxed);
        } else if reservation.is_whole() {
            reader.read_words(received.words_behind);
            if received.words_behind == 0 {
                self.run_received(None);
            }
        }
    }

    /// Runs the command that was received, with the words behind its value.
    pub(super) fn run_received(&mut self, behind: Option<CommandArgs<'_>>) {
        let Some(received) = self.receiving.take() else {
            return;
        };
        self.client.info.received_bytes.store(0, Relaxed);
        let before = self.out.len();
        let mut words = received.words_in_front;
        words.push_copy(b"");
        if let Some(behind) = behind {
            words.extend_from(behind);
        }
        self.value = received.reservation;
        self.command(words.args(&[]));
        self.value = None;
        debug_assert!(self.out.len() > before, "the command answers");
    }

    /// The error for a command that was dropped.
    pub(super) fn dropped(&mut self) -> &'static str {
        match self.receiving.take() {
            Some(received) if received.reservation.is_none() => errors::OUT_OF_MEMORY,
            _ => errors::TOO_LARGE,
        }
    }

    /// The bytes that the session waits for when it has consumed its input.
    pub(super) fn waits_for(&mut self) -> Next {
        let received = self.receiving.as_mut();
        match received.and_then(|received| received.space()) {
            Some(_) => Next::Receive,
            None => Next::Read,
        }
    }
}
