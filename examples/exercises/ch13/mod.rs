//! Exercises of chapter 13: conversations about leases, to be corrected and held against the real memcached.

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "13.1",
        file: "ch13/ex1",
        asks: "predict what memcached answers to a fill that comes too late",
        starter: Serve::Conversation("_starter"),
        solution: Serve::Conversation("_solution"),
    },
    Exercise {
        number: "13.2",
        file: "ch13/ex2",
        asks: "predict which reader is to refill a stale item",
        starter: Serve::Conversation("_starter"),
        solution: Serve::Conversation("_solution"),
    },
];
