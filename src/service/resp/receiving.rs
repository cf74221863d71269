//! SET with a large value, which is received into memory of the store.
//!
//! ```text
//!   *5 CRLF $3 CRLF SET CRLF $3 CRLF key CRLF $524288 CRLF xxxx…  CRLF $2 CRLF EX CRLF $2 CRLF 60 CRLF
//!   └────────────── words in front ────────────────────────────┘└ Reservation ┘└─── words behind ────┘
//! ```
//!
//! The reader stops at the value. When it and the words behind it have arrived, SET runs as always, with the
//! [`Reservation`](crate::store::Reservation) in place of its third word. Other commands, and SET within a transaction, are collected in the
//! connection's input.

use super::errors;
use super::received_set::ReceivedSet;
use super::session::CommandRunner;
use crate::protocol::resp::{CommandArgs, CommandWords, Reader};
use crate::server::Next;

impl CommandRunner<'_> {
    /// Begins to receive the word at which the reader waits, if it is the large value of a SET.
    pub(super) fn begin_to_receive(&mut self, reader: &mut Reader, input: &[u8]) -> bool {
        if self.client.mode != 0 {
            return false;
        }
        let Some(word) = reader.long_word(input) else {
            return false;
        };
        let is_set = word.words.len() == 2 && word.words[0].eq_ignore_ascii_case(b"set");
        if !is_set || word.start == input.len() {
            return false;
        }
        let key = word.words.get(1);
        let Some(reservation) = self.shared.store.reserve(key.len(), word.length) else {
            return false;
        };
        let set = ReceivedSet {
            reservation: Some(reservation),
            name: word.words.get(0).to_vec(),
            key: key.to_vec(),
            words_behind: word.words_behind,
        };
        let start = word.start;
        reader.read_words(0);
        *self.receiving = Some(Box::new(set));
        self.take_from(&input[start..], reader);
        true
    }

    /// Copies the start of the input into the value that is received; returns the number of bytes.
    pub(super) fn take_from(&mut self, input: &[u8], reader: &mut Reader) -> usize {
        let set = self.receiving.as_mut();
        let Some(reservation) = set.and_then(|set| set.reservation.as_mut()) else {
            return 0;
        };
        let taken = reservation.copy(input);
        self.received(taken, reader);
        taken
    }

    /// Notes that this many bytes more of the value have arrived. Runs the command if it is
    /// complete.
    pub(super) fn received(&mut self, bytes: usize, reader: &mut Reader) {
        let Some(set) = self.receiving.as_mut() else {
            return;
        };
        let Some(reservation) = set.reservation.as_mut() else {
            return;
        };
        if !reservation.arrived(bytes) {
            reader.drop_rest(reservation.missing(), set.words_behind);
            set.reservation = None;
        } else if reservation.is_whole() {
            reader.read_words(set.words_behind);
            if set.words_behind == 0 {
                self.run_received(None);
            }
        }
    }

    /// Runs the SET that was received, with the words behind its value.
    pub(super) fn run_received(&mut self, behind: Option<CommandArgs<'_>>) {
        let Some(set) = self.receiving.take() else {
            return;
        };
        let before = self.out.len();
        let mut words = CommandWords::default();
        for word in [&set.name[..], &set.key, b""] {
            words.push_copy(word);
        }
        if let Some(behind) = behind {
            words.extend_from(behind);
        }
        self.value = set.reservation;
        self.command(words.args(&[]));
        self.value = None;
        debug_assert!(self.out.len() > before, "SET answers");
    }

    /// The error for a command that was dropped.
    pub(super) fn dropped(&mut self) -> &'static str {
        match self.receiving.take() {
            Some(set) if set.reservation.is_none() => errors::OUT_OF_MEMORY,
            _ => errors::TOO_LARGE,
        }
    }

    /// The bytes that the session waits for when it has consumed its input.
    pub(super) fn waits_for(&mut self) -> Next {
        let set = self.receiving.as_mut();
        match set.and_then(|set| set.space()) {
            Some(_) => Next::Receive,
            None => Next::Read,
        }
    }
}
