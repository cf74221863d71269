//! Exercises of chapter 8, a RESP forwarder.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "8.1",
        file: "ch08/ex1",
        asks: "find the end of a reply, arrays included",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "8.2",
        file: "ch08/ex2",
        asks: "give each reply to the client that has waited for longest",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
