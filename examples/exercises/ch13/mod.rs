//! Exercises of chapter 13: conversations about leases, to be corrected and held against the real memcached.

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "13.1",
        file: "ch13/ex1",
        asks: "predict memcached's answer to a late fill",
        starter: Serve::Conversation("_starter"),
        solution: Serve::Conversation("_solution"),
    },
    Exercise {
        number: "13.2",
        file: "ch13/ex2",
        asks: "predict which reader has to refill a stale item",
        starter: Serve::Conversation("_starter"),
        solution: Serve::Conversation("_solution"),
    },
];
