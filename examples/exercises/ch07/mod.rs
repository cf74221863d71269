//! Exercises of chapter 7, more connections than threads.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "7.1",
        file: "ch07/ex1",
        asks: "serve all connections on one thread, also while some are quiet",
        starter: Serve::Listener(ex1_starter::run),
        solution: Serve::Listener(ex1_solution::run),
    },
    Exercise {
        number: "7.2",
        file: "ch07/ex2",
        asks: "keep what the socket doesn't take",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
