//! Commands on strings.

use super::errors;
use super::session::Ctx;
use super::table::{Command, DENYOOM, FAST, READONLY, WRITE};
use crate::store::{Entry, Refused};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("get", 2, READONLY | FAST, get)
        .keys(1, 1, 1)
        .docs("string", "1.0.0", "key", "Returns the value of a key."),
    Command::new("set", -3, WRITE | DENYOOM, set)
        .keys(1, 1, 1)
        .docs(
            "string",
            "1.0.0",
            "key value",
            "Stores a value under a key, whatever was there before.",
        ),
];

fn get(ctx: &mut Ctx<'_>) {
    let key = ctx.args.get(1);
    let mut tree = ctx.store.lock(key);
    let Some(node) = tree.find(ctx.client.db(), &[key]) else {
        return ctx.reply.null();
    };
    match tree.item(node).value() {
        Some(value) => ctx.reply.bulk(value),
        None => ctx.reply.error(errors::WRONGTYPE),
    }
}

fn set(ctx: &mut Ctx<'_>) {
    if ctx.args.len() > 3 {
        return ctx.reply.error(errors::SYNTAX);
    }
    let (key, value) = (ctx.args.get(1), ctx.args.get(2));
    let entry = Entry {
        value: Some(&[value]),
        flags: 0,
        expires_ms: None,
    };
    match ctx.store.lock(key).put(ctx.client.db(), &[key], entry) {
        Ok(_) => ctx.reply.ok(),
        Err(Refused::TooLarge) => ctx.reply.error(errors::TOO_LARGE),
        Err(_) => ctx.reply.error(errors::OUT_OF_MEMORY),
    }
}
