//! Exercises of chapter 18, read-through and peers.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "18.1",
        file: "ch18/ex1",
        asks: "fetch a key once for all clients that wait",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "18.2",
        file: "ch18/ex2",
        asks: "ask the owner of a key, and pass nothing on twice",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
