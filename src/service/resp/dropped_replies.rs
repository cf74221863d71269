//! Replies that are not sent as a command has made them. The reply of a command that has to wait is dropped, and so are the replies
//! to a client that wants none. A large reply is sent in parts.

use super::client_state::{CLOSE, REPLY_FILTERED, REPLY_SKIP, REPLY_SKIP_NEXT};
use super::large_reply::LargeReply;
use super::session::CommandRunner;

impl CommandRunner<'_> {
    /// Drops the reply of a command that waits for its fetches.
    #[cold]
    pub(super) fn await_fetches(&mut self, start: usize) {
        self.out.truncate(start);
        self.insertions.take();
        self.awaits_fetches = true;
        self.calls.forget_call();
        if let Some(origin) = self.shared.origin.get() {
            origin.note_wait();
        }
    }

    /// Puts the next part of a large reply into the output. Returns whether the turn ends with it.
    #[inline]
    pub(super) fn sends_large_reply(&mut self) -> bool {
        match self.large.as_deref_mut() {
            Some(LargeReply::Sending(reply)) => {
                if reply.send(self.out) {
                    *self.large = None;
                    return false;
                }
                true
            }
            _ => false,
        }
    }

    /// Drops the reply, which starts at `before`, if the client's mode asks for that. Returns whether to
    /// close the connection.
    pub(super) fn after_command(&mut self, before: usize) -> bool {
        if self.client.drops_reply() && !self.client.is(REPLY_FILTERED) {
            self.out.truncate(before);
            *self.large = None;
        }
        self.client.set(REPLY_FILTERED, false);
        let skip = self.client.is(REPLY_SKIP_NEXT);
        self.client.set(REPLY_SKIP, skip);
        self.client.set(REPLY_SKIP_NEXT, false);
        self.client.is(CLOSE)
    }
}
