//! Exercises of chapter 19, a shop with a cache.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "19.1",
        file: "ch19/ex1",
        asks: "lose no report when the shop ends between a change and its report",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "19.2",
        file: "ch19/ex2",
        asks: "cache nothing that another key's change makes old",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
