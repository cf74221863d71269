//! SAVE, BGSAVE and LASTSAVE: snapshots, if the server has a file for them.
//!
//! SAVE holds the worker of its client until the snapshot is on the disk, and the clients of that worker wait. BGSAVE delays
//! nobody.

use super::context::Context;
use super::errors;
use super::table::{ADMIN, CommandSpec, DANGEROUS, FAST, NO_MULTI};
use crate::snapshot::{SaveError, Saver};

const GROUP: &str = "server";

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("save", 1, ADMIN | DANGEROUS | NO_MULTI, save).docs(
        GROUP,
        "1.0.0",
        "",
        "Writes a snapshot, and answers when it is on the disk.",
    ),
    CommandSpec::new("bgsave", -1, ADMIN | DANGEROUS, bgsave).docs(
        GROUP,
        "1.0.0",
        "[SCHEDULE]",
        "Begins to write a snapshot while other commands go on.",
    ),
    CommandSpec::new("lastsave", 1, ADMIN | FAST | DANGEROUS, lastsave).docs(
        GROUP,
        "1.0.0",
        "",
        "Returns the Unix time of the last snapshot, or of the start if there was none since.",
    ),
];

const NO_FILE: &str = "ERR there is no file for snapshots; start larder with --snapshot FILE";

/// The writer of snapshots; without one the error is answered.
fn saver<'a>(ctx: &mut Context<'a>) -> Option<&'a Saver> {
    let saver = ctx.service.snapshots.get();
    if saver.is_none() {
        ctx.reply.error(NO_FILE);
    }
    saver.map(|saver| &**saver)
}

fn save(ctx: &mut Context<'_>) {
    if let Some(saver) = saver(ctx) {
        match saver.save() {
            Ok(()) => ctx.reply.ok(),
            Err(error) => refuse(ctx, error),
        }
    }
}

fn bgsave(ctx: &mut Context<'_>) {
    // SCHEDULE waits for Redis's other file, which larder doesn't have.
    let mut words = ctx.args.from(1).iter();
    let schedule = words.next();
    let is_plain = schedule.is_none_or(|word| word.eq_ignore_ascii_case(b"schedule"));
    if !is_plain || words.next().is_some() {
        return ctx.reply.error(errors::SYNTAX);
    }
    if let Some(saver) = saver(ctx) {
        match saver.save_in_background() {
            Ok(()) => ctx.reply.simple("Background saving started"),
            Err(error) => refuse(ctx, error),
        }
    }
}

fn refuse(ctx: &mut Context<'_>, error: SaveError) {
    match error {
        SaveError::InProgress => ctx.reply.error("ERR Background save already in progress"),
        SaveError::Failed(problem) => ctx
            .reply
            .error(format!("ERR the snapshot was not written: {problem}")),
    }
}

fn lastsave(ctx: &mut Context<'_>) {
    let last_ms = match ctx.service.snapshots.get() {
        Some(saver) => saver.status().last_save_ms,
        None => ctx.service.started_ms,
    };
    ctx.reply.integer((last_ms / 1000) as i64);
}
