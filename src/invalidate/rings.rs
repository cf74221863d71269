//! The rings of a target: the present one, and earlier ones whose servers may still hold old values.
//!
//! ```text
//!   list 1: a        list 2: a b        list 3: a
//!   key ─▶ a         key ─▶ b           key ─▶ a, which may still have the value of the time of list 1
//! ```
//!
//! While list 2 was in force, clients wrote the key to b, and its deletes had to reach b. But a still had the value of before.
//! When list 3 makes it the key's server again, a answers with that value, unless the deletes reached a too. So a delete goes
//! to the key's server on the present ring and on each remembered one, as far as they are in the present list. A server that
//! has left the list needs none: it is flushed when it comes back.
//!
//! The rule: a ring is remembered until larder has run for [`Settings::remember_rings`] since another replaced it. This time
//! must be as long as a value may live in the caches. It is counted by the clock that only goes forward, and kept in the spool,
//! so a clock of dates that jumps ends no ring early; the time for which larder doesn't run doesn't count. There are at
//! most [`REMEMBERED_RINGS`]; if there were more, each delete goes to all servers of the target until the oldest of
//! them would be forgotten.
//!
//! Cost: a lookup in each remembered ring for each change, and a delete to each different server that is found.
//!
//! [`Settings::remember_rings`]: crate::invalidate::Settings::remember_rings

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::invalidate::settings::{REMEMBERED_RINGS, Target, TargetMode};
use crate::pool::{Placement, Ring, ServerList};

/// The servers of a target and the placement of keys among them, as a list of servers defined it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RingList {
    pub(crate) servers: ServerList,
    /// `None` if each server may hold each key.
    pub(crate) placement: Option<Placement>,
}

/// The present ring of a target, and the earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RingHistory {
    present: RingList,
    /// Each with the time for which it is still remembered; the latest is the last.
    earlier: Vec<(RingList, Duration)>,
    /// The time for which any server may hold any key, because there were too many rings.
    everywhere: Duration,
}

impl RingList {
    pub(crate) fn of(target: &Target) -> RingList {
        RingList {
            servers: target.servers.clone(),
            placement: (target.mode == TargetMode::Pool).then_some(target.placement),
        }
    }

    /// The ring; `None` if each server may hold each key.
    pub(crate) fn ring(&self) -> Option<Ring> {
        let ring = |placement| Ring::new(&self.servers, placement);
        self.placement.map(ring)
    }

    pub(crate) fn has(&self, address: &str) -> bool {
        let mut servers = self.servers.servers().iter();
        servers.any(|server| server.address == address)
    }
}

impl RingHistory {
    /// A target without a past.
    pub(crate) fn new(present: RingList) -> RingHistory {
        RingHistory {
            present,
            earlier: Vec::new(),
            everywhere: Duration::ZERO,
        }
    }

    /// Makes `ring` the present one. The one that it replaces is remembered for this time, and no other for longer.
    pub(crate) fn replace(&mut self, ring: RingList, remember: Duration) {
        if ring != self.present {
            let before = std::mem::replace(&mut self.present, ring);
            self.earlier
                .retain(|(it, _)| *it != before && *it != self.present);
            self.earlier.push((before, remember));
        }
        for (_, left) in &mut self.earlier {
            *left = remember.min(*left);
        }
        self.everywhere = remember.min(self.everywhere);
        while self.earlier.len() > REMEMBERED_RINGS {
            let (_, left) = self.earlier.remove(0);
            self.everywhere = left.max(self.everywhere);
        }
        self.pass(Duration::ZERO);
    }

    /// Time has passed. Returns whether a ring has been forgotten.
    pub(crate) fn pass(&mut self, time: Duration) -> bool {
        let before = (self.earlier.len(), self.everywhere.is_zero());
        for (_, left) in &mut self.earlier {
            *left = left.saturating_sub(time);
        }
        self.earlier.retain(|(_, left)| !left.is_zero());
        self.everywhere = self.everywhere.saturating_sub(time);
        before != (self.earlier.len(), self.everywhere.is_zero())
    }

    /// Whether a server may hold keys that the present ring gives to others.
    pub(crate) fn has_past(&self) -> bool {
        !self.earlier.is_empty() || self.is_everywhere()
    }

    /// Whether any server may hold any key.
    pub(crate) fn is_everywhere(&self) -> bool {
        !self.everywhere.is_zero()
    }

    /// The remembered rings.
    pub(crate) fn earlier(&self) -> impl ExactSizeIterator<Item = &RingList> {
        self.earlier.iter().map(|(ring, _)| ring)
    }

    /// Whether a server of this address may hold keys of the target that `ring` does not give it.
    pub(crate) fn leaves_keys(&self, address: &str, ring: &RingList) -> bool {
        let known = self.present.has(address) || self.earlier().any(|it| it.has(address));
        known && (self.has_past() || self.present != *ring)
    }
}

/// Lines: the microseconds of `everywhere`, then for each ring its word and the microseconds for which it is remembered, and
/// its servers as in `servers.txt`. The present ring is the last.
impl fmt::Display for RingHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "everywhere {}", self.everywhere.as_micros())?;
        let present = (&self.present, Duration::ZERO);
        let earlier = self.earlier.iter().map(|(ring, left)| (ring, *left));
        for (ring, left) in earlier.chain([present]) {
            match ring.placement {
                Some(placement) => write!(f, "ring {placement}")?,
                None => write!(f, "ring all")?,
            }
            writeln!(f, " {}", left.as_micros())?;
            for server in ring.servers.servers() {
                writeln!(f, "{} {}", server.address, server.weight)?;
            }
        }
        Ok(())
    }
}

