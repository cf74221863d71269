//! Connections to servers: requests sent, replies matched.
//!
//! A [`Link`] is one connection to an [`Upstream`](crate::pool::Upstream); it belongs to one worker.

mod kept;
mod link;
mod state;

pub(crate) use kept::Kept;
pub(crate) use link::{DETOUR, Knows, Link, Look, Owner, Purpose, Stage, Waiting};
pub(crate) use state::{ConnectionState, DATABASES};
