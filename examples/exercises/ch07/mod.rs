//! Exercises of chapter 7, a RESP forwarder.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "7.1",
        file: "ch07/ex1",
        asks: "find the end of a reply, arrays included",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "7.2",
        file: "ch07/ex2",
        asks: "give each reply to the client that has waited for longest",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
