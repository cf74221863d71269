//! HRANDFIELD: random fields.
//!
//! A count above zero asks for that many different fields, one below zero for exactly that many, the same one possibly
//! several times. Fields are drawn by their position among the children, so a draw costs no walk. A negative count of
//! any size ends at the bound on replies: no memory is reserved for it.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::arguments::is;
use super::context::Context;
use super::errors;
use super::hashes::find_hash;
use super::table::{CommandSpec, READONLY};
use crate::store::{Node, Tree};

pub(super) const COMMANDS: &[CommandSpec] =
    &[CommandSpec::new("hrandfield", -2, READONLY, hrandfield)
        .keys(1, 1, 1)
        .docs(
            "hash",
            "6.2.0",
            "key [count [WITHVALUES]]",
            "Returns random fields.",
        )];

fn hrandfield(ctx: &mut Context<'_>) {
    if ctx.args.len() == 2 {
        return one_field(ctx);
    }
    let Some(count) = ctx.integer_between(2, -i64::MAX, i64::MAX) else {
        return;
    };
    let with_values = ctx.args.len() > 3;
    if with_values && (ctx.args.len() > 4 || !is(ctx.args.get(3), "withvalues")) {
        return ctx.reply.error(errors::SYNTAX);
    }
    // Twice as many elements would not fit into the head of the reply.
    if with_values && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return ctx.reply.error("ERR value is out of range");
    }
    let Ok((mut tree, hash)) = find_hash(ctx) else {
        return;
    };
    let Some(hash) = hash.filter(|_| count != 0) else {
        return ctx.reply.array(0);
    };
    let length = tree.child_count(hash);
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let mut reply = |positions: &mut dyn Iterator<Item = usize>, count| {
        begin_reply(ctx, count, with_values);
        for position in positions {
            if ctx.reply.overflowed() {
                return;
            }
            reply_field(ctx, &tree, tree.child_at(hash, position), with_values);
        }
    };
    if count < 0 {
        reply(&mut (0..wanted).map(|_| random_below(length)), wanted);
    } else if wanted >= length {
        reply(&mut (0..length), length);
    } else {
        // Floyd's way to draw without repetition: as many draws as fields, no list of all of them.
        let mut drawn = HashSet::with_capacity(wanted);
        let mut draw = |last: usize| {
            let position = random_below(last + 1);
            let position = if drawn.contains(&position) {
                last
            } else {
                position
            };
            drawn.insert(position);
            position
        };
        reply(&mut (length - wanted..length).map(&mut draw), wanted);
    }
}

/// HRANDFIELD without a count: a field, not an array.
fn one_field(ctx: &mut Context<'_>) {
    let Ok((mut tree, hash)) = find_hash(ctx) else {
        return;
    };
    let node = hash.and_then(|hash| {
        let position = random_below(tree.child_count(hash));
        tree.child_at(hash, position)
    });
    match node {
        Some(node) => ctx.reply.bulk(tree.item(node).key()),
        None => ctx.reply.null(),
    }
}

/// Begins the reply: in RESP3 a field and its value are an array of two.
fn begin_reply(ctx: &mut Context<'_>, count: usize, with_values: bool) {
    ctx.reply.array(if with_values && !ctx.reply.resp3() {
        2 * count
    } else {
        count
    });
}

fn reply_field(ctx: &mut Context<'_>, tree: &Tree<'_>, node: Option<Node>, with_value: bool) {
    let Some(item) = node.map(|node| tree.item(node)) else {
        return;
    };
    if with_value && ctx.reply.resp3() {
        ctx.reply.array(2);
    }
    ctx.reply.bulk(item.key());
    if with_value {
        ctx.reply.bulk(item.value().unwrap_or_default());
    }
}

/// A random number below `bound`, all about equally likely; 0 if the bound is 0.
fn random_below(bound: usize) -> usize {
    thread_local! {
        /// The seed, and the number of draws so far.
        static DRAWS: (RandomState, Cell<u64>) = (RandomState::new(), Cell::new(0));
    }
    let random = DRAWS.with(|(state, draws)| {
        draws.set(draws.get().wrapping_add(1));
        state.hash_one(draws.get())
    });
    // The high half of the product spreads 64 bits over the bound.
    ((u128::from(random) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::random_below;

    #[test]
    fn every_number_below_the_bound_comes_up() {
        let mut seen = [0; 10];
        for _ in 0..10_000 {
            seen[random_below(10)] += 1;
        }
        assert!(
            seen.iter().all(|&count| (700..1300).contains(&count)),
            "{seen:?}"
        );
        assert_eq!(random_below(0), 0);
        assert_eq!(random_below(1), 0);
    }
}
