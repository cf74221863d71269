//! Exercises of chapter 15, UDP.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "15.1",
        file: "ch15/ex1",
        asks: "put the datagrams of replies together, in any order",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "15.2",
        file: "ch15/ex2",
        asks: "limit the bytes that each address gets in a second",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
