//! Exercises of chapter 11, invalidate in the background.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "11.1",
        file: "ch11/ex1",
        asks: "answer that the channel is full, instead of waiting",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "11.2",
        file: "ch11/ex2",
        asks: "keep the writes of one key in their order, with two workers",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
