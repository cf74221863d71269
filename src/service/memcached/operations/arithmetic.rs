//! Arithmetic on a number in decimal.
//!
//! The value is a number of 64 bits: an increment wraps around at 2^64, a decrement stops at 0. A
//! result that is shorter than the value was is padded with spaces behind it to the same length,
//! because memcached changes the value in place and clients may have seen that: `10` less 1 is
//! answered `9` and read as `9 `.

use crate::origin::{PeerReply, PeerRequest, PeerStatus};
use crate::protocol::memcached::text::parse_unsigned;
use crate::store::{Entry, Node, Refused, Tree};

use super::{
    DATABASE, Operations, Place, StoreMode, StoreOutcome, StoreRequest, expires_ms, seconds_left,
};

/// Digits of the largest number.
const LONGEST_NUMBER: usize = 20;

/// A change of a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arithmetic {
    pub(crate) delta: u64,
    /// Whether the delta is subtracted.
    pub(crate) down: bool,
    /// The cas unique that the item must have.
    pub(crate) expected: Option<u64>,
    /// The item to make if there is none.
    pub(crate) initial: Option<Initial>,
    /// The item's new exptime.
    pub(crate) exptime: Option<i64>,
    /// Whether an item that is made keeps the exptime of `initial` in spite of that.
    pub(crate) initial_exptime_stays: bool,
    /// The cas unique that the item gets.
    pub(crate) new_cas: Option<u64>,
}

impl Arithmetic {
    /// An addition or subtraction without conditions.
    pub(crate) fn new(delta: u64, down: bool) -> Arithmetic {
        Arithmetic {
            delta,
            down,
            expected: None,
            initial: None,
            exptime: None,
            initial_exptime_stays: false,
            new_cas: None,
        }
    }
}

/// The number of an item that is made because there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Initial {
    pub(crate) number: u64,
    pub(crate) exptime: i64,
}

/// The outcome of a change of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArithmeticOutcome {
    /// The item has this number now.
    Now {
        number: u64,
        /// The item's new cas unique.
        cas: u64,
        /// There was no item.
        created: bool,
        /// Seconds to live without the new exptime of the request, and with it; `None` for no end.
        left: (Option<u64>, Option<u64>),
    },
    /// There is no item, and none was to be made.
    NotFound,
    /// The item has another cas unique than the expected one, and stays.
    Exists,
    /// Its value is not a number.
    NonNumeric,
    /// There is no room.
    NoMemory {
        /// There was no item.
        created: bool,
    },
}

impl Operations<'_> {
    /// Adds to the number of an item, or subtracts from it.
    pub(crate) fn arithmetic(&mut self, path: &[&[u8]], request: &Arithmetic) -> ArithmeticOutcome {
        match self.place(path, || counting(path, request)) {
            Place::Here => {}
            Place::Elsewhere => return ArithmeticOutcome::NoMemory { created: false },
            Place::Done(reply) => return counted(&reply),
        }
        self.gather_room(path, LONGEST_NUMBER);
        let mut tree = self.shared.store.lock(DATABASE, path[0]);
        let node = self.look_up(&mut tree, path);
        if let Some(node) = node.filter(|node| tree.item(*node).value().is_some()) {
            let outcome = change(&mut tree, node, request);
            if let ArithmeticOutcome::Now { .. } = outcome {
                self.count_arithmetic(request.down, true);
            }
            return outcome;
        }
        match request.initial {
            // A node that only has children is no number, and stays.
            Some(initial) if node.is_none() => {
                let outcome = create(&mut tree, path, initial, request);
                self.report_created(&mut tree, path, initial, outcome);
                outcome
            }
            _ => {
                self.count_arithmetic(request.down, false);
                ArithmeticOutcome::NotFound
            }
        }
    }

    /// Reports the storing of a new number, as memcached does: as an add.
    fn report_created(
        &self,
        tree: &mut Tree<'_>,
        path: &[&[u8]],
        initial: Initial,
        outcome: ArithmeticOutcome,
    ) {
        let add = StoreRequest::new(StoreMode::Add, 0, initial.exptime);
        let stored = match outcome {
            ArithmeticOutcome::Now { cas, .. } => StoreOutcome::Stored { cas, length: 0 },
            ArithmeticOutcome::NoMemory { .. } => StoreOutcome::NoMemory,
            _ => StoreOutcome::NotStored,
        };
        self.report_store(tree, path, &add, stored, 0);
    }

    fn count_arithmetic(&mut self, down: bool, hit: bool) {
        let counts = &mut self.counts;
        *match (down, hit) {
            (false, true) => &mut counts.incr_hits,
            (false, false) => &mut counts.incr_misses,
            (true, true) => &mut counts.decr_hits,
            (true, false) => &mut counts.decr_misses,
        } += 1;
    }
}