impl FromStr for RingHistory {
    type Err = String;

    fn from_str(text: &str) -> Result<RingHistory, String> {
        let micros = |word: &str| {
            let number = word.parse().map_err(|_| format!("`{word}` is no time"))?;
            Ok::<_, String>(Duration::from_micros(number))
        };
        let mut parts = text.split("ring ");
        let everywhere = parts.next().unwrap_or_default().trim_end();
        let everywhere = everywhere.strip_prefix("everywhere ").ok_or("no time")?;
        let mut earlier = Vec::new();
        for part in parts {
            let (head, servers) = part.split_once('\n').ok_or("a ring without servers")?;
            let (placement, left) = head.split_once(' ').ok_or("a ring without a time")?;
            let placement = match placement {
                "all" => None,
                word => Some(word.parse()?),
            };
            let servers = servers.parse().map_err(|_| "a list without servers")?;
            earlier.push((RingList { servers, placement }, micros(left)?));
        }
        let (present, _) = earlier.pop().ok_or("no ring")?;
        Ok(RingHistory {
            present,
            earlier,
            everywhere: micros(everywhere)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// The ring of servers with these names.
    fn ring(names: &str) -> RingList {
        let lines = names.chars().map(|name| format!("{name}:1 1\n"));
        RingList {
            servers: lines.collect::<String>().parse().expect("a list"),
            placement: Some(Placement::Ketama),
        }
    }

    /// The names of the remembered rings' servers, the hours for which each is remembered, and those of `everywhere`.
    fn summary(history: &RingHistory) -> String {
        let hours = |time: Duration| time.as_secs() / 3600;
        let rings = history.earlier.iter().map(|(ring, left)| {
            let servers = ring.servers.servers().iter();
            let names: String = servers.map(|it| it.address.replace(":1", "")).collect();
            format!("{names} {}, ", hours(*left))
        });
        rings.collect::<String>() + &hours(history.everywhere).to_string()
    }

    #[test]
    fn a_ring_is_remembered_for_the_time_since_it_was_replaced() {
        let mut history = RingHistory::new(ring("a"));
        history.replace(ring("a"), 7 * HOUR);
        assert!(!history.has_past());
        history.replace(ring("ab"), 7 * HOUR);
        assert_eq!(summary(&history), "a 7, 0");
        assert!(!history.pass(2 * HOUR));
        history.replace(ring("abc"), 7 * HOUR);
        assert_eq!(summary(&history), "a 5, ab 7, 0");
        // The present ring need not be remembered; its time begins anew when it ends.
        history.replace(ring("a"), 7 * HOUR);
        assert_eq!(summary(&history), "ab 7, abc 7, 0");
        history.pass(HOUR);
        history.replace(ring("ab"), 7 * HOUR);
        assert_eq!(summary(&history), "abc 6, a 7, 0");
        assert!(history.pass(6 * HOUR));
        assert_eq!(summary(&history), "a 1, 0");
        assert!(history.pass(HOUR));
        assert!(!history.has_past());
    }

    #[test]
    fn a_shorter_time_holds_for_all_rings_and_zero_remembers_none() {
        let mut history = RingHistory::new(ring("a"));
        history.replace(ring("b"), 7 * HOUR);
        history.replace(ring("b"), 3 * HOUR);
        assert_eq!(summary(&history), "a 3, 0");
        history.replace(ring("c"), Duration::ZERO);
        assert!(!history.has_past());
    }

    #[test]
    fn with_too_many_rings_any_server_may_hold_any_key() {
        let mut history = RingHistory::new(ring("z"));
        for number in 0..REMEMBERED_RINGS {
            let name = char::from(b'a' + number as u8);
            history.replace(ring(&name.to_string()), 7 * HOUR);
        }
        assert!(!history.is_everywhere());
        assert_eq!(history.earlier().len(), REMEMBERED_RINGS);
        history.pass(HOUR);
        history.replace(ring("y"), 7 * HOUR);
        assert_eq!(history.earlier().len(), REMEMBERED_RINGS);
        assert_eq!(history.everywhere, 6 * HOUR);
        assert!(history.pass(6 * HOUR));
        assert!(!history.is_everywhere() && history.has_past());
    }

    #[test]
    fn a_history_is_read_back_and_other_text_is_refused() {
        let mut history = RingHistory::new(ring("ab"));
        assert_eq!(history.to_string().parse(), Ok(history.clone()));
        history.replace(
            RingList {
                placement: None,
                ..ring("ring")
            },
            HOUR,
        );
        history.replace(ring("c"), HOUR);
        history.everywhere = Duration::from_micros(7);
        assert_eq!(history.to_string().parse(), Ok(history));
        for text in [
            "",
            "everywhere x\nring all 0\na:1 1\n",
            "everywhere 0\n",
            "everywhere 0\nring all 0\n",
            "everywhere 0\nring all\na:1 1\n",
            "everywhere 0\nring other 0\na:1 1\n",
        ] {
            assert!(text.parse::<RingHistory>().is_err(), "{text:?}");
        }
    }
}
