//! Exercises of chapter 5, keys as paths.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "5.1",
        file: "ch05/ex1",
        asks: "read a storage line from its right end",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "5.2",
        file: "ch05/ex2",
        asks: "write names as a JSON array that can be decoded",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
