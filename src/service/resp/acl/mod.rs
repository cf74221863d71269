//! Access control: users, their passwords, and the commands and keys that each may use.
//!
//! ```text
//!   ACL SETUSER, ACL LOAD ─▶ rules ─▶ User ─▶ Users (one map; its version rises with every change)
//!                                      ▲
//!   a turn begins: has the version changed? ─ the client gets its user anew ─▶ UNAUTHENTICATED, RESTRICTED
//!   a command: no such mode ─▶ run;  RESTRICTED ─▶ check (its number in the table, its keys) ─▶ run or NOPERM
//! ```
//!
//! The categories of commands and the positions of keys are those of the table of commands; there is no second list.
//!
//! Cost: a client whose user may do everything costs one load of the version a turn, and nothing a command. A restricted
//! one costs a bit's test a command, and a match of the patterns a key. Its large values are collected in the connection's
//! input.
//!
//! Invariants: a [`User`](user::User) never changes; a change puts another in its place. A change holds for another client
//! from its next turn on, and for the client that made it from its next command on.

mod check;
pub(super) mod commands;
mod describe;
mod file;
mod inspection;
mod log;
pub(crate) mod log_entries;
mod passwords;
mod permissions;
mod rules;
#[cfg(test)]
mod tests;
pub(crate) mod user;
pub(crate) mod users;

pub(super) use check::{Denied, check};
pub(super) use file::load as load_file;
#[cfg(feature = "internals")]
pub(super) use file::{read as read_text, text_of};
pub(super) use log::{note_denial, note_wrong_password};
