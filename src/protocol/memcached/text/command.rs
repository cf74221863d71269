//! Commands, and the one table of verbs.
//!
//! ```text
//!   retrieval::VERBS   storage::VERBS   key_commands::VERBS   meta::VERBS   admin::VERBS   name and builder of each verb
//!           └──────────────┴───── VERBS ─────┴───────────────────┴──────────────┘            grammar: (get|gets|…)
//!                                   │                                                        service: one match per family
//!                                   ▼
//!                          Verb::build: words ──▶ Command
//! ```
//!
//! A family of verbs is a file: its type of command, and a table with one entry per verb. An entry is
//! the verb's name and the function that makes a command of the words behind it, and refuses
//! malformed lines. The grammar is made of the names.
//!
//! The order of the checks in the builders is memcached's, because it decides the error of a line
//! that has several: the count of words, the length of the key, the numbers.

use std::sync::LazyLock;

use super::admin::{self, AdminCommand};
use super::fields::{BadLine, Nesting};
use super::key_commands::{self, KeyCommand};
use super::meta::{self, MetaCommand};
use super::retrieval::{self, ReadPath, Retrieve};
use super::storage::{self, StorageCommand};
use super::words::Words;

/// One command, borrowing from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Reads the items of keys.
    Retrieve(Retrieve<'a>),
    /// Reads at a path.
    ReadPath(ReadPath<'a>),
    /// A storage command; its data block follows.
    Store(StorageCommand<'a>),
    /// Changes the item of one key.
    Key(KeyCommand<'a>),
    /// A meta command; the data block of one that stores follows.
    Meta(MetaCommand<'a>),
    /// About the server or the connection.
    Admin(AdminCommand<'a>),
}

/// One verb of the grammar.
pub(super) struct Verb {
    /// Its name on the line.
    pub(super) name: &'static str,
    builder: Builder,
}

/// The function of a verb's entry, by family.
enum Builder {
    Retrieve(retrieval::Builder),
    ReadPath(retrieval::PathBuilder),
    Store(storage::Builder),
    Key(key_commands::Builder),
    Meta(meta::Builder),
    Admin(admin::Builder),
}

/// Every verb, in the order of the names.
pub(super) static VERBS: LazyLock<Vec<Verb>> = LazyLock::new(|| {
    fn family<B: Copy>(
        entries: &'static [(&'static str, B)],
        builder: fn(B) -> Builder,
    ) -> impl Iterator<Item = Verb> {
        entries.iter().map(move |(name, build)| Verb {
            name,
            builder: builder(*build),
        })
    }
    let mut verbs: Vec<Verb> = family(retrieval::VERBS, Builder::Retrieve)
        .chain(family(retrieval::PATH_VERBS, Builder::ReadPath))
        .chain(family(storage::VERBS, Builder::Store))
        .chain(family(key_commands::VERBS, Builder::Key))
        .chain(family(meta::VERBS, Builder::Meta))
        .chain(family(admin::VERBS, Builder::Admin))
        .collect();
    verbs.sort_unstable_by_key(|verb| verb.name);
    verbs
});

impl Verb {
    pub(super) fn from_name(name: &[u8]) -> Option<&'static Verb> {
        let found = VERBS.binary_search_by(|verb| verb.name.as_bytes().cmp(name));
        found.ok().map(|at| &VERBS[at])
    }

    /// Makes a command of the words behind the verb.
    pub(super) fn build<'a>(
        &self,
        words: Words<'a>,
        nesting: Nesting,
    ) -> Result<Command<'a>, BadLine> {
        match self.builder {
            Builder::Retrieve(build) => build(words, nesting).map(Command::Retrieve),
            Builder::ReadPath(build) => build(words, nesting).map(Command::ReadPath),
            Builder::Store(build) => build(words, nesting).map(Command::Store),
            Builder::Key(build) => build(words, nesting).map(Command::Key),
            Builder::Meta(build) => build(words, nesting).map(Command::Meta),
            Builder::Admin(build) => build(words, nesting).map(Command::Admin),
        }
    }
}

/// The names of all verbs, sorted.
pub fn verb_names() -> impl Iterator<Item = &'static str> {
    VERBS.iter().map(|verb| verb.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_found_by_its_name_and_no_name_is_given_twice() {
        for verb in VERBS.iter() {
            let found = Verb::from_name(verb.name.as_bytes()).expect("it is in the table");
            assert!(std::ptr::eq(found, verb), "{} is there twice", verb.name);
        }
        assert!(Verb::from_name(b"getx").is_none());
    }
}
