//! The figures of `stats` that requests determine.

use std::collections::BTreeMap;

/// Figures that requests determine. The others are about time, memory, connections or threads. memcached's total_items counts
/// how often it moves an item in memory, too, and its get_expired any look-up of an expired item, also that of a write.
pub(crate) const DETERMINED: &[&str] = &[
    "cmd_get",
    "cmd_set",
    "cmd_flush",
    "cmd_touch",
    "cmd_meta",
    "get_hits",
    "get_misses",
    "delete_hits",
    "delete_misses",
    "incr_hits",
    "incr_misses",
    "decr_hits",
    "decr_misses",
    "cas_hits",
    "cas_misses",
    "cas_badval",
    "touch_hits",
    "touch_misses",
    "store_too_large",
    "store_no_memory",
    "auth_cmds",
    "auth_errors",
];

/// Figures by their names.
pub(crate) type Figures = BTreeMap<String, String>;

/// The figures of a reply to `stats`.
pub(crate) fn figures(reply: &[u8]) -> Figures {
    let text = String::from_utf8_lossy(reply);
    let lines = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        Some((name.to_owned(), value.to_owned()))
    });
    lines.collect()
}

/// The growth of each determined figure.
pub(crate) fn growth(before: &Figures, after: &Figures) -> BTreeMap<&'static str, u64> {
    let number = |figures: &Figures, name| figures.get(name)?.parse::<u64>().ok();
    let grown = DETERMINED.iter().filter_map(|name| {
        let by = number(after, *name)? - number(before, *name)?;
        Some((*name, by))
    });
    grown.collect()
}
