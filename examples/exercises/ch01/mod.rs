//! Exercises of chapter 1, an echo server that stops.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "1.1",
        file: "ch01/ex1",
        asks: "echo whole lines only: bytes after the last line end stay unanswered",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "1.2",
        file: "ch01/ex2",
        asks: "refuse a line that is too long, without holding more of it than the limit",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
