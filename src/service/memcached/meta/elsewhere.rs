//! Meta commands and peers: those that a peer sends, and those for a key that a peer owns.

use crate::origin::{PeerReply, PeerRequest, PeerStatus};
use crate::peers::{PeerMark, PeerPurpose};
use crate::protocol::memcached::text::meta::response;
use crate::protocol::memcached::text::{MetaCommand, MetaVerb};
use crate::service::memcached::context::TurnContext;
use crate::service::memcached::operations::{DATABASE, Operations, Place};
use crate::service::memcached::output::Output;

use super::{repeat, with_key};

/// The flags of an `mg` that a copy answers as its owner would.
const OF_COPIES: &[u8] = b"vfkqOscbnPL";

/// The flags that are not sent to the owner: those about the key, the opaque and the reply are this node's.
const OWN: &[u8] = b"kqObnP";

/// The reply to a request that this node has sent to a peer.
const LOOP: &[u8] = b"SERVER_ERROR a request of this node came back to it\r\n";

impl Operations<'_> {
    /// Whether the command reads for the copy of a peer.
    pub(super) fn is_read_for_copy(&self) -> bool {
        let mark = self.peers.mark.as_ref();
        mark.is_some_and(|mark| mark.purpose == PeerPurpose::Copy)
    }
}

impl TurnContext<'_> {
    /// Reads the mark of a command, and sends one without it to the peer that owns its key. Whether the command is answered, or
    /// waits. An `ms` has no value yet.
    #[inline]
    pub(in crate::service::memcached) fn is_done_for_peers(
        &mut self,
        command: &MetaCommand<'_>,
    ) -> bool {
        self.shared.peers.get().is_some() && self.look_at_mark(command)
    }

    #[cold]
    fn look_at_mark(&mut self, command: &MetaCommand<'_>) -> bool {
        let flags = &command.flags;
        if let Some(mark) = flags.mark().and_then(PeerMark::read) {
            return self.of_peer(command, mark);
        }
        match command.verb {
            MetaVerb::Debug | MetaVerb::Set { .. } => false,
            MetaVerb::Get
                if flags.are_among(OF_COPIES) && !(flags.has(b'k') && flags.has(b'b')) =>
            {
                false
            }
            _ => self.elsewhere(command, None),
        }
    }

    /// A command with a mark: whether it is answered.
    fn of_peer(&mut self, command: &MetaCommand<'_>, mark: PeerMark) -> bool {
        let is_for_owner = matches!(mark.purpose, PeerPurpose::Copy | PeerPurpose::Own);
        with_key(command, |path, key| {
            let key_to_own = is_for_owner.then_some(path[0]);
            if let Some(peers) = self.shared.peers.get()
                && !peers.note_request(&mark, key_to_own)
                && is_for_owner
            {
                self.operations.peers.is_loop = true;
                return self.refuse_loop(command);
            }
            match mark.purpose {
                PeerPurpose::Copy | PeerPurpose::Own => {}
                PeerPurpose::Changed => self.operations.drop_copy(path[0]),
                PeerPurpose::Flushed if self.shared.settings.flush_all => {
                    self.shared.store.flush(DATABASE);
                }
                PeerPurpose::Flushed => {}
            }
            if is_for_owner {
                self.operations.peers.runs_here = true;
                self.operations.peers.mark = Some(mark);
            } else if !command.flags.has(b'q') {
                self.output.push(b"HD");
                repeat(&mut self.output, command, key);
                self.output.push(b"\r\n");
            }
            !is_for_owner
        })
    }

    /// Answers a command that this node has sent itself. Whether it is answered: an `ms` is when its value has arrived.
    fn refuse_loop(&mut self, command: &MetaCommand<'_>) -> bool {
        if let MetaVerb::Set { .. } = command.verb {
            return false;
        }
        self.output.push(LOOP);
        true
    }

    /// Whether an `ms` is answered by the peer that owns its key, or waits for it.
    #[inline]
    pub(super) fn is_stored_elsewhere(&mut self, command: &MetaCommand<'_>, value: &[u8]) -> bool {
        if self.operations.peers.is_loop {
            self.output.push(LOOP);
            return true;
        }
        self.shared.peers.get().is_some()
            && !self.operations.peers.runs_here
            && self.elsewhere(command, Some(value))
    }

    #[cold]
    fn elsewhere(&mut self, command: &MetaCommand<'_>, value: Option<&[u8]>) -> bool {
        with_key(command, |path, key| {
            let operations = &mut self.operations;
            let place = operations.find_place(path, || request(command, path, value));
            match place {
                Place::Here => {
                    // The operation doesn't ask again, so that it runs in one place.
                    self.operations.peers.runs_here = true;
                    false
                }
                Place::Elsewhere => {
                    // A reply that is dropped, or replaced by the error.
                    self.output.push(b"NS\r\n");
                    true
                }
                Place::Done(reply) => {
                    let flags = &command.flags;
                    if command.verb != MetaVerb::Get || flags.has_any(b"TNRE") {
                        self.operations.drop_copy(path[0]);
                    }
                    write_reply(&mut self.output, command, key, &reply);
                    true
                }
            }
        })
    }
}

fn request(command: &MetaCommand<'_>, path: &[&[u8]], value: Option<&[u8]>) -> PeerRequest {
    let verb = match command.verb {
        MetaVerb::Get | MetaVerb::Debug => "mg",
        MetaVerb::Set { .. } => "ms",
        MetaVerb::Delete => "md",
        MetaVerb::Arithmetic => "ma",
    };
    let words = command.flags.words();
    let sent = words.filter(|word| !OWN.contains(&word[0]));
    let flags = sent.map(|word| String::from_utf8_lossy(word).into_owned());
    PeerRequest {
        value: value.map(<[u8]>::to_vec),
        ..PeerRequest::new(verb, path, flags.collect())
    }
}

/// Appends the reply of the owner, as this command would have it.
fn write_reply(output: &mut Output<'_>, command: &MetaCommand<'_>, key: &[u8], reply: &PeerReply) {
    let quiet = match (command.verb, reply.status) {
        (MetaVerb::Get, status) => status == PeerStatus::Miss,
        (_, status) => status == PeerStatus::Done,
    };
    if quiet && command.flags.has(b'q') {
        return;
    }
    match (&reply.value, reply.status) {
        (Some(value), _) => {
            output.push(b"VA ");
            output.push(itoa::Buffer::new().format(value.len()).as_bytes());
        }
        (None, PeerStatus::Done) => output.push(b"HD"),
        (None, PeerStatus::Miss) => output.push(b"EN"),
        (None, PeerStatus::NotFound) => output.push(b"NF"),
        (None, PeerStatus::NotStored) => output.push(b"NS"),
        (None, PeerStatus::Exists) => output.push(b"EX"),
    }
    for word in command.flags.words() {
        let out = &mut *output.bytes;
        match word[0] {
            b'O' => response::repeated(out, word),
            b'k' => response::key(out, key, command.flags.has(b'b')),
            letter => {
                if let Some(token) = reply.flag(char::from(letter)) {
                    response::repeated(out, format!("{}{token}", char::from(letter)).as_bytes());
                }
            }
        }
    }
    for mark in reply
        .flags
        .iter()
        .filter(|flag| ["W", "X", "Z"].contains(&&***flag))
    {
        response::repeated(output.bytes, mark.as_bytes());
    }
    output.push(b"\r\n");
    if let Some(value) = &reply.value {
        output.push(value);
        output.push(b"\r\n");
    }
}
