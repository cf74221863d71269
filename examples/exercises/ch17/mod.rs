//! Exercises of chapter 17, a client and cache-aside.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "17.1",
        file: "ch17/ex1",
        asks: "decide whether a connection may be used again",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "17.2",
        file: "ch17/ex2",
        asks: "give leases, and refuse fills that are late",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
