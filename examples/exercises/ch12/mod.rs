//! Exercises of chapter 12, survive a crash.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "12.1",
        file: "ch12/ex1",
        asks: "keep a key that changes again while its delete is on the way",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "12.2",
        file: "ch12/ex2",
        asks: "flush a server that has missed too many deletes, and lose nothing in the meantime",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
