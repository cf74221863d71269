//! The requests of a connection that broke before they were answered, and which of them may be sent again.
//!
//! ```text
//!   queue   A: GET a    B: GET a    A: SET a    B: GET b      the connection breaks
//!              error       again       error       again
//! ```
//!
//! A request that may change something may have been executed. So it is not sent again, and neither is a read of the
//! same client in front of it: its answer could be the client's later value. A write of another client has no order to
//! the read that a client could see. A write without a reply is in no queue; the connection notes beside the queue
//! where it was.
//!
//! Cost: none while a connection works, except 16 bytes for a write without a reply behind requests that have one.

use std::collections::HashSet;

use crate::upstream::connection::UpstreamConnection;
use crate::upstream::pending::{PendingRequest, ReplyOwner};

impl UpstreamConnection {
    /// The last request changes nothing; whether it may be sent again if the connection breaks.
    pub(crate) fn last_is_read(&mut self, is_repeatable: bool) {
        if let Some(last) = self.queue.back_mut() {
            (last.may_change, last.is_repeatable) = (false, is_repeatable);
        }
    }

    /// All requests without their reply, each with its bytes if it may be sent again: it is repeatable, and no request of
    /// its client behind it may have changed its keys.
    pub(crate) fn unanswered(&self) -> Vec<(PendingRequest, Option<Vec<u8>>)> {
        let mut changers = HashSet::new();
        let mut quiet = self.quiet.iter().rev().peekable();
        let mut end = self.answered + self.queue.iter().map(|one| one.span).sum::<usize>();
        let mut found = Vec::with_capacity(self.queue.len());
        for (index, waiting) in self.queue.iter().enumerate().rev() {
            let place = self.popped + index as u64 + 1;
            while let Some((_, id)) = quiet.next_if(|(behind, _)| *behind >= place) {
                changers.insert(*id);
            }
            end -= waiting.span;
            let mut repeats = self.keeps && waiting.is_repeatable;
            if let ReplyOwner::Client { id, .. } = waiting.owner {
                repeats &= !changers.contains(&id);
                if waiting.may_change {
                    changers.insert(id);
                }
            }
            let bytes = self.out.get(end..end + waiting.length);
            found.push((*waiting, bytes.filter(|_| repeats).map(<[u8]>::to_vec)));
        }
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pool::Upstream;
    use crate::protocol::framing::reply::ReplyShape;
    use crate::upstream::{ConnectionPurpose, ConnectionState};

    fn connection() -> UpstreamConnection {
        let upstream = Arc::new(Upstream::new("10.0.0.1:1", 1));
        let purpose = ConnectionPurpose::Shared(ConnectionState::default(), 0);
        UpstreamConnection::new(upstream, purpose, 1, false, 0)
    }

    /// Appends requests, each a client's number and its kind: `get`, `set`, or `quiet`, a write without a reply.
    fn append(connection: &mut UpstreamConnection, requests: &str) {
        for request in requests.split_whitespace() {
            let (client, name) = request.split_once(':').expect("client:name");
            let owner = ReplyOwner::Client {
                key: 0,
                id: client.parse().expect("a number"),
                sequence: 0,
                part: 0,
            };
            let shape = match name {
                "quiet" => ReplyShape::Nothing,
                _ => ReplyShape::Line,
            };
            connection.push(request.as_bytes(), PendingRequest::new(owner, shape, 0), 0);
            if name == "get" {
                connection.last_is_read(true);
            }
        }
    }

    /// The requests that are sent again.
    fn repeated(connection: &UpstreamConnection) -> String {
        let unanswered = connection.unanswered().into_iter();
        let bytes: Vec<Vec<u8>> = unanswered.filter_map(|(_, bytes)| bytes).collect();
        String::from_utf8_lossy(&bytes.join(&b' ')).into_owned()
    }

    #[test]
    fn a_read_is_sent_again_unless_its_client_has_a_write_behind_it() {
        for (requests, expected) in [
            ("1:get 1:get", "1:get 1:get"),
            ("1:get 1:set", ""),
            ("1:get 1:set 1:get", "1:get"),
            ("1:get 2:get 1:set 2:get", "2:get 2:get"),
            ("1:get 1:quiet", ""),
            ("1:get 2:quiet", "1:get"),
            ("1:get 2:get 2:quiet 1:quiet 2:get", "2:get"),
            ("1:quiet 1:get", "1:get"),
        ] {
            let mut connection = connection();
            append(&mut connection, requests);
            assert_eq!(repeated(&connection), expected, "{requests}");
        }
    }

    #[test]
    fn answered_requests_no_longer_count() {
        let mut connection = connection();
        append(&mut connection, "1:set 1:quiet 1:get 2:quiet 1:get");
        connection.pop();
        assert_eq!(repeated(&connection), "1:get 1:get");
        append(&mut connection, "1:quiet");
        assert_eq!(repeated(&connection), "");
        for _ in 0..2 {
            connection.pop().expect("a request that waits");
        }
        append(&mut connection, "1:get");
        assert_eq!(repeated(&connection), "1:get");
    }
}
