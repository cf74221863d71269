//! Exercises of chapter 14, meta and binary.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "14.1",
        file: "ch14/ex1",
        asks: "read binary requests by the lengths of their headers",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "14.2",
        file: "ch14/ex2",
        asks: "read the keys of meta commands, in base64 too",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
