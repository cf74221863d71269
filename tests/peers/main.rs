//! Peers, end to end: built larders that form one cache, and connections by hand to each of them.

#[path = "../program/run.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod run;
#[path = "../support/mod.rs"]
mod support;

mod copies;
mod failures;
mod group;
mod lists;
mod misbehaving;
mod protocols;
mod writes;
