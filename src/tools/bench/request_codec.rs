//! Between the numbers of items and the bytes of a connection: items become requests, replies become counts.
//!
//! ```text
//!   items ──▶ ask ──▶ keys, value ──▶ Connection
//!   items, reply ──▶ answered ──▶ a value, a miss or an error for each key ──▶ Measured
//! ```
//!
//! Cost: a key is written twice, into the request and to verify the reply; a value is compared once.

use std::sync::Arc;

use super::action::{Action, Reply};
use super::connection::{Connection, Request};
use super::dialect::Dialect;
use super::items::Items;
use super::measured::Measured;

/// The requests and replies of a thread.
pub(super) struct RequestCodec {
    dialect: Dialect,
    items: Arc<Items>,
    /// The keys of the request at hand, one behind another.
    keys: Vec<u8>,
}

impl RequestCodec {
    pub(super) fn new(dialect: Dialect, items: Arc<Items>) -> RequestCodec {
        RequestCodec {
            dialect,
            items,
            keys: Vec::new(),
        }
    }

    /// The protocol.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Appends a request about these items to the output of a connection.
    pub(super) fn ask(&mut self, connection: &mut Connection, request: Request, about: &[u64]) {
        self.write_keys(about);
        match about {
            [item] => connection.push(request, *item, &self.keys, self.items.value(*item), 0),
            several => {
                let keys = self.keys.chunks_exact(self.items.key_size());
                connection.push_multi_get(request, several, keys);
            }
        }
    }

    /// Counts the reply to a request about these items, which came at `now`.
    pub(super) fn answered(
        &mut self,
        request: &Request,
        about: &[u64],
        reply: &[u8],
        now: u64,
        measured: &mut Measured,
    ) {
        measured.time(request, now);
        self.write_keys(about);
        if let [item] = about {
            let reply = self.dialect.read(request.action, &self.keys, reply);
            let expected = self.items.value(*item);
            return measured.count(request.action, &self.keys, expected, reply);
        }
        let keys = self.keys.chunks_exact(self.items.key_size());
        match self.dialect.read_multi_get(keys.clone(), reply) {
            Ok(values) => {
                for ((item, key), value) in about.iter().zip(keys).zip(values) {
                    let reply = value.map_or(Reply::Miss, Reply::Value);
                    measured.count(Action::Get, key, self.items.value(*item), reply);
                }
            }
            Err(line) => measured.count(Action::Get, b"", b"", Reply::Refused(line)),
        }
    }

    fn write_keys(&mut self, about: &[u64]) {
        self.keys.clear();
        for item in about {
            self.items.write_key(*item, &mut self.keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::bench::sizes::ValueSizes;

    #[test]
    fn each_key_of_a_multi_get_counts_as_a_hit_or_a_miss() {
        let items = Items::new(10, 5, ValueSizes::Fixed(3)).expect("possible");
        let value = String::from_utf8(items.value(7).to_vec()).expect("letters");
        let mut codec = RequestCodec::new(Dialect::Memcached, Arc::new(items));
        let mut connection = Connection::new(Dialect::Memcached);
        let request = Request {
            action: Action::Get,
            due: 0,
            sent: 0,
        };
        let about = [7, 8, 9];
        codec.ask(&mut connection, request, &about);
        assert_eq!(connection.output(), b"get key:7 key:8 key:9\r\n");
        let mut measured = Measured::new();
        let reply = format!("VALUE key:7 0 3\r\n{value}\r\nVALUE key:9 0 3\r\n???\r\nEND\r\n");
        codec.answered(&request, &about, reply.as_bytes(), 5, &mut measured);
        assert_eq!(
            (
                measured.requests(),
                measured.hits,
                measured.misses,
                measured.wrong
            ),
            (1, 2, 1, 1)
        );
        let first = measured.first_wrong.clone().expect("a wrong value");
        assert!(first.starts_with("key:9: "), "{first}");
        codec.answered(&request, &about, b"SERVER_ERROR no\r\n", 5, &mut measured);
        assert_eq!((measured.requests(), measured.refusals()), (2, 1));
    }
}
