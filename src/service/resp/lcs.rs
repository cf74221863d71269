//! LCS: the longest common subsequence of two strings.
//!
//! The classic table: a cell for every pair of prefixes holds the length of their longest common subsequence, and the
//! way back through the table gives the subsequence and its runs, last first. Time and memory are the product of the
//! two lengths, so the table is bounded, and the bound is checked before it is allocated.

use super::arguments::is;
use super::context::Context;
use super::errors;
use super::table::{CommandSpec, READONLY};

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec::new("lcs", -3, READONLY, lcs)
    .keys(1, 2, 1)
    .docs(
        "string",
        "7.0.0",
        "key1 key2 [LEN] [IDX] [MINMATCHLEN length] [WITHMATCHLEN]",
        "Returns the longest common subsequence of two values.",
    )];

/// Bytes of the largest table, four a cell: two values of 4,095 bytes, or of others with this product. A turn with
/// such a table takes some tens of milliseconds. Larger ones get the error that Redis gives for a table over
/// its proto-max-bulk-len.
const LARGEST_TABLE: usize = 64 << 20;

/// Reads the string under a key; a missing one is empty. `None` for a hash.
fn read(ctx: &Context<'_>, index: usize) -> Option<Vec<u8>> {
    let key = ctx.args.get(index);
    let mut tree = ctx.lock(key);
    match tree.find(&[key]) {
        Some(node) => tree.item(node).value().map(<[u8]>::to_vec),
        None => Some(Vec::new()),
    }
}

/// The options of LCS.
#[derive(Default)]
struct LcsOptions {
    /// LEN: the length alone.
    length: bool,
    /// IDX: the positions of the matching runs.
    indices: bool,
    /// WITHMATCHLEN: and the length of each.
    match_lengths: bool,
    /// MINMATCHLEN: without those that are shorter.
    shortest: usize,
}

impl LcsOptions {
    /// Reads the options; if they make no sense, the error is answered.
    fn parse(ctx: &mut Context<'_>) -> Option<LcsOptions> {
        let mut options = LcsOptions::default();
        let mut index = 3;
        while index < ctx.args.len() {
            let option = ctx.args.get(index);
            if is(option, "idx") {
                options.indices = true;
            } else if is(option, "len") {
                options.length = true;
            } else if is(option, "withmatchlen") {
                options.match_lengths = true;
            } else if is(option, "minmatchlen") && index + 1 < ctx.args.len() {
                let length = ctx.integer(index + 1)?;
                options.shortest = usize::try_from(length).unwrap_or(0);
                index += 1;
            } else {
                ctx.reply.error(errors::SYNTAX);
                return None;
            }
            index += 1;
        }
        if options.length && options.indices {
            ctx.reply
                .error("ERR If you want both the length and indexes, please just use IDX.");
            return None;
        }
        Some(options)
    }
}

fn lcs(ctx: &mut Context<'_>) {
    let (Some(a), Some(b)) = (read(ctx, 1), read(ctx, 2)) else {
        return ctx
            .reply
            .error("ERR The specified keys must contain string values");
    };
    let Some(options) = LcsOptions::parse(ctx) else {
        return;
    };
    let cells = (a.len() + 1).checked_mul(b.len() + 1);
    if cells.is_none_or(|cells| cells > LARGEST_TABLE / size_of::<u32>()) {
        return ctx
            .reply
            .error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    }
    let table = LengthTable::new(&a, &b);
    let length = table.length();
    if options.length {
        return ctx.reply.integer(length as i64);
    }
    let mut common = vec![0; length];
    let mut left = length;
    let mut runs = Vec::new();
    table.walk_back(&a, &b, |run| {
        left -= run.length;
        common[left..left + run.length].copy_from_slice(&a[run.a..run.a + run.length]);
        if options.indices && run.length >= options.shortest {
            runs.push(run);
        }
    });
    if options.indices {
        reply_runs(ctx, &runs, options.match_lengths, length);
    } else {
        ctx.reply.bulk(&common);
    }
}

/// The answer to LCS with IDX.
fn reply_runs(ctx: &mut Context<'_>, runs: &[MatchingRun], match_lengths: bool, length: usize) {
    ctx.reply.map(2);
    ctx.reply.bulk(b"matches");
    ctx.reply.array(runs.len());
    for run in runs {
        ctx.reply.array(if match_lengths { 3 } else { 2 });
        for start in [run.a, run.b] {
            ctx.reply.array(2);
            ctx.reply.integer(start as i64);
            ctx.reply.integer((start + run.length - 1) as i64);
        }
        if match_lengths {
            ctx.reply.integer(run.length as i64);
        }
    }
    ctx.reply.bulk(b"len");
    ctx.reply.integer(length as i64);
}

/// A run of bytes that both values have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MatchingRun {
    a: usize,
    b: usize,
    length: usize,
}

/// Lengths for every pair of prefixes, a row for each of `a`.
struct LengthTable {
    cells: Vec<u32>,
    width: usize,
}

impl LengthTable {
    fn new(a: &[u8], b: &[u8]) -> LengthTable {
        let width = b.len() + 1;
        let mut cells = vec![0u32; (a.len() + 1) * width];
        for (i, byte) in a.iter().enumerate() {
            let (above, row) = cells[i * width..(i + 2) * width].split_at_mut(width);
            for (j, other) in b.iter().enumerate() {
                row[j + 1] = if byte == other {
                    above[j] + 1
                } else {
                    above[j + 1].max(row[j])
                };
            }
        }
        LengthTable { cells, width }
    }

    fn length(&self) -> usize {
        self.cells.last().map_or(0, |length| *length as usize)
    }

    /// Shows `each` the runs of one longest common subsequence, from the last to the first.
    fn walk_back(&self, a: &[u8], b: &[u8], mut each: impl FnMut(MatchingRun)) {
        let (mut i, mut j) = (a.len(), b.len());
        let mut length = 0;
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j, length) = (i - 1, j - 1, length + 1);
                continue;
            }
            if length > 0 {
                each(MatchingRun { a: i, b: j, length });
                length = 0;
            }
            // If both ways are as good, `b` gets shorter, as in Redis.
            let above = self.cells[(i - 1) * self.width + j];
            let before = self.cells[i * self.width + j - 1];
            if above > before { i -= 1 } else { j -= 1 }
        }
        if length > 0 {
            each(MatchingRun { a: i, b: j, length });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The length by definition: try every subsequence of `a`.
    fn naive(a: &[u8], b: &[u8]) -> usize {
        (0u32..1 << a.len())
            .filter(|chosen| {
                let mut rest = b.iter();
                let mut picked = (0..a.len()).filter(|i| chosen >> i & 1 == 1);
                picked.all(|i| rest.any(|byte| *byte == a[i]))
            })
            .map(|chosen| chosen.count_ones() as usize)
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn the_runs_make_up_a_longest_common_subsequence(a in "[abc]{0,8}", b in "[abc]{0,8}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let table = LengthTable::new(a, b);
            prop_assert_eq!(table.length(), naive(a, b));
            let (mut end_a, mut end_b, mut sum) = (a.len(), b.len(), 0);
            table.walk_back(a, b, |run| {
                assert!(run.a + run.length <= end_a && run.b + run.length <= end_b);
                assert_eq!(a[run.a..run.a + run.length], b[run.b..run.b + run.length]);
                (end_a, end_b, sum) = (run.a, run.b, sum + run.length);
            });
            prop_assert_eq!(sum, table.length());
        }
    }
}
