//! Exercises of chapter 4, a store with expiry and bounds.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "4.1",
        file: "ch04/ex1",
        asks: "compute when an item expires: the rule of thirty days",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "4.2",
        file: "ch04/ex2",
        asks: "evict by SIEVE from a cache for three keys",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