fn change(tree: &mut Tree<'_>, node: Node, request: &Arithmetic) -> ArithmeticOutcome {
    let item = tree.item(node);
    let value = item.value().unwrap_or_default();
    let length = value.len();
    if length == 0 {
        return ArithmeticOutcome::NonNumeric;
    }
    if request.expected.is_some_and(|cas| cas != item.cas()) {
        return ArithmeticOutcome::Exists;
    }
    let Some(number) = parse_unsigned(value) else {
        return ArithmeticOutcome::NonNumeric;
    };
    let number = if request.down {
        number.saturating_sub(request.delta)
    } else {
        number.wrapping_add(request.delta)
    };
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number).as_bytes();
    let padding = vec![b' '; length.saturating_sub(text.len())];
    let stored = tree.set_value(node, &[text, &padding]);
    if text.len() > length {
        // memcached then makes a new item.
        tree.clear_marks(node);
    }
    outcome(tree, stored.map(|()| node), number, request, false)
}

fn create(
    tree: &mut Tree<'_>,
    path: &[&[u8]],
    initial: Initial,
    request: &Arithmetic,
) -> ArithmeticOutcome {
    let mut buffer = itoa::Buffer::new();
    let entry = Entry {
        value: Some(&[buffer.format(initial.number).as_bytes()]),
        flags: 0,
        expires_ms: expires_ms(initial.exptime, tree.now_ms()),
    };
    let stored = tree.put(path, entry);
    outcome(tree, stored, initial.number, request, true)
}

fn outcome(
    tree: &mut Tree<'_>,
    stored: Result<Node, Refused>,
    number: u64,
    request: &Arithmetic,
    created: bool,
) -> ArithmeticOutcome {
    let node = match stored {
        Ok(node) => node,
        Err(Refused::NoParent) => return ArithmeticOutcome::NotFound,
        Err(_) => return ArithmeticOutcome::NoMemory { created },
    };
    if let Some(cas) = request.new_cas {
        tree.set_cas(node, cas);
    }
    let now_ms = tree.now_ms();
    let before = tree.item(node).expires_ms();
    let asked = request.exptime.map(|exptime| expires_ms(exptime, now_ms));
    let stays = created && request.initial_exptime_stays;
    if let Some(asked) = asked.filter(|_| !stays) {
        tree.set_expiry(node, asked);
    }
    let after = asked.unwrap_or(before);
    ArithmeticOutcome::Now {
        number,
        cas: tree.item(node).cas(),
        created,
        left: (seconds_left(before, now_ms), seconds_left(after, now_ms)),
    }
}

/// A change of a number, for the owner of the key.
fn counting(path: &[&[u8]], request: &Arithmetic) -> PeerRequest {
    let mut flags = vec!["v".to_owned(), "c".to_owned()];
    flags.push(format!("D{}", request.delta));
    flags.push(if request.down { "MD" } else { "MI" }.into());
    flags.extend(request.expected.map(|cas| format!("C{cas}")));
    if let Some(initial) = request.initial {
        flags.push(format!("J{}", initial.number));
        flags.push(format!("N{}", initial.exptime));
    }
    PeerRequest::new("ma", path, flags)
}

fn counted(reply: &PeerReply) -> ArithmeticOutcome {
    let value = reply.value.as_deref().unwrap_or_default();
    let number = std::str::from_utf8(value).ok();
    match reply.status {
        PeerStatus::Done => ArithmeticOutcome::Now {
            number: number.and_then(|it| it.trim().parse().ok()).unwrap_or(0),
            cas: reply.number('c'),
            created: false,
            left: (None, None),
        },
        PeerStatus::Exists => ArithmeticOutcome::Exists,
        _ => ArithmeticOutcome::NotFound,
    }
}
