//! Exercises of chapter 2, a pool of threads.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "2.1",
        file: "ch02/ex1",
        asks: "close connections that are quiet for 300 ms, so that others get their thread",
        starter: Serve::Listener(ex1_starter::run),
        solution: Serve::Listener(ex1_solution::run),
    },
    Exercise {
        number: "2.2",
        file: "ch02/ex2",
        asks: "let a panic end its connection and not its thread",
        starter: Serve::Listener(ex2_starter::run),
        solution: Serve::Listener(ex2_solution::run),
    },
];
