//! Exercises of chapter 0: conversations to be written, and held against the real memcached.

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "0.1",
        file: "ch00/ex1",
        asks: "predict what memcached answers to a counter that isn't there and one that is no number",
        starter: Serve::Conversation("_starter"),
        solution: Serve::Conversation("_solution"),
    },
    Exercise {
        number: "0.2",
        file: "ch00/ex2",
        asks: "predict how two clients meet in cas",
        starter: Serve::Conversation("_starter"),
        solution: Serve::Conversation("_solution"),
    },
];
