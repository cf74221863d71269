//! Exercises of chapter 0: conversations to be written, and held against the real memcached.

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "0.1",
        file: "ch00/ex1",
        asks: "predict memcached's answers for a missing counter and for one that isn't a number",
        starter: Serve::Conversation("_starter"),
        solution: Serve::Conversation("_solution"),
    },
    Exercise {
        number: "0.2",
        file: "ch00/ex2",
        asks: "predict the answers to two clients that use cas",
        starter: Serve::Conversation("_starter"),
        solution: Serve::Conversation("_solution"),
    },
];
