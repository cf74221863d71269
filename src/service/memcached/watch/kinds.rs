//! The kinds of events, and their names.

use crate::protocol::memcached::text::Words;

/// A set of kinds, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventKinds(pub(super) u8);

impl EventKinds {
    /// Look-ups of items, those of writes included.
    pub(crate) const FETCHERS: EventKinds = EventKinds(1);
    /// Storage commands.
    pub(crate) const MUTATIONS: EventKinds = EventKinds(2);
    /// Items that are removed to make room.
    pub(crate) const EVICTIONS: EventKinds = EventKinds(4);
    /// Connections that begin and end.
    pub(crate) const CONNEVENTS: EventKinds = EventKinds(8);
    /// Items that clients delete.
    pub(crate) const DELETIONS: EventKinds = EventKinds(16);
    /// Kinds of memcached's events that larder never has.
    const NONE: EventKinds = EventKinds(0);

    /// The kinds with these names; `None` if one is unknown. As in memcached, a word is the beginning of a name, and the first
    /// name that fits is used.
    pub(crate) fn named(words: Words<'_>) -> Option<EventKinds> {
        if words.is_empty() {
            return Some(EventKinds::FETCHERS);
        }
        words.into_iter().try_fold(EventKinds::NONE, |all, word| {
            let named = NAMES
                .iter()
                .find(|(name, _)| name.as_bytes().starts_with(word));
            named.map(|(_, kind)| EventKinds(all.0 | kind.0))
        })
    }
}

/// The names, in memcached's order.
const NAMES: &[(&str, EventKinds)] = &[
    ("rawcmds", EventKinds::NONE),
    ("evictions", EventKinds::EVICTIONS),
    ("fetchers", EventKinds::FETCHERS),
    ("mutations", EventKinds::MUTATIONS),
    ("sysevents", EventKinds::NONE),
    ("connevents", EventKinds::CONNEVENTS),
    ("proxyreqs", EventKinds::NONE),
    ("proxyevents", EventKinds::NONE),
    ("proxyuser", EventKinds::NONE),
    ("deletions", EventKinds::DELETIONS),
];
