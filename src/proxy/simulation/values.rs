//! The values that the keys of one client may have.
//!
//! Usually that is the one that the client has written last. If an upstream has failed, a write may have been executed or
//! not: then both values are possible until the next read or write shows one. In a cluster a slot that moves twice sends a
//! write on twice, and a later request of the pipeline that finds the second owner at once comes first: then the key may
//! have the value of either write until no more of its requests are under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::protocol::framing::reply::ReplyShape;
use crate::proxy::simulation::script::{Circumstances, DatabaseKey, Expected};

/// The replies that are due behind the one that is checked.
type Due = VecDeque<(ReplyShape, Expected)>;

/// The possible values of each key.
#[derive(Debug)]
pub(super) struct PossibleValues {
    known: BTreeMap<DatabaseKey, Vec<Option<Vec<u8>>>>,
    /// Keys of which requests are under way that may be executed before an earlier write.
    unordered: BTreeSet<DatabaseKey>,
    circumstances: Circumstances,
}

impl PossibleValues {
    pub(super) fn new(circumstances: Circumstances) -> PossibleValues {
        PossibleValues {
            known: BTreeMap::new(),
            unordered: BTreeSet::new(),
            circumstances,
        }
    }

    fn of(&mut self, place: &DatabaseKey) -> &mut Vec<Option<Vec<u8>>> {
        self.known.entry(place.clone()).or_insert(vec![None])
    }

    /// A write was answered with success.
    pub(super) fn written(&mut self, place: &DatabaseKey, value: &Option<Vec<u8>>, due: &Due) {
        let keeps = self.circumstances.wanders
            || self.unordered.contains(place)
            || self.may_be_overtaken(place, due, reads);
        let known = self.of(place);
        if !keeps {
            known.clear();
        }
        known.push(value.clone());
        match self.may_be_overtaken(place, due, uses) {
            true => self.unordered.insert(place.clone()),
            false => self.unordered.remove(place),
        };
    }

    /// The keys of a failed request may have been changed or not.
    pub(super) fn doubt(&mut self, expected: &Expected) {
        match expected {
            Expected::Changed(_, changes) => {
                for (place, value) in changes {
                    self.of(place).push(value.clone());
                }
            }
            Expected::Executed(all) => all.iter().for_each(|one| self.doubt(one)),
            Expected::Quiet(one) => self.doubt(one),
            _ => {}
        }
    }

    /// Whether a key may have the value that a read has found.
    pub(super) fn is_found(
        &mut self,
        place: &DatabaseKey,
        value: Option<&[u8]>,
        due: &Due,
    ) -> bool {
        // The read may have followed the slot's first move, and a later write have found the second one already.
        let later = due.iter().flat_map(|(_, due)| match due {
            Expected::Changed(_, changes) if self.circumstances.cluster => &changes[..],
            _ => &[],
        });
        let mut later = later.filter(|(at, _)| at == place);
        let is_later = later.any(|(_, later)| later.as_deref() == value);
        let mut known = self.of(place).iter();
        let found = is_later || known.any(|known| known.as_deref() == value);
        if self.circumstances.misses && value.is_none() {
            return true;
        }
        if self.unordered.contains(place) {
            // A write that was answered earlier may be executed behind this read all the same.
            if !self.may_be_overtaken(place, due, uses) {
                self.unordered.remove(place);
            }
        } else if !self.circumstances.wanders {
            *self.of(place) = vec![value.map(<[u8]>::to_vec)];
        }
        found
    }

    /// Whether one of these requests on a key may have been executed before the write in front of it.
    fn may_be_overtaken(&self, place: &DatabaseKey, due: &Due, of: OnKey) -> bool {
        self.circumstances.cluster && due.iter().any(|(_, due)| of(due, place))
    }
}

/// Whether a request that is due has to do with a key.
type OnKey = fn(&Expected, &DatabaseKey) -> bool;

/// Whether a reply has the value of this key.
fn reads(expected: &Expected, place: &DatabaseKey) -> bool {
    match expected {
        Expected::Value(at) => at == place,
        Expected::Values(all) => all.contains(place),
        Expected::Executed(all) => all.iter().any(|one| reads(one, place)),
        _ => false,
    }
}

/// Whether a request writes or reads this key.
fn uses(expected: &Expected, place: &DatabaseKey) -> bool {
    match expected {
        Expected::Changed(_, changes) => changes.iter().any(|(at, _)| at == place),
        Expected::Quiet(one) => uses(one, place),
        Expected::Executed(all) => all.iter().any(|one| uses(one, place)),
        _ => reads(expected, place),
    }
}
