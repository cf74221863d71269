//! Helpers of many commands: read a number or a word from the arguments, find a node's type, answer a refused write.

use super::context::Context;
use super::errors;
use crate::protocol::resp::{Reply, parse_integer};
use crate::store::{DATABASES, Node, Refused, Tree};

/// Whether an argument is this word, in upper or lower case.
#[inline]
pub(super) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

impl Context<'_> {
    /// The integer at `index`; if it is none, the error is answered.
    pub(super) fn integer(&mut self, index: usize) -> Option<i64> {
        let value = parse_integer(self.args.get(index));
        if value.is_none() {
            self.reply.error(errors::NOT_INTEGER);
        }
        value
    }

    /// The integer at `index` between two bounds; if it is none, the error is answered.
    pub(super) fn integer_between(&mut self, index: usize, least: i64, most: i64) -> Option<i64> {
        let value = self.integer(index)?;
        if (least..=most).contains(&value) {
            return Some(value);
        }
        self.reply.error(format!(
            "ERR value is out of range, value must between {least} and {most}"
        ));
        None
    }

    /// The number of a database at `index`; if it is none, the error is answered.
    pub(super) fn database(&mut self, index: usize) -> Option<u8> {
        let number = self.integer_between(index, i32::MIN.into(), i32::MAX.into())?;
        let db = database(number);
        if db.is_none() {
            self.reply.error(errors::DB_INDEX);
        }
        db
    }
}

/// The database with this number.
pub(super) fn database(number: i64) -> Option<u8> {
    u8::try_from(number).ok().filter(|db| *db < DATABASES)
}

/// Answers a write that the store has refused.
#[cold]
pub(super) fn reply_refused(reply: &mut Reply<'_>, why: Refused) {
    reply.error(match why {
        Refused::TooLarge => errors::TOO_LARGE,
        _ => errors::OUT_OF_MEMORY,
    });
}

/// Whether Redis's commands treat a node as a hash: it has children, or no value of its own.
///
/// A node that memcached has given a value and children is both a string and a hash. Its TYPE is `hash`.
#[inline]
pub(super) fn is_hash(tree: &mut Tree<'_>, node: Node) -> bool {
    let item = tree.item(node);
    match item.value() {
        None => true,
        Some(_) => tree.has_live_child(node),
    }
}
