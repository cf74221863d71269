//! HRANDFIELD: random fields.
//!
//! A count above zero asks for that many different fields, one below zero for exactly that many, the same one possibly
//! several times. Fields are drawn by their position among the children, so a draw costs no walk. A negative count of
//! any size ends at the bound on replies: no memory is reserved for it.
//!
//! Many fields are drawn in pieces. The command ends its turn after each piece and goes on in the next, as `fields_in_pieces`
//! describes. A field is one that the hash has when it is drawn, so the reply isn't the state of one moment if others write to the
//! hash meanwhile. Without repetition, the fields differ all the same, and may be fewer than were asked for if fields are removed. A
//! count that is at least the number of fields asks for all: they are read as HGETALL reads them. In a transaction all are drawn at
//! once.
//!
//! Cost: a look at a random child for each field, and in pieces about twenty bytes for each that may not repeat.

use std::time::Instant;

use super::arguments::is;
use super::context::Context;
use super::drawn_fields::{DrawnFields, FieldCount};
use super::errors;
use super::hashes::{append_name, append_value, find_hash, peek_hash};
use super::large_reply::{FieldsReply, LargeReply};
use super::random_order::{RandomOrder, random_below};
use super::table::{CommandSpec, READONLY};
use crate::protocol::resp::Reply;
use crate::service::kept_reply::KeptReply;
use crate::service::large_read::PastReads;
use crate::store::{Node, Tree};

/// Fields that are drawn at once.
const AT_ONCE: usize = 1024;

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
    let number = FieldCount {
        count: usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
        may_repeat: count < 0,
    };
    ctx.answer_random_fields(RandomFields {
        number,
        with_values,
    });
}

/// The fields that a command asks for.
#[derive(Clone, Copy)]
struct RandomFields {
    number: FieldCount,
    with_values: bool,
}

impl RandomFields {
    /// The form of a reply with them: in RESP3 a field and its value are an array of two.
    fn form(self) -> FieldsReply {
        match self.with_values {
            true => FieldsReply {
                head: |reply, count| reply.array(if reply.resp3() { count } else { 2 * count }),
                field: |reply, field| {
                    if reply.resp3() {
                        reply.array(2);
                    }
                    append_name(reply, field);
                    append_value(reply, field);
                },
            },
            false => FieldsReply {
                head: |reply, count| reply.array(count),
                field: append_name,
            },
        }
    }

    /// Answers them at once.
    fn answer(self, ctx: &mut Context<'_>, tree: &mut Tree<'_>, hash: Node) {
        let length = tree.child_count(hash);
        let order = RandomOrder::new(length);
        let FieldCount { count, may_repeat } = self.number;
        let count = match may_repeat {
            true => count,
            false => count.min(length),
        };
        let form = self.form();
        (form.head)(&mut ctx.reply, count);
        for number in 0..count {
            if ctx.reply.overflowed() {
                return;
            }
            let position = match may_repeat {
                true => random_below(length),
                false => order.position(number),
            };
            if let Some(node) = tree.child_at(hash, position) {
                (form.field)(&mut ctx.reply, &tree.item(node));
            }
        }
    }
}

/// Draws of one field before all that have expired are removed.
const DRAWS: usize = 64;

/// HRANDFIELD without a count: a field, not an array.
fn one_field(ctx: &mut Context<'_>) {
    let Ok((mut tree, hash)) = find_hash(ctx) else {
        return;
    };
    let node = hash.and_then(|hash| {
        // Those that have expired and aren't removed yet are few, nearly always.
        let fields = tree.listed_children(hash);
        let draw = |_| tree.child_at(hash, random_below(fields));
        let mut draws = (0..DRAWS).filter_map(draw);
        draws.find(|node| !tree.is_expired(*node)).or_else(|| {
            let position = random_below(tree.child_count(hash));
            tree.child_at(hash, position)
        })
    });
    match node {
        Some(node) => ctx.reply.bulk(tree.item(node).key()),
        None => ctx.reply.null(),
    }
}

impl Context<'_> {
    /// Answers random fields of the hash under the command's key.
    fn answer_random_fields(&mut self, wanted: RandomFields) {
        if self.is_reading() {
            return self.answer_fields(wanted.form());
        }
        let large = self.large.as_mut().and_then(|large| large.take());
        if let Some(LargeReply::Drawing(drawn)) = large.map(|large| *large) {
            if let Ok((tree, hash)) = peek_hash(self) {
                self.draw_piece(drawn, tree, hash, wanted);
            }
            return;
        }
        let Ok((mut tree, hash)) = find_hash(self) else {
            return;
        };
        let Some(hash) = hash.filter(|_| wanted.number.count != 0) else {
            return self.reply.array(0);
        };
        let fields = tree.listed_children(hash);
        let FieldCount { count, may_repeat } = wanted.number;
        let is_all = !may_repeat && count >= fields;
        let are_few = count <= AT_ONCE || is_all && fields <= AT_ONCE;
        let has_many_to_count = fields > AT_ONCE && tree.has_to_count(hash);
        if self.large.is_none() || are_few && !has_many_to_count {
            wanted.answer(self, &mut tree, hash);
        } else if is_all {
            self.answer_hash(tree, Some(hash), wanted.form(), PastReads::default());
        } else {
            self.draw_piece(DrawnFields::new(fields), tree, Some(hash), wanted);
        }
    }

    /// Draws the next fields of a hash, if it is still there.
    fn draw_piece(
        &mut self,
        mut drawn: DrawnFields,
        tree: Tree<'_>,
        hash: Option<Node>,
        wanted: RandomFields,
    ) {
        let began = Instant::now();
        let resp3 = self.reply.resp3();
        let Some(hash) = hash else {
            self.earlier = drawn.time;
            return self.reply.array(0);
        };
        let form = wanted.form();
        drawn.draw(&tree, hash, wanted.number, |page, field| {
            (form.field)(&mut Reply::new(page, resp3, usize::MAX), field);
        });
        drop(tree);
        if !self.reply.may_keep(drawn.bytes()) {
            return;
        }
        if !drawn.is_whole(wanted.number) {
            drawn.time += began.elapsed();
            return self.keep(LargeReply::Drawing(drawn));
        }
        self.earlier = drawn.time;
        let mut head = Vec::new();
        (form.head)(&mut Reply::new(&mut head, resp3, usize::MAX), drawn.count);
        self.keep(LargeReply::Sending(KeptReply::new(head, drawn.pages)));
    }
}
