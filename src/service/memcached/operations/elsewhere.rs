//! Changes of keys that a [peer](crate::peers) owns: they are made there, and the command waits for the answer.
//!
//! A command that has to wait is done again from its start when the answer is there, so an operation that gets
//! [`Place::Elsewhere`] returns any outcome: its reply is dropped.

use crate::origin::{Answer, PeerRequest, ReadThrough};
use crate::store::Tree;

use super::peer_state::Place;
use super::{DATABASE, Operations};

impl Operations<'_> {
    /// Decides where a change is made. Nothing may be locked.
    #[inline]
    pub(in crate::service::memcached) fn place(
        &mut self,
        path: &[&[u8]],
        request: impl FnOnce() -> PeerRequest,
    ) -> Place {
        if self.shared.peers.get().is_none() {
            return Place::Here;
        }
        let place = self.find_place(path, request);
        match place {
            Place::Here => self.note_change(path[0]),
            Place::Done(_) => self.drop_copy(path[0]),
            Place::Elsewhere => {}
        }
        place
    }

    /// [`place`](Operations::place) for a command that perhaps changes nothing. A copy stays, and peers are sent nothing.
    #[cold]
    pub(in crate::service::memcached) fn find_place(
        &mut self,
        path: &[&[u8]],
        request: impl FnOnce() -> PeerRequest,
    ) -> Place {
        let id = path.join(&0);
        let is_asked = self.fetches.has_asked(&id);
        let Some(peers) = self
            .shared
            .peers
            .get()
            .filter(|peers| is_asked || !self.peers.runs_here && peers.owns(path[0]))
        else {
            return Place::Here;
        };
        if !self.may_wait {
            peers.note_refusal();
            let why =
                "SERVER_ERROR the key is a peer's, and a command in a datagram can't wait for it";
            self.peers.failure = Some(why.into());
            return Place::Elsewhere;
        }
        match self.fetches.answer(&id, || peers.forward(request())) {
            None => self.peers.waits = true,
            Some(Answer::Failed(why)) => self.peers.failure = Some(why),
            Some(Answer::Reply(reply)) => return Place::Done(reply),
            Some(Answer::Mine) => return Place::Here,
        }
        Place::Elsewhere
    }

    /// Has the peers remove everything, before this node does. Whether the command has to wait for that, or has failed. A command
    /// in a datagram doesn't wait.
    pub(super) fn must_wait_for_flush(&mut self) -> bool {
        let Some(peers) = self.shared.peers.get() else {
            return false;
        };
        if !self.may_wait {
            peers.flush();
            return false;
        }
        match self.fetches.answer(b"flush_all", || peers.flush()) {
            None => self.peers.waits = true,
            Some(Answer::Failed(why)) => self.peers.failure = Some(why),
            Some(Answer::Mine | Answer::Reply(_)) => return false,
        }
        true
    }

    /// Notes a key that is changed here, so that peers drop their copies of it.
    pub(super) fn note_change(&mut self, key: &[u8]) {
        if self.shared.peers.get().is_some() {
            self.peers.changed.push(Box::from(key));
        }
    }

    /// Whether a peer owns the key.
    pub(in crate::service::memcached) fn is_elsewhere(&self, key: &[u8]) -> bool {
        let peers = self.shared.peers.get();
        peers.is_some_and(|peers| !self.peers.runs_here && peers.owns(key))
    }

    /// The read-through of a key that is not here: its owner's, or the origin's.
    pub(super) fn source(&self, key: &[u8]) -> Option<&ReadThrough> {
        let origin = self.shared.origin.get();
        match self.shared.peers.get() {
            Some(peers) if self.is_elsewhere(key) => Some(peers.reads()),
            _ => origin.map(|origin| &**origin),
        }
    }

    /// Drops the copy of a key that a peer has changed.
    pub(in crate::service::memcached) fn drop_copy(&mut self, key: &[u8]) {
        drop_copy(&mut self.shared.store.lock(DATABASE, key), key);
    }
}

pub(super) fn drop_copy(tree: &mut Tree<'_>, key: &[u8]) {
    match tree.peek(&[key]) {
        Some(node) => tree.remove(node),
        None => tree.note_removal(&[key]),
    }
}
